//! What the gateway itself tells a sender: AsyncProcessingStatus, in the shape that the bus gives it (PROTOCOL §4).

use engine::command::{MessageType, Notice, NoticeReason};

use crate::fault::{Fault, FaultName};
use crate::status;
use crate::version::Version;
use crate::xml;

/// Appends `AsyncProcessingStatus`.
pub(super) fn put(out: &mut String, notice: &Notice, version: Version) {
    let category = match notice.about {
        MessageType::Request => "requestIsRejectedBySmev",
        MessageType::Response | MessageType::Status => "responseIsRejectedBySmev",
    };
    out.push_str("<ns2:AsyncProcessingStatus>");
    xml::element(out, "ns2:OriginalMessageId", &notice.original_message_id.to_string());
    xml::element(out, "ns2:StatusCategory", status::in_version(category, version));
    xml::element(out, "ns2:StatusDetails", xml::shortened(&notice.details, 500));
    put_fault(out, notice, version);
    out.push_str("</ns2:AsyncProcessingStatus>");
}

fn put_fault(out: &mut String, notice: &Notice, version: Version) {
    let name = match &notice.reason {
        NoticeReason::InvalidContent => FaultName::InvalidContent,
        NoticeReason::Expired => FaultName::EndOfLifeReached,
        NoticeReason::UpstreamFault { fault, .. } => FaultName::from_name(fault).unwrap_or(FaultName::SMEVFailure),
        NoticeReason::Operator => FaultName::AccessDenied,
        NoticeReason::NotTranslatable => FaultName::InvalidContent,
    };
    let errors: &[String] = if name == FaultName::InvalidContent {
        &notice.errors
    } else {
        &[]
    };
    out.push_str("<ns2:SmevFault");
    if !errors.is_empty() {
        // The type is a QName in content: `ns3` is declared at the root of every answer.
        out.push_str(r#" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="ns3:InvalidContent""#);
    }
    out.push('>');
    let fault = Fault::new(name, notice.details.as_str());
    let code = match &notice.reason {
        NoticeReason::UpstreamFault { code: Some(code), .. } => code.clone(),
        _ => fault.code().replace("SYNC", "ASYNC"),
    };
    xml::element(out, "Code", xml::shortened(&code, version.fault_code_len()));
    let description = match &notice.reason {
        // What the upstream said is for the sender, whatever the fault.
        NoticeReason::UpstreamFault { fault, .. } => {
            format!("{fault}: {}", notice.errors.first().unwrap_or(&notice.details))
        }
        _ => fault.description(),
    };
    xml::element(out, "Description", &description);
    for error in errors {
        out.push_str(r#"<ns3:ValidationError errorPosition="-1">"#);
        out.push_str(&xml::text(error));
        out.push_str("</ns3:ValidationError>");
    }
    out.push_str("</ns2:SmevFault>");
}
