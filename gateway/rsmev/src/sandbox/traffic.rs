//! The systems of the region and the federal consumer, each with its own loop, as if they were programs of their own.
//!
//! They are ordinary programs with ordinary faults: now and then one sends the same message twice, asks for something
//! that nobody provides, or breaks down before it acknowledges what it took.

use std::sync::Arc;
use std::time::Duration;

use emulator::{
    CallError, DeliveredRequest, DeliveredResponse, Emulator, FederalRequest, Participant, Reply, RequestData,
    ResponseData, Selector, SenderProof, Version,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::account::{Account, End, Way};
use super::world::{FEDERAL_CONSUMER, FEDERAL_KIND, LOCAL_KIND, World, number};

/// Between two messages of a consumer.
const SEND_EVERY: Duration = Duration::from_millis(220);
/// How often the federal consumer looks what came back.
const FEDERAL_LOOKS_EVERY: Duration = Duration::from_millis(100);
/// It sends each time it has looked so often.
const FEDERAL_SENDS_EACH: u64 = 7;
/// Before an empty queue is looked at again.
const POLL_EVERY: Duration = Duration::from_millis(120);
/// Before a call is tried again whose answer did not come.
const RETRY_AFTER: Duration = Duration::from_millis(300);

/// Everybody who sends and receives.
pub(super) struct Traffic {
    stage: watch::Sender<Stage>,
    tasks: JoinSet<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Sending,
    OnlyReceiving,
    Over,
}

/// Starts everybody.
pub(super) fn start(world: &World, account: &Arc<Account>) -> Traffic {
    let (stage, watching) = watch::channel(Stage::Sending);
    let mut tasks = JoinSet::new();
    for (index, consumer) in (0_u64..).zip(&world.consumers) {
        let system = System {
            participant: consumer.clone(),
            account: Arc::clone(account),
            stage: watching.clone(),
        };
        tasks.spawn(system.clone().consume(index));
        tasks.spawn(system.receive());
    }
    let provider = System {
        participant: world.provider.clone(),
        account: Arc::clone(account),
        stage: watching.clone(),
    };
    tasks.spawn(provider.provide());
    tasks.spawn(federal_consumer(world.bus.clone(), Arc::clone(account), watching));
    Traffic { stage, tasks }
}

impl Traffic {
    /// Nobody begins anything new.
    pub(super) fn stop_sending(&self) {
        self.stage.send_replace(Stage::OnlyReceiving);
    }

    /// Everybody goes home.
    pub(super) async fn end(mut self) {
        self.stage.send_replace(Stage::Over);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// One system with its key, and what it notes down.
#[derive(Clone)]
struct System {
    participant: Participant,
    account: Arc<Account>,
    stage: watch::Receiver<Stage>,
}

impl System {
    fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Speaks another version each time.
    fn speaking(&self, turn: u64) -> Participant {
        let version = match turn % 3 {
            0 => Version::V1_2,
            1 => Version::V1_1,
            _ => Version::V1_3,
        };
        self.participant.clone().with_version(version)
    }

    async fn consume(self, index: u64) {
        let mut ticks = tokio::time::interval(SEND_EVERY);
        for turn in 0_u64.. {
            ticks.tick().await;
            if self.stage() > Stage::Sending {
                return;
            }
            let participant = self.speaking(turn + index);
            let number = turn * 2 + index;
            let (way, kind) = if turn % 8 < 5 {
                (Way::Local, LOCAL_KIND)
            } else {
                (Way::Up, FEDERAL_KIND)
            };
            let request = participant
                .new_request(payload(kind, number))
                .transaction_code(format!("case-{number}"));
            self.account.sending(&request.message_id, way);
            self.send(&participant, &request).await;
            match turn % 29 {
                7 => self.send_again(&participant, &request).await,
                19 => self.ask_for_nonsense(&participant).await,
                _ => {}
            }
        }
    }

    /// Until there is a receipt, always under the same identifier.
    async fn send(&self, participant: &Participant, request: &RequestData) {
        let id = &request.message_id;
        let mut uncertain = false;
        loop {
            match participant.send_request(request).await {
                Ok(_) => return self.account.accepted(id),
                Err(error) if uncertain && error.fault_name() == Some("MessageIsAlreadySent") => {
                    return self.account.accepted(id);
                }
                Err(CallError::Transport(_)) if self.stage() < Stage::Over => {
                    uncertain = true;
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                Err(error) => return self.account.surprise(format!("{id}: {error}")),
            }
        }
    }

    async fn send_again(&self, participant: &Participant, request: &RequestData) {
        self.expect_fault(
            "MessageIsAlreadySent",
            participant.send_request(request).await.map(|_| ()),
        );
    }

    async fn ask_for_nonsense(&self, participant: &Participant) {
        let request = participant.new_request("<Request xmlns=\"urn://nobody/knows/1.0.0\"/>");
        self.expect_fault(
            "BusinessDataTypeIsNotSupported",
            participant.send_request(&request).await.map(|_| ()),
        );
    }

    fn expect_fault(&self, expected: &str, result: Result<(), CallError>) {
        match result {
            Err(error) if error.fault_name() == Some(expected) => self.account.refused(expected),
            Err(CallError::Transport(_)) => {}
            Err(error) => self.account.surprise(format!("expected {expected}: {error}")),
            Ok(()) => self
                .account
                .surprise(format!("expected {expected}, but it was accepted")),
        }
    }

    async fn receive(self) {
        for turn in 0_u64.. {
            match self.speaking(turn).get_response(&Selector::any()).await {
                Ok(Some(response)) => self.take_answer(&response).await,
                Ok(None) => tokio::time::sleep(POLL_EVERY).await,
                Err(error) => self.complain("GetResponse", &error).await,
            }
            if self.stage() == Stage::Over {
                return;
            }
        }
    }

    async fn take_answer(&self, response: &DeliveredResponse) {
        self.note_proof(&response.sender);
        let Some(request) = &response.original_message_id else {
            return self
                .account
                .surprise(format!("{}: an answer to nothing", response.data.message_id));
        };
        if !response.data.reply.is_final() {
            if matches!(response.data.reply, Reply::Async(_)) {
                self.account
                    .surprise(format!("{request}: rejected by the gateway or the bus"));
            } else {
                self.account.status_came();
            }
            return self.acknowledge(&response.data.message_id).await;
        }
        let first = self.account.answer_came(request);
        if first && digits(request).is_multiple_of(41) {
            // This system breaks down here; the answer will come again.
            return;
        }
        self.acknowledge(&response.data.message_id).await;
        let end = if matches!(response.data.reply, Reply::Rejected(_)) {
            End::Rejected
        } else {
            End::Answered
        };
        self.account.ended(request, end);
    }

    async fn provide(self) {
        for turn in 0_u64.. {
            let participant = self.speaking(turn);
            match participant.get_request(&Selector::any()).await {
                Ok(Some(request)) => self.take_request(&participant, &request).await,
                Ok(None) => tokio::time::sleep(POLL_EVERY / 2).await,
                Err(error) => self.complain("GetRequest", &error).await,
            }
            if self.stage() == Stage::Over {
                return;
            }
        }
    }

    async fn take_request(&self, participant: &Participant, request: &DeliveredRequest) {
        self.note_proof(&request.sender);
        let id = &request.data.message_id;
        let first = self.account.delivered(id);
        if first && digits(id).is_multiple_of(37) {
            // This system breaks down here; the request will come again.
            return;
        }
        let Some(reply_to) = &request.reply_to else {
            return self.account.surprise(format!("{id}: a request without ReplyTo"));
        };
        let number: u64 = number(&request.data.content).parse().unwrap_or(0);
        if number % 7 == 3 {
            self.answer(
                participant,
                &ResponseData::new(reply_to, Reply::status(2, "рассматривается")),
            )
            .await;
        }
        let reply = if number % 11 == 5 {
            Reply::rejected("NO_DATA", "участок не найден")
        } else {
            let plan =
                format!("<Response xmlns=\"{LOCAL_KIND}\"><Number>{number}</Number><Plan>73:24:0</Plan></Response>");
            Reply::content(plan)
        };
        self.answer(participant, &ResponseData::new(reply_to, reply)).await;
        self.acknowledge(id).await;
    }

    async fn answer(&self, participant: &Participant, response: &ResponseData) {
        let mut uncertain = false;
        loop {
            match participant.send_response(response).await {
                Ok(_) => return,
                Err(error) if uncertain && error.fault_name() == Some("MessageIsAlreadySent") => return,
                Err(CallError::Transport(_)) if self.stage() < Stage::Over => {
                    uncertain = true;
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                Err(error) => {
                    return self
                        .account
                        .surprise(format!("answer {}: {error}", response.message_id));
                }
            }
        }
    }

    async fn acknowledge(&self, id: &str) {
        if let Err(error) = self.participant.ack(id).await {
            self.complain(&format!("Ack of {id}"), &error).await;
        }
    }

    fn note_proof(&self, proof: &SenderProof) {
        match proof {
            SenderProof::Holds(_) => self.account.proof(true),
            SenderProof::DoesNotHold(_) => self.account.proof(false),
            SenderProof::Absent => {}
        }
    }

    async fn complain(&self, call: &str, error: &CallError) {
        if self.stage() < Stage::Over {
            self.account
                .surprise(format!("{} {call}: {error}", self.participant.identity().mnemonic()));
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// Sends requests into the region, and looks what came back to the bus.
async fn federal_consumer(bus: Emulator, account: Arc<Account>, stage: watch::Receiver<Stage>) {
    let mut ticks = tokio::time::interval(FEDERAL_LOOKS_EVERY);
    for turn in 0_u64.. {
        ticks.tick().await;
        let now = *stage.borrow();
        if now == Stage::Sending && turn.is_multiple_of(FEDERAL_SENDS_EACH) {
            let data = RequestData::new(payload(LOCAL_KIND, 1_000_000 + turn));
            let id = data.message_id.clone();
            account.sending(&id, Way::Down);
            match bus.push_request(FederalRequest::new(FEDERAL_CONSUMER, data)) {
                Ok(_) => account.accepted(&id),
                Err(error) => account.surprise(format!("{id}: {error}")),
            }
        }
        let ledger = bus.ledger();
        for id in account.open(Way::Down) {
            let answers = ledger.responses_to(&id);
            let mut replies = answers
                .iter()
                .filter_map(|answer| Some(&answer.message.response()?.reply));
            if let Some(reply) = replies.find(|reply| reply.is_final()) {
                account.answer_came(&id);
                let end = if matches!(reply, Reply::Rejected(_)) {
                    End::Rejected
                } else {
                    End::Answered
                };
                account.ended(&id, end);
            }
        }
        if now == Stage::Over {
            return;
        }
    }
}

fn payload(kind: &str, number: u64) -> String {
    format!("<Request xmlns=\"{kind}\"><Number>{number}</Number><OKTMO>73701000</OKTMO></Request>")
}

/// A number that an identifier always gives: whether something goes wrong with it is decided by that.
fn digits(id: &str) -> u64 {
    id.bytes()
        .take(8)
        .fold(0, |sum, octet| sum.wrapping_mul(31).wrapping_add(u64::from(octet)))
}
