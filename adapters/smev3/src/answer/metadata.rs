//! `MessageMetadata` in each version (PROTOCOL §3.7).

use engine::names::{MessageId, Party};
use engine::registry::Registry;
use jiff::Timestamp;

use super::{Author, moment};
use crate::status;
use crate::version::Version;
use crate::xml;

/// How a party is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyName {
    /// Mnemonic.
    pub mnemonic: String,
    /// Name for people.
    pub name: String,
}

impl PartyName {
    /// How a party is shown. What stands behind an upstream goes by the names that the upstream gave, if it gave any.
    pub fn of(
        party: &Party,
        remote_mnemonic: Option<&str>,
        remote_name: Option<&str>,
        author: &Author,
        registry: &Registry,
    ) -> Self {
        let (mnemonic, name) = match party {
            Party::Participant(mnemonic) => (
                mnemonic.as_str(),
                registry.participant(mnemonic).map(|p| p.name.as_str()),
            ),
            Party::Upstream(name) => (remote_mnemonic.unwrap_or(name.as_str()), remote_name),
            Party::Gateway => (author.mnemonic.as_str(), Some(author.name.as_str())),
        };
        let name = name.filter(|name| !name.is_empty()).unwrap_or(mnemonic);
        Self {
            mnemonic: xml::shortened(mnemonic, 50).to_owned(),
            name: xml::shortened(name, 500).to_owned(),
        }
    }

    fn put(&self, out: &mut String, element: &str, version: Version) {
        out.push_str(&format!("<ns2:{element}>"));
        xml::element(out, "ns2:Mnemonic", &self.mnemonic);
        if version != Version::V1_2 {
            xml::element(out, "ns2:HumanReadableName", &self.name);
        }
        out.push_str(&format!("</ns2:{element}>"));
    }
}

/// What is known about a message.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) message_id: MessageId,
    pub(super) message_type: &'static str,
    pub(super) sender: PartyName,
    pub(super) sent_at: Timestamp,
    pub(super) recipient: PartyName,
    pub(super) delivered_at: Option<Timestamp>,
    pub(super) status: &'static str,
}

impl Metadata {
    /// Appends the element; with an Id only where it is what the gateway signs.
    pub(super) fn put(&self, out: &mut String, version: Version, id: Option<&str>) {
        out.push_str("<ns2:MessageMetadata");
        if let Some(id) = id {
            out.push_str(&format!(" Id=\"{id}\""));
        }
        out.push('>');
        xml::element(out, "ns2:MessageId", &self.message_id.to_string());
        xml::element(out, "ns2:MessageType", self.message_type);
        self.sender.put(out, "Sender", version);
        xml::element(out, "ns2:SendingTimestamp", &moment(self.sent_at));
        if version == Version::V1_1 {
            xml::element(out, "ns2:DestinationName", "unknown");
        }
        self.recipient.put(out, "Recipient", version);
        if version == Version::V1_1 {
            out.push_str("<ns2:SupplementaryData>");
            xml::element(out, "ns2:DetectedContentTypeName", "not detected");
            xml::element(out, "ns2:InteractionType", "NotDetected");
            out.push_str("</ns2:SupplementaryData>");
        }
        if let Some(at) = self.delivered_at {
            xml::element(out, "ns2:DeliveryTimestamp", &moment(at));
        }
        xml::element(out, "ns2:Status", status::in_version(self.status, version));
        out.push_str("</ns2:MessageMetadata>");
    }
}
