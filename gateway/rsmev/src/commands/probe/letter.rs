//! What is sent: a request, or an answer to a request that was polled.

use std::path::{Path, PathBuf};

use emulator::{Attachment, Reply, RequestData, ResponseData, SignedCall};
use engine::names::KindName;
use engine::registry::Registry;

use super::caller::Caller;
use super::saved;
use crate::cli::ProbeSend;
use crate::commands::registry::current;
use crate::failure::Failure;
use crate::registry_file::{read_bounded, unknown};
use crate::settings::Settings;

/// Which of a kind's two root elements is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Request,
    Response,
}

/// A message that is ready to be signed.
pub(super) struct Letter {
    data: Data,
    minimal: bool,
    /// The call is printed, not sent: files stand in the envelope.
    printed: bool,
}

enum Data {
    Request(RequestData),
    Response(ResponseData),
}

impl Letter {
    /// Reads what the arguments name.
    pub(super) fn new(caller: &Caller, arguments: &ProbeSend, config: &Path) -> Result<Self, Failure> {
        let reply_to = match &arguments.to_response {
            Some(request) => Some(saved::reply_to(&arguments.saved, &request.to_string())?),
            None => arguments.reply_to.clone(),
        };
        let root = match reply_to {
            Some(_) => Root::Response,
            None => Root::Request,
        };
        let kind = arguments.kind.as_deref().map(|kind| root_element(kind, root, config));
        let kind = kind.transpose()?;
        let content = match (&arguments.payload, kind) {
            (Some(file), kind) => payload(file, kind.as_ref())?,
            (None, Some((namespace, local))) => minimal(&namespace, &local),
            (None, None) => return Err(Failure::usage("--kind or --payload is needed")),
        };
        let files = attachments(&arguments.attachment)?;
        let is_minimal = arguments.payload.is_none();
        let id = arguments.message_id.as_ref().map(ToString::to_string);
        let data = match reply_to {
            Some(to) => {
                if arguments.test_message || arguments.node.is_some() {
                    return Err(Failure::usage("an answer has neither --test-message nor --node"));
                }
                let mut data = ResponseData::sent_at(caller.now(), to, Reply::with_files(content, files));
                data.message_id = id.unwrap_or(data.message_id);
                Data::Response(data)
            }
            None => {
                let mut data = RequestData::sent_at(caller.now(), content);
                data.message_id = id.unwrap_or(data.message_id);
                data.node_id = arguments.node.clone();
                data.test_message = arguments.test_message || is_minimal;
                data.attachments = files;
                Data::Request(data)
            }
        };
        Ok(Self {
            data,
            minimal: is_minimal,
            printed: arguments.caller.print,
        })
    }

    /// What the person should know of the message before it goes.
    pub(super) fn note(&self) -> Option<&'static str> {
        match (&self.data, self.minimal) {
            (Data::Request(_), true) => Some(
                "note: no --payload: an empty root element is sent, marked as TestMessage. It proves connection, key, grant and \
                 route; of a kind with a schema it is accepted and then rejected by a notice, which `poll responses` brings",
            ),
            (Data::Response(_), true) => Some("note: no --payload: an empty root element is sent as the final answer"),
            _ => None,
        }
    }

    /// Signs it.
    pub(super) fn sign(&self, caller: &Caller) -> Result<SignedCall, Failure> {
        let parts = !self.printed;
        caller.sign(|signing| match &self.data {
            Data::Request(data) => signing.sign_request_as(data, "SIGNED_BY_CALLER", parts),
            Data::Response(data) => signing.sign_response_as(data, "SIGNED_BY_CALLER", parts),
        })
    }

    /// What comes after it was accepted.
    pub(super) fn next(&self) -> String {
        match &self.data {
            Data::Request(_) => {
                "`rsmev probe poll responses --wait 60` with the same options takes the answer".to_owned()
            }
            Data::Response(_) => "`rsmev probe ack --message` acknowledges the request, if that was not done yet; \
                                  `poll status` tells of checks that failed later"
                .to_owned(),
        }
    }
}

/// The root element that `--kind` or `--type` means: `{NAMESPACE}ROOT`, or a kind's name that the gateway knows.
pub(super) fn root_element(kind: &str, root: Root, config: &Path) -> Result<(String, String), Failure> {
    if let Some(rest) = kind.strip_prefix('{') {
        return match rest.rsplit_once('}') {
            Some((namespace, local)) if !namespace.is_empty() && is_name(local) => {
                Ok((namespace.to_owned(), local.to_owned()))
            }
            _ => Err(Failure::usage(format!("{kind:?} is not of the form {{NAMESPACE}}ROOT"))),
        };
    }
    let name: KindName = kind
        .parse()
        .map_err(|error| Failure::usage(format!("{kind:?} is no kind: {error}, or write {{NAMESPACE}}ROOT")))?;
    let content = Settings::load(config)
        .map_err(Failure::from)
        .and_then(|settings| current(&settings));
    let content = content.map_err(|failure| {
        Failure::refused(format!(
            "{failure}\nwithout a gateway to ask, name the kind as {{NAMESPACE}}ROOT"
        ))
    })?;
    let registry = Registry::new(content);
    let found = registry.kind(&name).ok_or_else(|| {
        let known: Vec<_> = registry.content().kinds.keys().map(KindName::as_str).collect();
        Failure::refused(unknown("kind", name.as_str(), &known))
    })?;
    let local = match root {
        Root::Request => &found.request,
        Root::Response => &found.response,
    };
    Ok((found.namespace.clone(), local.clone()))
}

