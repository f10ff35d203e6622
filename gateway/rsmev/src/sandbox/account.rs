//! What the systems at both ends have seen: every exchange from its sending to its end.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The three ways that exchanges go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// From a consumer of the region to its provider.
    Local,
    /// From a consumer of the region to the federal provider.
    Up,
    /// From a federal consumer to the region's provider.
    Down,
}

impl Way {
    /// All of them.
    pub(super) const ALL: [Way; 3] = [Way::Local, Way::Up, Way::Down];
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With an answer.
    Answered,
    /// With the provider's rejection.
    Rejected,
}

/// One exchange.
#[derive(Debug, Clone)]
struct Exchange {
    way: Way,
    sent: Instant,
    /// How long the receipt took.
    accepted: Option<Duration>,
    /// How often the region's provider got it.
    deliveries: u32,
    /// How often its answer came.
    answers: u32,
    ended: Option<(Duration, End)>,
    /// The bus was down at some moment of its life.
    met_outage: bool,
}

/// The account of the whole run.
pub(super) struct Account(Mutex<Book>);

#[derive(Default)]
struct Book {
    exchanges: HashMap<String, Exchange>,
    down: bool,
    statuses: u64,
    proofs: (u64, u64),
    refused: BTreeMap<String, u64>,
    surprises: Vec<String>,
}

/// Figures of one way.
#[derive(Debug, Clone, Default)]
pub(super) struct WayFigures {
    /// Sent.
    pub(super) sent: u64,
    /// With a receipt.
    pub(super) accepted: u64,
    /// Taken by the region's provider.
    pub(super) delivered: u64,
    /// Ended with an answer.
    pub(super) answered: u64,
    /// Ended with a rejection.
    pub(super) rejected: u64,
    /// Lived while the bus was down, and needed it.
    pub(super) waited: u64,
    /// Requests and answers that came again.
    pub(super) redelivered: u64,
    /// Until the receipt, sorted.
    pub(super) accept_times: Vec<Duration>,
    /// Until the answer, of those that did not meet the outage, sorted.
    pub(super) answer_times: Vec<Duration>,
    /// Until the answer, of those that did, sorted.
    pub(super) waited_times: Vec<Duration>,
}

impl WayFigures {
    /// Ended one way or the other.
    pub(super) fn ended(&self) -> u64 {
        self.answered + self.rejected
    }
}

/// Figures of everything at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    /// By way.
    pub(super) ways: BTreeMap<Way, WayFigures>,
    /// Intermediate states that consumers got.
    pub(super) statuses: u64,
    /// Senders' signatures that held at the receiver, and those of translated messages, which cannot.
    pub(super) proofs: (u64, u64),
    /// Calls that were refused as they should be, by fault.
    pub(super) refused: BTreeMap<String, u64>,
    /// What should not have happened.
    pub(super) surprises: Vec<String>,
}

/// So many surprises are told.
const SURPRISES: usize = 20;

impl Account {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bus goes down, or comes back.
    pub(super) fn bus_down(&self, down: bool) {
        let mut book = self.book();
        book.down = down;
        for exchange in book.exchanges.values_mut().filter(|exchange| exchange.ended.is_none()) {
            exchange.met_outage |= down && exchange.way != Way::Local;
        }
    }

    /// A request is about to be sent.
    pub(super) fn sending(&self, id: &str, way: Way) {
        let mut book = self.book();
        let met_outage = book.down && way != Way::Local;
        let (accepted, deliveries, answers, ended) = (None, 0, 0, None);
        let exchange = Exchange {
            way,
            sent: Instant::now(),
            accepted,
            deliveries,
            answers,
            ended,
            met_outage,
        };
        book.exchanges.insert(id.to_owned(), exchange);
    }

    /// Its receipt came.
    pub(super) fn accepted(&self, id: &str) {
        self.with(id, |exchange| exchange.accepted = Some(exchange.sent.elapsed()));
    }

    /// The region's provider got it; says whether for the first time.
    pub(super) fn delivered(&self, id: &str) -> bool {
        let mut first = false;
        self.with(id, |exchange| {
            exchange.deliveries += 1;
            first = exchange.deliveries == 1;
        });
        first
    }

    /// The answer came; says whether for the first time.
    pub(super) fn answer_came(&self, id: &str) -> bool {
        let mut first = false;
        self.with(id, |exchange| {
            exchange.answers += 1;
            first = exchange.answers == 1;
        });
        first
    }

    /// The answer was acknowledged: the exchange is over.
    pub(super) fn ended(&self, id: &str, end: End) {
        let mut twice = false;
        self.with(id, |exchange| {
            twice = exchange.ended.is_some();
            exchange.ended = Some((exchange.sent.elapsed(), end));
        });
        if twice {
            self.surprise(format!("{id}: a second final answer"));
        }
    }

    /// News about a request came.
    pub(super) fn status_came(&self) {
        self.book().statuses += 1;
    }

