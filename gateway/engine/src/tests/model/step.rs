//! What can happen.

use proptest::prelude::*;

use super::reference::Says;

#[derive(Debug, Clone)]
pub(super) enum Step {
    Request {
        sender: &'static str,
        kind: &'static str,
        id: Id,
        node: Option<&'static str>,
        /// Minutes from now.
        end_of_life: Option<i64>,
        north: bool,
        flaw: Flaw,
    },
    Answer {
        provider: &'static str,
        which: usize,
        says: Says,
        id: Id,
        flaw: Flaw,
    },
    PullRequest {
        kind: &'static str,
        again: Option<usize>,
        schema_fits: bool,
    },
    PullAnswer {
        which: usize,
        says: Says,
        schema_fits: bool,
    },
    PulledAcknowledged {
        which: usize,
    },
    Take {
        who: &'static str,
        inbox: usize,
        kind: Option<&'static str>,
    },
    Acknowledge {
        who: &'static str,
        which: usize,
        accepted: bool,
    },
    Start {
        which: usize,
    },
    Outcome {
        which: usize,
        outcome: usize,
        /// How often the attempt is made and ends so.
        times: u32,
    },
    Decide {
        which: usize,
        retry: bool,
    },
    Grants {
        request: bool,
        provide: bool,
    },
    /// A person suspends a participant, or lets it call again.
    Suspend {
        who: &'static str,
        on: bool,
    },
    /// A person pauses a queue, or lets its messages go again.
    Pause {
        queue: &'static str,
        on: bool,
    },
    /// The clock goes on, or back.
    Pass {
        minutes: i64,
    },
    Restart,
    Crash {
        seed: u64,
        index: bool,
    },
}

/// The identifier of a message.
#[derive(Debug, Clone, Copy)]
pub(super) enum Id {
    Fresh,
    /// One that was used before, by anybody.
    Known(usize),
    /// Made so many minutes from now.
    At(i64),
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    Attachments,
    Files,
    Schema,
}

const SYSTEMS: [&str; 3] = ["CITY", "TOWN", "LAND"];
const KINDS: [&str; 6] = ["plan", "pass", "both", "home", "lost", "none"];
const QUEUES: [&str; 6] = [
    "LAND/requests",
    "CITY/responses",
    "CITY/responses/N1",
    "TOWN/responses",
    "LAND/status",
    "upstream/federal",
];
const NODES: [Option<&str>; 3] = [None, Some("N1"), Some("N2")];

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let request = (sender(), kind(), id(), node(), end_of_life(), any::<bool>(), flaw()).prop_map(
        |(sender, kind, id, node, end_of_life, north, flaw)| Step::Request {
            sender,
            kind,
            id,
            node,
            end_of_life,
            north,
            flaw,
        },
    );
    let answer = (
        prop_oneof![9 => Just("LAND"), 1 => Just("TOWN")],
        any::<usize>(),
        says(),
        id(),
        flaw(),
    )
        .prop_map(|(provider, which, says, id, flaw)| Step::Answer {
            provider,
            which,
            says,
            id,
            flaw,
        });
    let fits = || prop::bool::weighted(0.9);
    let step = prop_oneof![
        12 => request,
        4 => answer,
        3 => (prop_oneof![4 => Just("plan"), 1 => kind()], prop::option::weighted(0.2, any::<usize>()), fits())
            .prop_map(|(kind, again, schema_fits)| Step::PullRequest { kind, again, schema_fits }),
        3 => (any::<usize>(), says(), fits())
            .prop_map(|(which, says, schema_fits)| Step::PullAnswer { which, says, schema_fits }),
        1 => any::<usize>().prop_map(|which| Step::PulledAcknowledged { which }),
        8 => (prop_oneof![3 => Just("LAND"), 2 => Just("CITY"), 1 => Just("TOWN")], 0..5_usize,
            prop::option::weighted(0.2, kind())).prop_map(|(who, inbox, kind)| Step::Take { who, inbox, kind }),
        6 => (system(), any::<usize>(), prop::bool::weighted(0.9))
            .prop_map(|(who, which, accepted)| Step::Acknowledge { who, which, accepted }),
        3 => any::<usize>().prop_map(|which| Step::Start { which }),
        5 => (any::<usize>(), prop_oneof![12 => (0..8_usize, Just(1)), 1 => (Just(3), 18..22_u32)])
            .prop_map(|(which, (outcome, times))| Step::Outcome { which, outcome, times }),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(which, retry)| Step::Decide { which, retry }),
        1 => (prop::bool::weighted(0.7), prop::bool::weighted(0.7))
            .prop_map(|(request, provide)| Step::Grants { request, provide }),
        1 => (system(), prop::bool::weighted(0.4)).prop_map(|(who, on)| Step::Suspend { who, on }),
        1 => (prop::sample::select(QUEUES.as_slice()), prop::bool::weighted(0.4))
            .prop_map(|(queue, on)| Step::Pause { queue, on }),
        5 => prop_oneof![4 => 1..20_i64, 2 => 60..3000_i64, 1 => 3000..9000_i64, 1 => -600..0_i64]
            .prop_map(|minutes| Step::Pass { minutes }),
        1 => Just(Step::Restart),
        1 => (any::<u64>(), any::<bool>()).prop_map(|(seed, index)| Step::Crash { seed, index }),
    ];
    prop::collection::vec(step, 1..90)
}

fn system() -> impl Strategy<Value = &'static str> {
    prop::sample::select(SYSTEMS.as_slice())
}

fn sender() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("CITY"), 2 => Just("TOWN"), 1 => Just("LAND")]
}

fn kind() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("plan"), 4 => Just("pass"), 3 => Just("both"), 1 => prop::sample::select(KINDS.as_slice())]
}

fn node() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(NODES.as_slice())
}

fn end_of_life() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![3 => Just(None), 1 => (-60..300_i64).prop_map(Some)]
}

fn id() -> impl Strategy<Value = Id> {
    prop_oneof![
        12 => Just(Id::Fresh),
        2 => any::<usize>().prop_map(Id::Known),
        1 => prop_oneof![-3000..20_i64, -20..20_i64].prop_map(Id::At),
    ]
}

fn flaw() -> impl Strategy<Value = Flaw> {
    prop_oneof![12 => Just(Flaw::None), 1 => Just(Flaw::Attachments), 1 => Just(Flaw::Files), 1 => Just(Flaw::Schema)]
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        6 => kind().prop_map(Says::Payload),
        1 => kind().prop_map(Says::RequestOf),
        1 => Just(Says::Rejected),
        1 => Just(Says::Status),
        1 => any::<bool>().prop_map(|rejection| Says::Async { rejection }),
    ]
}
