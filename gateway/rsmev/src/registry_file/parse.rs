//! The tables of a registry file, one after the other.

use std::net::IpAddr;
use std::path::Path;

use engine::names::{KindName, Mnemonic, Party};
use engine::registry::{CertificateRef, Condition, Grant, Kind, May, Participant, Route, Schema, Scope, Test};
use gost::Certificate;

use super::{Collected, Pending, Place, bundle, content_name, read_bounded};
use crate::document::Node;
use crate::section::{Report, Section};

/// Stands for a kind that is written as a namespace until all kinds are known.
pub(super) const UNRESOLVED: &str = "-";

/// Reads one file into what has been collected.
pub(super) struct Parser<'a> {
    pub(super) folder: &'a Path,
    pub(super) report: &'a Report,
    pub(super) into: &'a mut Collected,
}

impl Parser<'_> {
    pub(super) fn file(mut self, root: &Section<'_>) {
        for section in root.sections("participant") {
            self.participant(&section);
        }
        for section in root.sections("kind") {
            self.kind(&section);
        }
        for section in root.sections("grant") {
            self.grant(&section);
        }
        for section in root.sections("route") {
            self.route(&section);
        }
        root.finish();
    }

    fn participant(&mut self, section: &Section<'_>) {
        let mnemonic: Option<Mnemonic> = section.required("mnemonic", parsed);
        let name = section.required("name", |node| match node.text()? {
            name if name.is_empty() || name.chars().count() > 500 => Err("must have 1 to 500 characters".to_owned()),
            name => Ok(name.to_owned()),
        });
        let oktmo = section.optional("oktmo", |node| match node.text()? {
            code if matches!(code.len(), 8 | 11) && code.bytes().all(|b| b.is_ascii_digit()) => Ok(code.to_owned()),
            code => Err(format!("{code:?} is not an ОКТМО of 8 or 11 digits")),
        });
        let certificates = section.required("certificates", |node| self.certificates(node));
        let addresses = section.optional("addresses", |node| {
            let networks = node.texts()?;
            networks.iter().try_for_each(|network| cidr(network)).map(|()| networks)
        });
        section.finish();
        let (Some(mnemonic), Some(name), Some(certificates)) = (mnemonic, name, certificates) else {
            return;
        };
        let participant = Participant {
            mnemonic: mnemonic.clone(),
            name,
            oktmo,
            certificates: certificates
                .iter()
                .map(|certificate| CertificateRef(certificate.id()))
                .collect(),
            addresses: addresses.unwrap_or_default(),
        };
        for certificate in certificates {
            self.into
                .blobs
                .insert(certificate.id().to_string(), certificate.der().to_vec());
        }
        let place = Place::of(section, self.report);
        if let Some((_, earlier)) = self.into.participants.get(&mnemonic) {
            section.problem(
                "mnemonic",
                format!("{mnemonic} is described already at {}", earlier.shown()),
            );
        } else {
            self.into.participants.insert(mnemonic, (participant, place));
        }
    }

    fn certificates(&self, node: &Node) -> Result<Vec<Certificate>, String> {
        let names = node.texts()?;
        if names.is_empty() {
            return Err("must name at least one certificate".to_owned());
        }
        let read = |name: &String| {
            let octets = read_bounded(&self.folder.join(name)).map_err(|text| format!("{name}: {text}"))?;
            Certificate::from_pem_or_der(&octets).map_err(|error| format!("{name}: {error}"))
        };
        names.iter().map(read).collect()
    }

    fn kind(&mut self, section: &Section<'_>) {
        let name: Option<KindName> = section.required("name", |node| match parsed(node)? {
            name if KindName::as_str(&name) == UNRESOLVED => Err(format!("{UNRESOLVED:?} is not a name")),
            name => Ok(name),
        });
        let namespace = section.required("namespace", |node| match node.text()? {
            text if text.is_empty() || text.chars().any(char::is_whitespace) => {
                Err(format!("{text:?} is not a namespace"))
            }
            text => Ok(text.to_owned()),
        });
        let request = section.required("request", local_name);
        let response = section.required("response", local_name);
        let scope = section.optional("scope", |node| match node.text()? {
            "any" => Ok(Scope::Any),
            "local" => Ok(Scope::Local),
            other => Err(format!("must be \"any\" or \"local\", not {other:?}")),
        });
        let bundle = section.optional("schema", |node| {
            let bundle = bundle::read(self.folder, node.text()?)?;
            let compiled = smev3::schema::compile(&bundle.main, &bundle.files);
            compiled.map(|_| bundle).map_err(|error| error.to_string())
        });
        section.finish();
        let schema_is_fine = bundle.is_some() || !section.has("schema");
        let (Some(name), Some(namespace), Some(request), Some(response), true) =
            (name, namespace, request, response, schema_is_fine)
        else {
            return;
        };
        if request == response {
            section.problem("response", "must differ from the request's root element");
        }
        let schema = bundle.map(|bundle| {
            let files = bundle.files.into_iter().map(|(path, octets)| {
                let hash = content_name(&octets);
                self.into.blobs.insert(hash.clone(), octets);
                (path, hash)
            });
            Schema {
                main: bundle.main,
                files: files.collect(),
            }
        });
        let place = Place::of(section, self.report);
        if let Some((_, earlier)) = self.into.kinds.get(&name) {
            section.problem("name", format!("{name} is described already at {}", earlier.shown()));
            return;
        }
        let scope = scope.unwrap_or_default();
        let kind = Kind {
            name: name.clone(),
            namespace,
            request,
            response,
            scope,
            schema,
        };
        self.into.kinds.insert(name, (kind, place));
    }

    fn grant(&mut self, section: &Section<'_>) {
        let party = party(section, "participant");
        let kind = section.required("kind", kind_reference);
        let may = section.required("may", |node| {
            let words = node.texts()?;
            let mut may = words.iter().map(|word| may_word(word)).collect::<Result<Vec<_>, _>>()?;
            may.sort_unstable();
            may.dedup();
            if may.is_empty() {
                Err("must allow something: \"request\", \"provide\"".to_owned())
            } else {
                Ok(may)
            }
        });
        section.finish();
        let (Some(party), Some(reference), Some(may)) = (party, kind, may) else {
            return;
        };
        let kind = self.kind_name(reference, Pending::Grant(self.into.grants.len()));
        let same =
            |(grant, _): &&(Grant, Place)| grant.party == party && grant.kind == kind && kind.as_str() != UNRESOLVED;
        if let Some((_, earlier)) = self.into.grants.iter().find(same) {
            let text = format!(
                "a grant of {party} for this kind is written already at {}; put both into one",
                earlier.shown()
            );
            section.problem("kind", text);
            return;
        }
        self.into
            .grants
            .push((Grant { party, kind, may }, Place::of(section, self.report)));
    }

    fn route(&mut self, section: &Section<'_>) {
        let kind = section.required("kind", kind_reference);
        let to = party(section, "to");
        let when = section.has("when").then(|| condition(&section.section("when")));
        section.finish();
        let (Some(reference), Some(to)) = (kind, to) else {
            return;
        };
        let when = match when {
            None => None,
            Some(Some(condition)) => Some(condition),
            Some(None) => return,
        };
        let kind = self.kind_name(reference, Pending::Route(self.into.routes.len()));
        self.into
            .routes
            .push((Route { kind, when, to }, Place::of(section, self.report)));
    }

    fn kind_name(&mut self, reference: KindReference, pending: Pending) -> KindName {
        match reference {
            KindReference::Name(name) => name,
            KindReference::Namespace(namespace) => {
                self.into.namespaces.push((pending, namespace));
                UNRESOLVED.parse().expect("a hyphen is a name")
            }
        }
    }
}

