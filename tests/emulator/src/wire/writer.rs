//! Writing XML by hand, with the prefixes that the bus and the participants really use.

use crate::version::Version;

/// The prefixes of one writer. The real bus puts namespace B without a prefix; participants use prefixes throughout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) version: Version,
    soap: &'static str,
    types: &'static str,
    basic: &'static str,
    faults: &'static str,
}

impl Style {
    /// As the real bus writes.
    pub(crate) fn bus(version: Version) -> Style {
        Style {
            version,
            soap: "soap",
            types: "ns2",
            basic: "",
            faults: "ns3",
        }
    }

    /// As toolkits of participants write.
    pub(crate) fn participant(version: Version) -> Style {
        Style {
            version,
            soap: "soapenv",
            types: "typ",
            basic: "bas",
            faults: "flt",
        }
    }

    /// The prefix of namespace F, for `xsi:type`.
    pub(crate) fn faults_prefix(self) -> &'static str {
        self.faults
    }
}

/// A piece of XML in the making.
pub(crate) struct Writer {
    text: String,
    style: Style,
}

impl Writer {
    pub(crate) fn new(style: Style) -> Writer {
        Writer {
            text: String::with_capacity(2048),
            style,
        }
    }

    pub(crate) fn style(&self) -> Style {
        self.style
    }

    pub(crate) fn version(&self) -> Version {
        self.style.version
    }

    /// The finished text.
    pub(crate) fn finish(self) -> String {
        self.text
    }

    /// XML as it is.
    pub(crate) fn raw(&mut self, xml: &str) {
        self.text.push_str(xml);
    }

    /// Opens an element of namespace T.
    pub(crate) fn open_t(&mut self, local: &str) {
        self.tag("<", self.style.types, local, ">");
    }

    /// Closes it.
    pub(crate) fn close_t(&mut self, local: &str) {
        self.tag("</", self.style.types, local, ">");
    }

    /// Opens an element of namespace B.
    pub(crate) fn open_b(&mut self, local: &str) {
        self.tag("<", self.style.basic, local, ">");
    }

    /// Closes it.
    pub(crate) fn close_b(&mut self, local: &str) {
        self.tag("</", self.style.basic, local, ">");
    }

    /// An element of T with text.
    pub(crate) fn t(&mut self, local: &str, text: &str) {
        self.open_t(local);
        escape_into(text, &mut self.text);
        self.close_t(local);
    }

    /// The same if there is a text.
    pub(crate) fn t_some(&mut self, local: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.t(local, text);
        }
    }

    /// An element of B with text.
    pub(crate) fn b(&mut self, local: &str, text: &str) {
        self.open_b(local);
        escape_into(text, &mut self.text);
        self.close_b(local);
    }

    /// The same if there is a text.
    pub(crate) fn b_some(&mut self, local: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.b(local, text);
        }
    }

    /// An element of F with text and, where the fault wants it, an attribute before it.
    pub(crate) fn f(&mut self, local: &str, attributes: &str, text: &str) {
        self.tag("<", self.style.faults, local, attributes);
        self.text.push('>');
        escape_into(text, &mut self.text);
        self.tag("</", self.style.faults, local, ">");
    }

    /// Opens an element of T that declares every namespace, so that it can be signed and moved; `attributes` are raw.
    pub(crate) fn open_root_t(&mut self, local: &str, attributes: &str) {
        self.open_root(self.style.types, local, attributes);
    }

    /// The same in namespace B.
    pub(crate) fn open_root_b(&mut self, local: &str, attributes: &str) {
        self.open_root(self.style.basic, local, attributes);
    }

    /// The same in namespace F.
    pub(crate) fn open_root_f(&mut self, local: &str, attributes: &str) {
        self.open_root(self.style.faults, local, attributes);
    }

    /// Closes an element of namespace F.
    pub(crate) fn close_f(&mut self, local: &str) {
        self.tag("</", self.style.faults, local, ">");
    }

    /// Wraps what `body` writes into a SOAP envelope.
    pub(crate) fn envelope(style: Style, body: &str) -> String {
        let soap = style.soap;
        let namespace = crate::version::SOAP;
        format!("<{soap}:Envelope xmlns:{soap}=\"{namespace}\"><{soap}:Body>{body}</{soap}:Body></{soap}:Envelope>")
    }

    fn open_root(&mut self, prefix: &str, local: &str, attributes: &str) {
        self.tag("<", prefix, local, "");
        let Style {
            version,
            types,
            basic,
            faults,
            ..
        } = self.style;
        for (prefix, namespace) in [
            (types, version.types()),
            (basic, version.basic()),
            (faults, version.faults()),
        ] {
            self.text.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
            self.text.push_str(prefix);
            self.text.push_str("=\"");
            self.text.push_str(namespace);
            self.text.push('"');
        }
        if !attributes.is_empty() {
            self.text.push(' ');
            self.text.push_str(attributes);
        }
        self.text.push('>');
    }

    fn tag(&mut self, open: &str, prefix: &str, local: &str, close: &str) {
        self.text.push_str(open);
        self.text.push_str(prefix);
        if !prefix.is_empty() {
            self.text.push(':');
        }
        self.text.push_str(local);
        self.text.push_str(close);
    }
}

/// Adds `text` with everything escaped that may not stand in text or in a double-quoted attribute value. Carriage
/// returns, and in attributes tabs and line feeds, would not survive a parser otherwise.
pub(crate) fn escape_into(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#xD;"),
            c => out.push(c),
        }
    }
}
