//! Random documents: a model of meaning, and many ways to write it down.

use proptest::prelude::*;
use std::fmt::Write;

/// What a document means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    Element(Element),
    /// The text, and how to write it.
    Text(String, Spelling),
    Comment,
    Instruction(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// `None`: in no namespace.
    pub namespace: Option<usize>,
    pub local: usize,
    /// Unique by namespace and local name.
    pub attributes: Vec<(Option<usize>, usize, String)>,
    /// Declarations that nothing may need: prefix and namespace.
    pub declarations: Vec<(usize, usize)>,
    pub children: Vec<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    Escaped,
    Cdata,
    Numeric,
    CrLf,
}

/// What a signature survives: other prefixes, and white space where only elements are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Rotates which prefix (or the default namespace) a namespace gets.
    pub prefixes: usize,
    /// Indents the content of elements without text of their own.
    pub indented: bool,
    /// Writes `<a></a>` instead of `<a/>`.
    pub expanded: bool,
    /// Attributes in reverse order.
    pub reversed: bool,
}

pub const NAMESPACES: [&str; 4] = ["urn:a", "http://example.org/b", "urn:a/c", "urn://x-artefacts/d/1.2.0"];
const LOCALS: [&str; 6] = ["a", "B", "имя", "a-1", "_x", "Ω"];
const PREFIXES: [&str; 4] = ["p", "ns1", "т", "P.q"];

/// Documents whose elements are all in a namespace if `qualified`.
pub fn element(qualified: bool) -> impl Strategy<Value = Element> {
    shallow(qualified).prop_recursive(5, 40, 5, move |inner| {
        let child = prop_oneof![
            3 => inner.prop_map(Node::Element),
            3 => (text(), spelling()).prop_map(|(t, s)| Node::Text(t, s)),
            1 => Just(Node::Comment),
            1 => "[a-z ]{0,8}".prop_map(Node::Instruction),
        ];
        (shallow(qualified), prop::collection::vec(child, 0..5)).prop_map(|(mut element, children)| {
            element.children = children;
            element
        })
    })
}

fn shallow(qualified: bool) -> impl Strategy<Value = Element> {
    let namespace = if qualified {
        (0..NAMESPACES.len()).prop_map(Some).boxed()
    } else {
        maybe_namespace().boxed()
    };
    let attribute = (maybe_namespace(), 0..LOCALS.len(), text());
    let declaration = (0..PREFIXES.len(), 0..NAMESPACES.len());
    (
        namespace,
        0..LOCALS.len(),
        prop::collection::vec(attribute, 0..4),
        prop::collection::vec(declaration, 0..2),
        prop::collection::vec((text(), spelling()).prop_map(|(t, s)| Node::Text(t, s)), 0..2),
    )
        .prop_map(|(namespace, local, mut attributes, mut declarations, children)| {
            attributes.sort_by_key(|(n, l, _)| (*n, *l));
            attributes.dedup_by_key(|(n, l, _)| (*n, *l));
            declarations.dedup_by_key(|(p, _)| *p);
            Element {
                namespace,
                local,
                attributes,
                declarations,
                children,
            }
        })
}

fn maybe_namespace() -> impl Strategy<Value = Option<usize>> {
    prop::option::of(0..NAMESPACES.len())
}

/// Characters that some rule treats on their own, and some that none does.
fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        '<', '>', '&', ']', '"', '\'', '\r', '\n', '\t', ' ', '\u{7f}', '\u{85}', '\u{9f}', '\u{a0}', '\u{2028}', 'a',
        'я', '😀',
    ]);
    let character = prop_oneof![4 => special, 1 => "[a-zа-я0-9]".prop_map(|s| s.chars().next().unwrap_or('x'))];
    prop_oneof![
        1 => Just(String::new()),
        2 => " {1,3}",
        6 => prop::collection::vec(character.clone(), 1..20).prop_map(String::from_iter),
        1 => (prop::collection::vec(character, 500..530)).prop_map(String::from_iter),
    ]
}

fn spelling() -> impl Strategy<Value = Spelling> {
    prop::sample::select(vec![
        Spelling::Escaped,
        Spelling::Cdata,
        Spelling::Numeric,
        Spelling::CrLf,
    ])
}

/// Writes the document down.
pub fn write(root: &Element, style: Style) -> String {
    let mut out = String::new();
    write_element(&mut out, root, style, &[], 0);
    out
}

