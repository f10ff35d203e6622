//! A bus that loses answers and says things twice, while the gateway is being killed.

use emulator::{Emulator, FederalRequest, Knob, Operation, RequestData};
use testdisk::Chance;

use crate::books::Books;
use crate::common::{SPRAVKA, request};

/// Requests of the bus that may be unanswered at the same time.
const OUTSTANDING: usize = 24;

/// What goes wrong between the gateway and the bus.
pub(crate) struct Trouble<'a> {
    bus: &'a Emulator,
    knobs: Vec<Knob>,
}

impl<'a> Trouble<'a> {
    pub(crate) fn new(bus: &'a Emulator) -> Self {
        Self { bus, knobs: Vec::new() }
    }

    /// One thing more goes wrong, once or a few times.
    pub(crate) fn turn(&mut self, chance: &mut Chance) {
        use Operation::{Ack, GetRequest, GetResponse, SendRequest, SendResponse};
        let knobs = self.bus.knobs();
        let times = 1 + chance.number() % 3;
        self.knobs.push(match chance.below(10) {
            0 | 1 => knobs.lose_answers(SendRequest, times),
            2 => knobs.half_answers(SendRequest, times),
            3 => knobs.drop_calls(SendRequest, times),
            4 => knobs.lose_answers(SendResponse, times),
            5 => knobs.lose_answers(Ack, times),
            6 => knobs.lose_answers(GetRequest, times),
            7 => knobs.lose_answers(GetResponse, times),
            8 => knobs.deliver_again(GetRequest, times),
            _ => knobs.deliver_again(GetResponse, times),
        });
    }

    /// The bus asks the region, unless it has asked much already.
    pub(crate) fn ask(&self, books: &Books) {
        let ledger = self.bus.ledger();
        let mut book = books.lock();
        let answered = |id: &String| !ledger.responses_to(id).is_empty();
        if book.asked.keys().filter(|id| !answered(id)).count() < OUTSTANDING {
            let text = format!("FED-{}", book.asked.len());
            let data = RequestData::new(request(SPRAVKA, &text));
            let asked = self.bus.push_request(FederalRequest::new("FED01", data));
            let id = asked.expect("the bus knows the kind and its provider");
            book.asked.insert(id, text);
        }
    }

    /// All goes well again; how often it did not.
    pub(crate) fn end(&self) -> u64 {
        self.bus.knobs().clear();
        self.knobs.iter().map(Knob::worked).sum()
    }
}
