//! Answers of local providers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;

use crate::command::{Answer, AnswerTo, Content, Delivery, Incoming, NoRecipient, Refusal, SchemaVerdict, TakeFrom};
use crate::names::MessageId;
use crate::testing::{Region, answer, id_at, participant, request};

/// A region in which `LAND` was handed a request of `CITY`.
fn asked(node: Option<&str>) -> (Region, Delivery) {
    let mut region = Region::new();
    let mut incoming = request(participant("CITY"), id(&region, 1), "plan");
    incoming.node = node.map(|node| node.parse().unwrap());
    region.accept(incoming).unwrap();
    let delivery = region.take("LAND", TakeFrom::Requests).unwrap();
    (region, delivery)
}

fn id(region: &Region, n: u32) -> MessageId {
    id_at(region.now, n)
}

fn token(delivery: &Delivery) -> AnswerTo {
    AnswerTo::Token(delivery.reply_token.clone().unwrap())
}

fn with(mut incoming: Incoming, form: Answer) -> Incoming {
    if let Content::Response { answer, .. } = &mut incoming.content {
        *answer = form;
    }
    incoming
}

#[test]
fn an_answer_goes_to_the_sub_queue_that_the_request_named() {
    let (mut region, delivery) = asked(Some("N1"));
    let incoming = answer(participant("LAND"), id(&region, 2), token(&delivery), "plan");
    region.accept(incoming).unwrap();
    assert!(region.take("CITY", TakeFrom::Responses(None)).is_none());
    assert!(
        region
            .take("CITY", TakeFrom::Responses(Some("N2".parse().unwrap())))
            .is_none()
    );
    let response = region
        .take("CITY", TakeFrom::Responses(Some("N1".parse().unwrap())))
        .unwrap();
    assert_eq!(response.original_message_id, Some(delivery.message_id));
    assert_eq!(
        response.exchange_note, delivery.exchange_note,
        "the request's note comes with the answer"
    );
}

#[test]
fn only_the_provider_that_was_handed_the_request_may_use_its_token() {
    let mut region = Region::new();
    region
        .accept(request(participant("CITY"), id(&region, 1), "plan"))
        .unwrap();
    let exchange = region.message(1).unwrap().exchange.unwrap();
    let before = AnswerTo::Token(crate::decide::answer::token_text(1, &exchange.token));
    let early = answer(participant("LAND"), id(&region, 2), before.clone(), "plan");
    assert_eq!(
        region.accept(early).unwrap_err().reason(),
        "unknown_token",
        "not handed out yet"
    );

    region.take("LAND", TakeFrom::Requests).unwrap();
    let mut content = region.registry.content().clone();
    let land = content
        .grants
        .iter()
        .find(|g| g.party == participant("LAND"))
        .unwrap()
        .clone();
    content.grants.push(crate::registry::Grant {
        party: participant("TOWN"),
        ..land
    });
    region.registry = crate::registry::Registry::new(content);
    let foreign = answer(participant("TOWN"), id(&region, 3), before, "plan");
    assert_eq!(
        region.accept(foreign).unwrap_err().reason(),
        "unknown_token",
        "it was handed to LAND"
    );

    let wrong = AnswerTo::Token(crate::decide::answer::token_text(1, &[0; 16]));
    for to in [wrong, AnswerTo::Token(String::new()), AnswerTo::Token("я".repeat(32))] {
        let incoming = answer(participant("LAND"), id(&region, 4), to, "plan");
        assert_eq!(region.accept(incoming).unwrap_err().reason(), "unknown_token");
    }
}

#[test]
fn a_token_that_was_not_given_out_for_this_exchange_is_refused_like_any_other() {
    let (mut region, first) = asked(None);
    let second = request(participant("CITY"), id(&region, 2), "plan");
    region.accept(second).unwrap();
    let second = region.take("LAND", TakeFrom::Requests).unwrap();
    let (first, second) = (first.reply_token.unwrap(), second.reply_token.unwrap());
    let octets = |token: &str| URL_SAFE_NO_PAD.decode(token).unwrap();
    assert_ne!(octets(&first)[8..], octets(&second)[8..]);
    // The number of the one exchange under the secret of the other.
    let spliced = [&octets(&first)[..8], &octets(&second)[8..]].concat();
    let mut forged = vec![
        URL_SAFE_NO_PAD.encode(spliced),
        first[..31].to_owned(),
        first[..30].to_owned(),
        format!("{first}{first}"),
        format!("{first}="),
        first.to_lowercase(),
    ];
    // Any single bit changed, in the number or in the secret.
    for bit in 0..24 * 8 {
        let mut changed = octets(&first);
        changed[bit / 8] ^= 1 << (bit % 8);
        forged.push(URL_SAFE_NO_PAD.encode(changed));
    }
    let refuse = |region: &mut Region, from: &str, token: String| {
        let incoming = answer(participant(from), id(region, 3), AnswerTo::Token(token), "plan");
        region.accept(incoming).unwrap_err()
    };
    for token in forged {
        let refusal = refuse(&mut region, "LAND", token.clone());
        assert_eq!(refusal, Refusal::from(NoRecipient::UnknownToken), "{token}");
    }
    // Right, but another participant's.
    assert_eq!(
        refuse(&mut region, "TOWN", first.clone()),
        Refusal::from(NoRecipient::UnknownToken)
    );
    let right = answer(participant("LAND"), id(&region, 4), AnswerTo::Token(first), "plan");
    region.accept(right).unwrap();
}

