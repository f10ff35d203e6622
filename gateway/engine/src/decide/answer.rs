//! Answers: how they find back to the request, and when they are allowed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use crate::command::{Answer, MessageType, NoRecipient, PayloadRoot, Refusal};
use crate::event::{Placement, Role};
use crate::message::Message;
use crate::names::{KindName, Mnemonic, Party};
use crate::registry::{Direction, May, Registry};

use super::{Context, Stop};

/// The token's text: the request's inner key, then 128 random bits.
pub(crate) fn token_text(seq: u64, random: &[u8; 16]) -> String {
    let mut octets = [0; 24];
    octets[..8].copy_from_slice(&seq.to_be_bytes());
    octets[8..].copy_from_slice(random);
    URL_SAFE_NO_PAD.encode(octets)
}

pub(crate) fn parse_token(text: &str) -> Option<(u64, [u8; 16])> {
    let octets: [u8; 24] = URL_SAFE_NO_PAD.decode(text.trim()).ok()?.try_into().ok()?;
    let (seq, random) = octets.split_first_chunk()?;
    Some((u64::from_be_bytes(*seq), random.try_into().ok()?))
}

/// An answer of a local provider. Only the provider that was handed the request may use its token.
pub(super) fn by_token(
    context: &Context<'_, '_>,
    provider: &Mnemonic,
    token: &str,
    answer: &Answer,
) -> Result<Placement, Stop> {
    let kind = match answer {
        Answer::Payload(root) => Some(payload_kind(context.registry, root)?),
        Answer::Rejected | Answer::Status => None,
        Answer::Async { .. } => {
            return Err(Refusal::from(NoRecipient::Notice).into());
        }
    };
    let party = Party::Participant(provider.clone());
    if let Some(kind) = &kind {
        may_provide(context.registry, &party, kind)?;
    }
    let (seq, request) = find(context, &party, token)?;
    let closed = request
        .exchange
        .as_ref()
        .is_none_or(|exchange| exchange.closed.is_some());
    if closed {
        return Err(Refusal::from(NoRecipient::Answered).into());
    }
    match (&request.kind, kind, answer) {
        (Some(expected), Some(kind), Answer::Payload(root)) if *expected != kind => {
            return Err(incorrect(root).into());
        }
        (Some(expected), None, _) => may_provide(context.registry, &party, expected)?,
        _ => {}
    }
    Ok(back(seq, &request, answer))
}

fn find(context: &Context<'_, '_>, provider: &Party, token: &str) -> Result<(u64, Message), Stop> {
    let unknown = || Stop::from(Refusal::from(NoRecipient::UnknownToken));
    let (seq, random) = parse_token(token).ok_or_else(unknown)?;
    let request = context.state.message(seq)?.ok_or_else(unknown)?;
    let known = request
        .exchange
        .as_ref()
        .is_some_and(|exchange| exchange.token.ct_eq(&random).into());
    if known && request.handed_out && request.recipient.as_ref() == Some(provider) {
        Ok((seq, request))
    } else {
        Err(unknown())
    }
}

/// Where the answer to a request goes.
pub(super) fn back(seq: u64, request: &Message, answer: &Answer) -> Placement {
    Placement {
        recipient: request.sender.clone(),
        role: Role {
            message_type: MessageType::Response,
            kind: request.kind.clone(),
            node: request.node.clone(),
            about: Some(seq),
            original: Some(request.id),
            closes: is_final(answer),
        },
    }
}

/// Whether an answer ends the exchange.
pub(super) fn is_final(answer: &Answer) -> bool {
    match answer {
        Answer::Payload(_) | Answer::Rejected => true,
        Answer::Status => false,
        Answer::Async { rejection } => *rejection,
    }
}

/// The kind of an answer's payload.
pub(super) fn payload_kind(registry: &Registry, root: &PayloadRoot) -> Result<KindName, Refusal> {
    match registry.kind_by_root(&root.namespace, &root.local) {
        Some((kind, _)) if Registry::is_response(kind, root) => Ok(kind.name.clone()),
        Some((_, Direction::Request)) => Err(incorrect(root)),
        _ => Err(Refusal::UnknownKind {
            namespace: root.namespace.clone(),
            local: root.local.clone(),
        }),
    }
}

pub(super) fn incorrect(root: &PayloadRoot) -> Refusal {
    Refusal::IncorrectResponse {
        namespace: root.namespace.clone(),
        local: root.local.clone(),
    }
}

/// An answer never meets AccessDenied: the operation does not declare it (PROTOCOL §5). Without a grant the token leads
/// nowhere.
fn may_provide(registry: &Registry, party: &Party, kind: &KindName) -> Result<(), Refusal> {
    if registry.allows(party, kind, May::Provide) {
        return Ok(());
    }
    Err(NoRecipient::UnknownToken.into())
}