/// How a grant or a route names its kind.
enum KindReference {
    Name(KindName),
    Namespace(String),
}

fn kind_reference(node: &Node) -> Result<KindReference, String> {
    let text = node.text()?;
    if text.contains([':', '/']) {
        return Ok(KindReference::Namespace(text.to_owned()));
    }
    text.parse()
        .map(KindReference::Name)
        .map_err(|error: engine::names::NameError| error.to_string())
}

fn party(section: &Section<'_>, participant_key: &'static str) -> Option<Party> {
    let participant = section.optional(participant_key, |node| parsed(node).map(Party::Participant));
    let upstream = section.optional("upstream", |node| parsed(node).map(Party::Upstream));
    match (section.has(participant_key), section.has("upstream")) {
        (true, true) => section.problem("upstream", format!("write either {participant_key} or upstream")),
        (false, false) => section.problem(participant_key, "is missing (or write upstream)"),
        _ => return participant.or(upstream),
    }
    None
}

fn condition(section: &Section<'_>) -> Option<Condition> {
    let path = section.optional("path", |node| payload_path(node.text()?));
    let routing = section.optional("routing", |node| match node.text()? {
        "dynamic" => Ok(Condition::Dynamic as fn(Test) -> Condition),
        "identifier" => Ok(Condition::Identifier as fn(Test) -> Condition),
        other => Err(format!("must be \"dynamic\" or \"identifier\", not {other:?}")),
    });
    let value = |node: &Node| Ok(node.text()?.to_owned());
    let prefix = section.optional("prefix", value);
    let equals = section.optional("equals", value);
    section.finish();
    let test = match (prefix, equals) {
        (Some(_), Some(_)) => {
            section.problem("equals", "write either prefix or equals");
            return None;
        }
        (Some(prefix), None) => Test::Prefix(prefix),
        (None, Some(text)) => Test::Equals(text),
        (None, None) => Test::Present,
    };
    match (section.has("path"), section.has("routing")) {
        (true, false) => Some(Condition::Payload { path: path?, test }),
        (false, true) => Some(routing?(test)),
        _ => {
            section.problem("path", "write either path or routing");
            None
        }
    }
}

fn may_word(word: &str) -> Result<May, String> {
    match word {
        "request" => Ok(May::Request),
        "provide" => Ok(May::Provide),
        other => Err(format!("must be \"request\" or \"provide\", not {other:?}")),
    }
}

fn parsed<T: std::str::FromStr<Err = engine::names::NameError>>(node: &Node) -> Result<T, String> {
    node.text()?
        .parse()
        .map_err(|error: engine::names::NameError| error.to_string())
}

fn local_name(node: &Node) -> Result<String, String> {
    let text = node.text()?;
    if is_local_name(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not the local name of an element"))
    }
}

fn is_local_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && chars.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '\u{b7}'))
}

fn payload_path(text: &str) -> Result<String, String> {
    let names = text.strip_prefix("//").or_else(|| text.strip_prefix('/'));
    match names {
        Some(names) if names.split('/').all(is_local_name) => Ok(text.to_owned()),
        _ => Err(format!(
            "{text:?} is not a path such as \"//OKTMO\" or \"/Request/Object/OKTMO\""
        )),
    }
}

fn cidr(text: &str) -> Result<(), String> {
    let fail = || format!("{text:?} is not a network such as \"10.1.0.0/16\" or an address");
    let (address, length) = text
        .split_once('/')
        .map_or((text, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().map_err(|_| fail())?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    match length.map(str::parse::<u8>) {
        None => Ok(()),
        Some(Ok(length)) if length <= longest => Ok(()),
        _ => Err(fail()),
    }
}
