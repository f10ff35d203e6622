//! What the gateway tells a sender about its message (AsyncProcessingStatus), as a message of its own.

use crate::command::{MessageType, NOTICE_FORMAT, Notice, NoticeReason};
use crate::event::{AcceptedMessage, Admission, Event, Role, SentMessage};
use crate::message::Message;
use crate::names::Party;

use super::{Bodies, Context, Planned};

/// Longest text for a person, in characters (StatusDetails).
const DETAILS: usize = 500;

/// The notice that a message was rejected after its acceptance. None goes out about notices, and none to an upstream
/// about its answer: there is no operation that would carry it.
pub(crate) fn rejection(
    context: &mut Context<'_, '_>,
    seq: u64,
    message: &Message,
    reason: NoticeReason,
    details: &str,
    errors: Vec<String>,
) -> Option<Planned> {
    let (recipient, message_type) = match (&message.sender, message.message_type) {
        (Party::Gateway, _) | (_, MessageType::Status) | (Party::Upstream(_), MessageType::Response) => return None,
        (sender, MessageType::Request) => (sender.clone(), MessageType::Response),
        (sender, MessageType::Response) => (sender.clone(), MessageType::Status),
    };
    if message.kind.is_none() && matches!(recipient, Party::Upstream(_)) {
        // Nothing can be said upstream about what is of no kind: the recorded decision is the end.
        return None;
    }
    let on_behalf = match (&recipient, &message.recipient) {
        (Party::Upstream(_), Some(Party::Participant(provider))) => Some(provider.clone()),
        (Party::Upstream(_), _) => Some(context.settings.node.clone()),
        _ => None,
    };
    let upstream = match &message.recipient {
        Some(Party::Upstream(name)) => Some(name.clone()),
        _ => None,
    };
    let notice = Notice {
        message_id: context.fresh_id(),
        original_message_id: message.id,
        about: message.message_type,
        reason,
        details: details.chars().take(DETAILS).collect(),
        errors: errors
            .into_iter()
            .map(|error| error.chars().take(DETAILS).collect())
            .collect(),
        upstream,
    };
    let body = serde_json::to_vec(&notice).expect("a notice is plain data, which JSON can hold");
    let node = if message_type == MessageType::Response {
        message.node.clone()
    } else {
        None
    };
    let sent = SentMessage {
        id: notice.message_id,
        door: String::new(),
        sender: Party::Gateway,
        remote_sender: None,
        reference: message.reference,
        end_of_life: None,
        test: message.test,
        format: NOTICE_FORMAT.to_owned(),
        attachments: 0,
        evidence: None,
    };
    let admission = Admission {
        recipient: Some(recipient),
        role: Role {
            message_type,
            kind: message.kind.clone(),
            node,
            about: Some(seq),
            original: Some(message.id),
            closes: false,
        },
        on_behalf,
        parts: Vec::new(),
        note: None,
        facts: None,
        sealed: false,
        token: None,
        quarantine: None,
    };
    let bodies = Bodies {
        notice: Some(body),
        ..Bodies::default()
    };
    Some(Planned {
        event: Event::Accepted(Box::new(AcceptedMessage { sent, admission })),
        beginning: None,
        bodies,
    })
}
