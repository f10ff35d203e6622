//! Get*, Ack and the statistics.

use engine::command::PayloadRoot;
use engine::names::NodeId;
use jiff::Timestamp;
use xmldsig::Element;

use super::{date_time, missing, namespaces, node_id, optional_value, value};
use crate::fault::Fault;
use crate::version::Version;

/// `B:MessageTypeSelector`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// Only this type; `None` any.
    pub root: Option<PayloadRoot>,
    /// When the caller says that it calls.
    pub timestamp: Timestamp,
    /// The sub-queue.
    pub node: Option<NodeId>,
}

/// `B:AckTargetMessage`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckTarget {
    /// The identifier as written.
    pub id: String,
    /// What the attribute says; true when it is absent.
    pub accepted: bool,
}

/// Reads a selector. An empty pair of names is none, as real clients leave their templates unfilled.
///
/// # Errors
/// InvalidContent.
pub fn selector(element: Element<'_, '_>, version: Version) -> Result<Selector, Fault> {
    let (_, basic) = namespaces(version);
    let namespace = optional_value(element, basic, "NamespaceURI", 4000)?;
    let local = optional_value(element, basic, "RootElementLocalName", 1000)?;
    let root = match (namespace, local) {
        (None, None) => None,
        (Some(namespace), Some(local)) => Some(PayloadRoot {
            namespace: namespace.into_owned(),
            local: local.into_owned(),
        }),
        _ => {
            return Err(Fault::invalid(
                "NamespaceURI и RootElementLocalName указываются только вместе.",
            ));
        }
    };
    let stamp = element
        .only_child(basic, "Timestamp")
        .map_err(|_| missing("Timestamp"))?;
    Ok(Selector {
        root,
        timestamp: timestamp(stamp)?,
        node: node_id(element, basic)?,
    })
}

/// Reads `Timestamp`.
///
/// # Errors
/// InvalidContent.
pub fn timestamp(element: Element<'_, '_>) -> Result<Timestamp, Fault> {
    let text = value(element, 100)?;
    date_time(&text).ok_or_else(|| Fault::invalid("Timestamp не является значением типа dateTime."))
}

/// Reads the target of an Ack.
///
/// # Errors
/// InvalidContent.
pub fn ack(element: Element<'_, '_>) -> Result<AckTarget, Fault> {
    let id = value(element, 100)?;
    if id.is_empty() {
        return Err(missing("AckTargetMessage"));
    }
    let accepted = match element.attribute("accepted").map(str::trim) {
        None | Some("true" | "1") => true,
        Some("false" | "0") => false,
        Some(_) => return Err(Fault::invalid("Атрибут accepted не является значением типа boolean.")),
    };
    Ok(AckTarget {
        id: id.into_owned(),
        accepted,
    })
}

/// The sub-queue that statistics are asked for. It stands outside the signature.
///
/// # Errors
/// InvalidContent.
pub fn statistics_node(call: Element<'_, '_>, version: Version) -> Result<Option<NodeId>, Fault> {
    node_id(call, version.types())
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmldsig::{Document, Limits};

    fn select(inside: &str) -> Result<Selector, Fault> {
        let xml = format!(r#"<s xmlns="{}">{inside}</s>"#, Version::V1_1.basic());
        selector(
            Document::parse(xml.as_bytes(), &Limits::default()).unwrap().root(),
            Version::V1_1,
        )
    }

    #[test]
    fn a_pair_of_empty_names_selects_everything() {
        let stamp = "<Timestamp>2015-12-01T14:27:11+03:00</Timestamp>";
        let empty = "<NamespaceURI/><RootElementLocalName> <!-- x --> </RootElementLocalName>";
        assert_eq!(select(&format!("{empty}{stamp}<NodeID/>")).unwrap().root, None);
        let full = "<NamespaceURI>urn:x</NamespaceURI><RootElementLocalName>R</RootElementLocalName>";
        let selected = select(&format!("{full}{stamp}<NodeID>n1</NodeID>")).unwrap();
        assert_eq!(
            selected.root,
            Some(PayloadRoot {
                namespace: "urn:x".into(),
                local: "R".into()
            })
        );
        assert_eq!(selected.node.unwrap().as_str(), "n1");
        assert!(select(&format!("<NamespaceURI>urn:x</NamespaceURI>{stamp}")).is_err());
        assert!(select(full).is_err());
        assert!(select(&format!("{stamp}<NodeID>{}</NodeID>", "n".repeat(51))).is_err());
    }

    #[test]
    fn an_ack_accepts_unless_it_says_otherwise() {
        let read = |attribute: &str| {
            let xml = format!("<a {attribute}> id </a>");
            ack(Document::parse(xml.as_bytes(), &Limits::default()).unwrap().root()).map(|a| (a.id, a.accepted))
        };
        assert_eq!(read(""), Ok(("id".into(), true)));
        assert_eq!(read("accepted='false'"), Ok(("id".into(), false)));
        assert!(read("accepted='maybe'").is_err());
    }
}