    /// A delivered message's signature by its sender was checked.
    pub(super) fn proof(&self, holds: bool) {
        let mut book = self.book();
        if holds {
            book.proofs.0 += 1;
        } else {
            book.proofs.1 += 1;
        }
    }

    /// A wrong call was refused.
    pub(super) fn refused(&self, fault: &str) {
        *self.book().refused.entry(fault.to_owned()).or_default() += 1;
    }

    /// Something happened that should not have.
    pub(super) fn surprise(&self, text: String) {
        let mut book = self.book();
        if book.surprises.len() < SURPRISES {
            book.surprises.push(text);
        }
    }

    fn with(&self, id: &str, change: impl FnOnce(&mut Exchange)) {
        let mut book = self.book();
        match book.exchanges.get_mut(id) {
            Some(exchange) => change(exchange),
            None => {
                drop(book);
                self.surprise(format!("{id}: nobody sent this"));
            }
        }
    }

    /// Whether every exchange is over.
    pub(super) fn is_settled(&self) -> bool {
        self.book().exchanges.values().all(|exchange| exchange.ended.is_some())
    }

    /// Requests of this way that are not over.
    pub(super) fn open(&self, way: Way) -> Vec<String> {
        let book = self.book();
        let open = book
            .exchanges
            .iter()
            .filter(|(_, exchange)| exchange.way == way && exchange.ended.is_none());
        open.map(|(id, _)| id.clone()).collect()
    }

    /// One request that had to wait for the bus, the longest of all.
    pub(super) fn longest_wait(&self) -> Option<(String, Duration)> {
        let book = self.book();
        let waited = book
            .exchanges
            .iter()
            .filter(|(_, exchange)| exchange.met_outage && exchange.way == Way::Up);
        let ended = waited.filter_map(|(id, exchange)| Some((id.clone(), exchange.ended?.0)));
        ended.max_by_key(|(_, took)| *took)
    }

    /// How things stand.
    pub(super) fn figures(&self) -> Figures {
        let book = self.book();
        let mut ways: BTreeMap<Way, WayFigures> =
            Way::ALL.into_iter().map(|way| (way, WayFigures::default())).collect();
        for exchange in book.exchanges.values() {
            if let Some(figures) = ways.get_mut(&exchange.way) {
                exchange.count(figures);
            }
        }
        for figures in ways.values_mut() {
            figures.accept_times.sort_unstable();
            figures.answer_times.sort_unstable();
            figures.waited_times.sort_unstable();
        }
        Figures {
            ways,
            statuses: book.statuses,
            proofs: book.proofs,
            refused: book.refused.clone(),
            surprises: book.surprises.clone(),
        }
    }
}

impl Exchange {
    fn count(&self, figures: &mut WayFigures) {
        figures.sent += 1;
        figures.accepted += u64::from(self.accepted.is_some());
        figures.accept_times.extend(self.accepted);
        figures.delivered += u64::from(self.deliveries > 0);
        figures.redelivered += u64::from(self.deliveries.saturating_sub(1)) + u64::from(self.answers.saturating_sub(1));
        figures.waited += u64::from(self.met_outage);
        if let Some((took, end)) = self.ended {
            match end {
                End::Answered => figures.answered += 1,
                End::Rejected => figures.rejected += 1,
            }
            if self.met_outage {
                figures.waited_times.push(took);
            } else {
                figures.answer_times.push(took);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_is_open_until_its_answer_is_acknowledged() {
        let account = Account::new();
        account.sending("a", Way::Local);
        account.accepted("a");
        assert!(account.delivered("a"));
        assert!(!account.delivered("a"), "the second time it is a redelivery");
        assert!(account.answer_came("a"));
        assert!(!account.is_settled());
        account.ended("a", End::Rejected);
        assert!(account.is_settled());
        let local = &account.figures().ways[&Way::Local];
        assert_eq!(
            (
                local.sent,
                local.delivered,
                local.rejected,
                local.redelivered,
                local.waited
            ),
            (1, 1, 1, 1, 0)
        );
    }

    #[test]
    fn only_what_needs_the_bus_waits_for_it() {
        let account = Account::new();
        account.sending("before", Way::Up);
        account.bus_down(true);
        account.sending("local", Way::Local);
        account.sending("during", Way::Down);
        account.bus_down(false);
        account.sending("after", Way::Up);
        let figures = account.figures();
        assert_eq!(Way::ALL.map(|way| figures.ways[&way].waited), [0, 1, 1]);
    }

    #[test]
    fn a_second_end_and_a_stranger_are_surprises() {
        let account = Account::new();
        account.sending("a", Way::Local);
        account.ended("a", End::Answered);
        account.ended("a", End::Answered);
        account.delivered("b");
        assert_eq!(
            account.figures().surprises,
            ["a: a second final answer", "b: nobody sent this"]
        );
    }
}