/// Bindings in scope, innermost last: prefix (`""` for the default) and namespace (`None`: none).
type Scope<'s> = &'s [(&'static str, Option<usize>)];

fn lookup(scope: Scope<'_>, prefix: &str) -> Option<usize> {
    scope.iter().rev().find(|(p, _)| *p == prefix).and_then(|(_, n)| *n)
}

fn write_element(out: &mut String, element: &Element, style: Style, outer: Scope<'_>, depth: usize) {
    let mut scope = outer.to_vec();
    // Prefixes that this element uses or declares: what they stand for is settled.
    let mut settled: Vec<&str> = Vec::new();
    let mut declarations = String::new();
    let mut declare = |scope: &mut Vec<_>, prefix: &'static str, namespace: Option<usize>| {
        let holds = lookup(scope, prefix) == namespace;
        if holds || settled.contains(&prefix) {
            settled.push(prefix);
            return holds;
        }
        settled.push(prefix);
        scope.push((prefix, namespace));
        let colon = if prefix.is_empty() { "" } else { ":" };
        let uri = namespace.map_or("", |n| NAMESPACES[n]);
        write!(declarations, " xmlns{colon}{prefix}=\"{uri}\"").unwrap();
        true
    };
    let name = match element.namespace {
        None => {
            declare(&mut scope, "", None);
            String::from(LOCALS[element.local])
        }
        Some(namespace) => match (namespace + style.prefixes) % (PREFIXES.len() + 1) {
            4 => {
                declare(&mut scope, "", Some(namespace));
                String::from(LOCALS[element.local])
            }
            prefix => {
                declare(&mut scope, PREFIXES[prefix], Some(namespace));
                format!("{}:{}", PREFIXES[prefix], LOCALS[element.local])
            }
        },
    };
    let mut attributes = Vec::new();
    for (namespace, local, value) in &element.attributes {
        let name = match namespace {
            None => String::from(LOCALS[*local]),
            Some(namespace) => {
                let start = namespace + style.prefixes;
                let free = (0..PREFIXES.len()).map(|n| PREFIXES[(start + n) % PREFIXES.len()]);
                let prefix = free.into_iter().find(|p| declare(&mut scope, p, Some(*namespace)));
                format!(
                    "{}:{}",
                    prefix.expect("there are as many prefixes as namespaces"),
                    LOCALS[*local]
                )
            }
        };
        attributes.push(format!(" {name}=\"{}\"", escape(value, true)));
    }
    for (prefix, namespace) in &element.declarations {
        declare(
            &mut scope,
            PREFIXES[(prefix + style.prefixes) % PREFIXES.len()],
            Some(*namespace),
        );
    }
    if style.reversed {
        attributes.reverse();
    }
    write!(out, "<{name}{declarations}{}", attributes.concat()).unwrap();
    if element.children.is_empty() && !style.expanded {
        out.push_str("/>");
        return;
    }
    out.push('>');
    let indent = style.indented && !element.children.iter().any(|c| matches!(c, Node::Text(..)));
    for child in &element.children {
        if indent {
            write!(out, "\n{}", "\t ".repeat(depth + 1)).unwrap();
        }
        match child {
            Node::Element(element) => write_element(out, element, style, &scope, depth + 1),
            Node::Text(text, spelling) => write_text(out, text, *spelling),
            Node::Comment => out.push_str("<!-- - comment <&> -->"),
            Node::Instruction(data) => write!(out, "<?target {data}?>").unwrap(),
        }
    }
    if indent {
        write!(out, "\n{}", "\t ".repeat(depth)).unwrap();
    }
    write!(out, "</{name}>").unwrap();
}

fn write_text(out: &mut String, text: &str, spelling: Spelling) {
    match spelling {
        Spelling::Escaped => out.push_str(&escape(text, false)),
        Spelling::CrLf => out.push_str(&escape(text, false).replace('\n', "\r\n")),
        Spelling::Numeric => text.chars().for_each(|c| write!(out, "&#x{:X};", c as u32).unwrap()),
        Spelling::Cdata => {
            for part in text.split_inclusive('\r') {
                let (plain, cr) = part.strip_suffix('\r').map_or((part, ""), |plain| (plain, "&#13;"));
                write!(out, "<![CDATA[{}]]>{cr}", plain.replace("]]>", "]]]]><![CDATA[>")).unwrap();
            }
        }
    }
}

fn escape(text: &str, attribute: bool) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\r' => out.push_str("&#13;"),
            '>' if !attribute => out.push_str("&gt;"),
            '"' | '\n' | '\t' if attribute => write!(out, "&#{};", c as u32).unwrap(),
            c => out.push(c),
        }
    }
    out
}
