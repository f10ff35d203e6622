//! The registry as a file again, with the certificates and schemas beside it: applying the export elsewhere gives the
//! same registry.

use std::collections::BTreeMap;
use std::fmt::Write;

use engine::names::Party;
use engine::registry::{Condition, Kind, May, Participant, RegistryContent, Route, Scope, Test};
use gost::Certificate;

/// Files by their path relative to the export's folder; the registry itself is `registry.toml`.
#[derive(Debug)]
pub(crate) struct Exported {
    /// The text of `registry.toml`.
    pub(crate) registry: String,
    /// Certificates and schema files.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

/// Writes everything; `blobs` has the content-addressed files. A missing one is an error that names it.
pub(crate) fn export(content: &RegistryContent, blobs: &BTreeMap<String, Vec<u8>>) -> Result<Exported, String> {
    let mut exported = Exported {
        registry: String::new(),
        files: BTreeMap::new(),
    };
    for participant in content.participants.values() {
        exported.participant(participant, blobs)?;
    }
    for kind in content.kinds.values() {
        exported.kind(kind, blobs)?;
    }
    for grant in &content.grants {
        exported.entry("grant");
        exported.party("participant", &grant.party);
        exported.text("kind", grant.kind.as_str());
        let may = grant.may.iter().map(|may| match may {
            May::Request => "request",
            May::Provide => "provide",
        });
        exported.texts("may", may);
    }
    for route in &content.routes {
        exported.route(route);
    }
    Ok(exported)
}

impl Exported {
    fn participant(&mut self, participant: &Participant, blobs: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
        self.entry("participant");
        self.text("mnemonic", participant.mnemonic.as_str());
        self.text("name", &participant.name);
        if let Some(oktmo) = &participant.oktmo {
            self.text("oktmo", oktmo);
        }
        let mut names = Vec::new();
        for (index, certificate) in participant.certificates.iter().enumerate() {
            let der = blob(blobs, &certificate.0.to_string())?;
            let certificate = Certificate::from_der(der).map_err(|error| format!("{}: {error}", certificate.0))?;
            let name = format!("certificates/{}-{}.crt", participant.mnemonic, index + 1);
            self.files.insert(name.clone(), certificate.to_pem().into_bytes());
            names.push(name);
        }
        self.texts("certificates", names.iter().map(String::as_str));
        if !participant.addresses.is_empty() {
            self.texts("addresses", participant.addresses.iter().map(String::as_str));
        }
        Ok(())
    }

    fn kind(&mut self, kind: &Kind, blobs: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
        self.entry("kind");
        self.text("name", kind.name.as_str());
        self.text("namespace", &kind.namespace);
        self.text("request", &kind.request);
        self.text("response", &kind.response);
        if kind.scope == Scope::Local {
            self.text("scope", "local");
        }
        if let Some(schema) = &kind.schema {
            for (path, hash) in &schema.files {
                self.files
                    .insert(format!("schemas/{}/{path}", kind.name), blob(blobs, hash)?.to_vec());
            }
            self.text("schema", &format!("schemas/{}/{}", kind.name, schema.main));
        }
        Ok(())
    }

    fn route(&mut self, route: &Route) {
        self.entry("route");
        self.text("kind", route.kind.as_str());
        if let Some(condition) = &route.when {
            let (subject, test) = match condition {
                Condition::Payload { path, test } => (format!("path = {}", quoted(path)), test),
                Condition::Dynamic(test) => ("routing = \"dynamic\"".to_owned(), test),
                Condition::Identifier(test) => ("routing = \"identifier\"".to_owned(), test),
            };
            let test = match test {
                Test::Present => String::new(),
                Test::Prefix(text) => format!(", prefix = {}", quoted(text)),
                Test::Equals(text) => format!(", equals = {}", quoted(text)),
            };
            self.write(format_args!("when = {{ {subject}{test} }}"));
        }
        self.party("to", &route.to);
    }

    fn entry(&mut self, table: &str) {
        if !self.registry.is_empty() {
            self.registry.push('\n');
        }
        self.write(format_args!("[[{table}]]"));
    }

    fn party(&mut self, participant_key: &str, party: &Party) {
        match party {
            Party::Upstream(name) => self.text("upstream", name.as_str()),
            party => self.text(participant_key, &party.to_string()),
        }
    }

    fn text(&mut self, key: &str, value: &str) {
        self.write(format_args!("{key} = {}", quoted(value)));
    }

    fn texts<'t>(&mut self, key: &str, values: impl Iterator<Item = &'t str>) {
        let values: Vec<_> = values.map(quoted).collect();
        self.write(format_args!("{key} = [{}]", values.join(", ")));
    }

    fn write(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.registry, "{line}").expect("writing to a String cannot fail");
    }
}

fn blob<'b>(blobs: &'b BTreeMap<String, Vec<u8>>, hash: &str) -> Result<&'b [u8], String> {
    blobs
        .get(hash)
        .map(Vec::as_slice)
        .ok_or_else(|| format!("the registry's file {hash} is missing"))
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