/// Whether an element may have this local name; enough for what is written into an empty document.
fn is_name(text: &str) -> bool {
    let first = |character: char| character.is_alphabetic() || character == '_';
    text.starts_with(first)
        && text
            .chars()
            .all(|c| first(c) || c.is_numeric() || matches!(c, '-' | '.'))
}

/// An empty root element.
fn minimal(namespace: &str, local: &str) -> String {
    let namespace = namespace
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;");
    format!("<p:{local} xmlns:p=\"{namespace}\"></p:{local}>")
}

/// The root element of a document, without what stands around it.
fn payload(file: &Path, kind: Option<&(String, String)>) -> Result<String, Failure> {
    let octets = read_bounded(file).map_err(|error| Failure::file(file, error))?;
    let text = String::from_utf8(octets).map_err(|_| Failure::file(file, "is not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let document = roxmltree::Document::parse(text).map_err(|error| Failure::file(file, error))?;
    let root = document.root_element();
    let (namespace, local) = (root.tag_name().namespace(), root.tag_name().name());
    let Some(namespace) = namespace else {
        return Err(Failure::file(
            file,
            format!("its root element {local} has no namespace"),
        ));
    };
    if let Some((wanted, root)) = kind
        && (wanted != namespace || root != local)
    {
        let text = format!("its root element is {{{namespace}}}{local}, and --kind means {{{wanted}}}{root}");
        return Err(Failure::file(file, text));
    }
    Ok(text[root.range()].to_owned())
}

fn attachments(files: &[PathBuf]) -> Result<Vec<Attachment>, Failure> {
    let mut attachments: Vec<Attachment> = Vec::new();
    for (number, file) in (1..).zip(files) {
        let octets = read_bounded(file).map_err(|error| Failure::file(file, error))?;
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let usable = !name.is_empty() && name.chars().all(plain) && attachments.iter().all(|other| other.id != name);
        let id = match usable {
            true => name.to_owned(),
            false => format!("attachment-{number}"),
        };
        attachments.push(Attachment::new(id, mime_type(file), octets));
    }
    Ok(attachments)
}

/// The type by the file's ending; the protocol's pattern leaves little choice.
fn mime_type(file: &Path) -> &'static str {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "txt" => "text/plain",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_named_by_its_root_element() {
        let nowhere = Path::new("/nowhere/gateway.toml");
        let root = |kind| root_element(kind, Root::Request, nowhere);
        let (namespace, local) = root("{urn://test/{a}}Запрос").unwrap();
        assert_eq!((namespace.as_str(), local.as_str()), ("urn://test/{a}", "Запрос"));
        for wrong in [
            "{urn://test}",
            "{}Request",
            "{urn://test",
            "{urn://test}a b",
            "{urn://test}1",
            "a b",
        ] {
            assert_eq!(root(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
        assert!(root("gpzu").unwrap_err().to_string().contains("{NAMESPACE}ROOT"));
    }

    #[test]
    fn an_empty_document_is_one_whatever_the_namespace() {
        let text = minimal("urn:a&b\"<", "Request");
        let document = roxmltree::Document::parse(&text).unwrap();
        assert_eq!(document.root_element().tag_name().namespace(), Some("urn:a&b\"<"));
    }

    #[test]
    fn only_the_root_element_of_a_payload_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("payload.xml");
        let root = "<a xmlns=\"urn:x\">да</a>";
        std::fs::write(&file, format!("\u{feff}<?xml version=\"1.0\"?>\n<!-- c -->{root}\n")).unwrap();
        assert_eq!(payload(&file, None).unwrap(), root);
        let other = ("urn:x".to_owned(), "b".to_owned());
        assert!(
            payload(&file, Some(&other))
                .unwrap_err()
                .to_string()
                .contains("{urn:x}a")
        );
        for wrong in ["<a/>", "<!DOCTYPE a []><a xmlns=\"urn:x\"/>", "", "<a xmlns=\"urn:x\">"] {
            std::fs::write(&file, wrong).unwrap();
            assert!(payload(&file, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn files_keep_their_names_where_names_can_be_identifiers() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["план.pdf", "a.zip", "sub/a.zip"];
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        let files = names.map(|name| folder.path().join(name));
        for file in &files {
            std::fs::write(file, "x").unwrap();
        }
        let ids: Vec<_> = attachments(&files).unwrap().into_iter().map(|file| file.id).collect();
        assert_eq!(ids, ["attachment-1", "a.zip", "attachment-3"]);
    }
}
