//! Messages as doors hand them in.

use crate::command::{Answer, AnswerTo, AttachmentFault, Content, Incoming, PayloadRoot, SchemaVerdict};
use crate::names::{MessageId, Party};
use crate::testing::{answer, participant, request, upstream};
use crate::tests::model::reference::{Pulled, Says, Sent, What};

pub(super) fn sent(sent: &Sent) -> Incoming {
    let sender = participant(sent.sender);
    let mut incoming = match &sent.what {
        What::Request { kind, north } => {
            let mut incoming = request(sender, sent.id, kind);
            if let (true, Content::Request { routing, .. }) = (*north, &mut incoming.content) {
                routing.dynamic = vec!["north".to_owned()];
            }
            incoming
        }
        What::Answer { token, says } => said(sender, sent.id, AnswerTo::Token(token.clone()), *says),
    };
    incoming.node = sent.node.map(|node| node.parse().unwrap());
    incoming.end_of_life = sent.end_of_life;
    incoming.file_references = sent.files;
    if sent.attachments_wrong {
        incoming.attachments = Err(AttachmentFault::TooMany { permitted: 1 });
    }
    judge(&mut incoming, sent.schema_fits);
    incoming
}

pub(super) fn pulled(id: MessageId, pulled: Pulled, schema_fits: bool) -> Incoming {
    let sender = Party::Upstream(upstream());
    let mut incoming = match pulled {
        Pulled::Request { kind } => request(sender, id, kind),
        Pulled::Answer { original, says } => said(sender, id, AnswerTo::Original(original), says),
    };
    judge(&mut incoming, schema_fits);
    incoming
}

fn said(sender: Party, id: MessageId, to: AnswerTo, says: Says) -> Incoming {
    let mut incoming = answer(sender, id, to, "plan");
    let root = |kind: &str, local: &str| PayloadRoot {
        namespace: format!("urn:{kind}"),
        local: local.to_owned(),
    };
    if let Content::Response { answer, .. } = &mut incoming.content {
        *answer = match says {
            Says::Payload(kind) => Answer::Payload(root(kind, "Response")),
            Says::RequestOf(kind) => Answer::Payload(root(kind, "Request")),
            Says::Rejected => Answer::Rejected,
            Says::Status => Answer::Status,
            Says::Async { rejection } => Answer::Async { rejection },
        };
    }
    incoming
}

fn judge(incoming: &mut Incoming, fits: bool) {
    let (Content::Request { schema, .. } | Content::Response { schema, .. }) = &mut incoming.content;
    if !fits {
        *schema = SchemaVerdict::Invalid(vec!["wrong".to_owned()]);
    }
}