#[test]
fn a_token_leads_nowhere_for_others_without_a_grant() {
    let (mut region, delivery) = asked(None);
    let foreign = answer(participant("TOWN"), id(&region, 2), token(&delivery), "plan");
    assert_eq!(region.accept(foreign).unwrap_err().reason(), "unknown_token");
}

#[test]
fn states_may_precede_the_final_answer_and_nothing_follows_it() {
    let finals = [Answer::Rejected, payload("plan")];
    for last in finals {
        let (mut region, delivery) = asked(None);
        for n in 2..4 {
            let incoming = answer(participant("LAND"), id(&region, n), token(&delivery), "plan");
            region.accept(with(incoming, Answer::Status)).unwrap();
        }
        let incoming = answer(participant("LAND"), id(&region, 4), token(&delivery), "plan");
        region.accept(with(incoming, last)).unwrap();
        for (n, form) in [(5, Answer::Status), (6, Answer::Rejected), (7, payload("plan"))] {
            let incoming = answer(participant("LAND"), id(&region, n), token(&delivery), "plan");
            let refusal = region.accept(with(incoming, form)).unwrap_err();
            assert_eq!(refusal, Refusal::from(NoRecipient::Answered));
        }
    }
}

#[test]
fn an_answer_that_fails_its_schema_does_not_end_the_exchange() {
    let (mut region, delivery) = asked(None);
    let mut invalid = answer(participant("LAND"), id(&region, 2), token(&delivery), "plan");
    if let Content::Response { schema, .. } = &mut invalid.content {
        *schema = SchemaVerdict::Invalid(vec!["no".to_owned()]);
    }
    region.accept(invalid).unwrap();
    assert!(region.take("CITY", TakeFrom::Responses(None)).is_none());
    let status = region.take("LAND", TakeFrom::Status).unwrap();
    assert_eq!(
        status.original_message_id,
        Some(id(&region, 2)),
        "the provider learns of it in its status queue"
    );
    let corrected = answer(participant("LAND"), id(&region, 3), token(&delivery), "plan");
    assert!(region.accept(corrected).is_ok());
}

#[test]
fn the_payload_must_be_the_answer_to_this_kind() {
    let cases = [
        ("both", "Response", "not_an_answer"),
        ("plan", "Request", "not_an_answer"),
        ("none", "Response", "unknown_kind"),
    ];
    for (kind, local, expected) in cases {
        let (mut region, delivery) = asked(None);
        let incoming = answer(participant("LAND"), id(&region, 2), token(&delivery), kind);
        let root = crate::command::PayloadRoot {
            namespace: format!("urn:{kind}"),
            local: local.to_owned(),
        };
        let refusal = region.accept(with(incoming, Answer::Payload(root))).unwrap_err();
        assert_eq!(refusal.reason(), expected, "{kind} {local}");
    }
}

#[test]
fn a_withdrawn_grant_stops_answers() {
    let (mut region, delivery) = asked(None);
    region.revoke(&participant("LAND"));
    for form in [payload("plan"), Answer::Rejected, Answer::Status] {
        let incoming = answer(participant("LAND"), id(&region, 2), token(&delivery), "plan");
        assert_eq!(
            region.accept(with(incoming, form)).unwrap_err().reason(),
            "unknown_token"
        );
    }
}

#[test]
fn a_token_lives_until_thirty_days_after_the_final_answer() {
    let (mut region, delivery) = asked(None);
    region.acknowledge("LAND", delivery.message_id).unwrap();
    region.pass(SignedDuration::from_hours(24 * 100));
    region.tick();
    let incoming = answer(participant("LAND"), id(&region, 2), token(&delivery), "plan");
    region.accept(incoming).unwrap();
    region.pass(SignedDuration::from_hours(24 * 30) - SignedDuration::from_secs(1));
    region.tick();
    let again = |region: &Region| answer(participant("LAND"), id(region, 3), token(&delivery), "plan");
    let refusal = region.accept(again(&region)).unwrap_err();
    assert_eq!(refusal, Refusal::from(NoRecipient::Answered));
    region.pass(SignedDuration::from_secs(2));
    region.tick();
    let refusal = region.accept(again(&region)).unwrap_err();
    assert_eq!(refusal, Refusal::from(NoRecipient::UnknownToken));
}

fn payload(kind: &str) -> Answer {
    Answer::Payload(crate::command::PayloadRoot {
        namespace: format!("urn:{kind}"),
        local: "Response".to_owned(),
    })
}
