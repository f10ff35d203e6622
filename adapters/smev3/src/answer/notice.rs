//! What the gateway itself tells a sender: AsyncProcessingStatus, in the shape that the bus gives it (PROTOCOL §4).

use std::borrow::Cow;

use engine::command::{MessageType, Notice, NoticeReason};

use crate::fault::FaultName;
use crate::status;
use crate::version::Version;
use crate::xml;

/// What a person reads about a rejection. The engine's own words are for operators; what an operator wrote is kept.
pub(crate) fn details(notice: &Notice) -> Cow<'_, str> {
    match &notice.reason {
        NoticeReason::InvalidContent => "Содержимое не соответствует схеме вида сведений.".into(),
        NoticeReason::Expired => "Сообщение не было доставлено до истечения срока его жизни.".into(),
        NoticeReason::UpstreamFault { fault, .. } => format!("СМЭВ отклонила сообщение: {fault}.").into(),
        NoticeReason::NotTranslatable => {
            "Содержимое нельзя передать в версии протокола, которой пользуется получатель.".into()
        }
        NoticeReason::Operator => notice.details.as_str().into(),
    }
}

/// Appends `AsyncProcessingStatus`.
pub(super) fn put(out: &mut String, notice: &Notice, version: Version) {
    let category = match notice.about {
        MessageType::Request => "requestIsRejectedBySmev",
        MessageType::Response | MessageType::Status => "responseIsRejectedBySmev",
    };
    out.push_str("<ns2:AsyncProcessingStatus>");
    xml::element(out, "ns2:OriginalMessageId", &notice.original_message_id.to_string());
    xml::element(out, "ns2:StatusCategory", status::in_version(category, version));
    xml::element(out, "ns2:StatusDetails", xml::shortened(&details(notice), 500));
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
    let code = match &notice.reason {
        NoticeReason::UpstreamFault { code: Some(code), .. } => code.clone(),
        _ => name.code("ASYNC"),
    };
    xml::element(out, "Code", xml::shortened(&code, version.fault_code_len()));
    let description = match &notice.reason {
        // What the upstream said is for the sender, whatever the fault.
        NoticeReason::UpstreamFault { fault, .. } => {
            let said = notice.errors.first().map_or_else(|| details(notice), Into::into);
            format!("{fault}: {said}")
        }
        _ => format!("{}:{}", name.number(), details(notice)),
    };
    xml::element(out, "Description", &description);
    for error in errors {
        out.push_str(r#"<ns3:ValidationError errorPosition="-1">"#);
        out.push_str(&xml::text(error));
        out.push_str("</ns3:ValidationError>");
    }
    out.push_str("</ns2:SmevFault>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_words_are_not_shown_and_an_operators_are() {
        let mut notice = Notice {
            message_id: "c0938f39-9a55-11ea-8ec7-2dd0b486eb66".parse().unwrap(),
            original_message_id: "b077cd84-3959-11f1-b8b2-0242333cce59".parse().unwrap(),
            about: MessageType::Request,
            reason: NoticeReason::Operator,
            details: "words".to_owned(),
            errors: Vec::new(),
            upstream: None,
        };
        let text = |notice: &Notice| {
            let mut out = String::new();
            put(&mut out, notice, Version::V1_2);
            out
        };
        assert!(text(&notice).contains("<ns2:StatusDetails>words<"));
        for reason in [
            NoticeReason::InvalidContent,
            NoticeReason::Expired,
            NoticeReason::NotTranslatable,
            NoticeReason::UpstreamFault {
                fault: "AccessDenied".to_owned(),
                code: None,
            },
        ] {
            notice.reason = reason;
            let text = text(&notice);
            assert!(!text.contains("words") && text.contains(&*details(&notice)), "{text}");
        }
    }
}
