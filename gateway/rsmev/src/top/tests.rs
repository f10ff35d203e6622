//! Whole pictures of a region that is known, and what keys change.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Color, Modifier};

use super::overview::{Counted, Counters, Gauges, Overview, QueueRow, RefusalRow, Trouble, UpstreamRow};
use super::state::Wish;
use super::{State, as_text, draw, picture};

fn at(second: i64) -> Timestamp {
    "2026-11-22T10:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

fn queue(name: &str, messages: u64, bytes: u64, oldest: i64) -> QueueRow {
    QueueRow {
        name: name.to_owned(),
        messages,
        leased: messages / 10,
        bytes,
        oldest: Some(at(oldest)),
        halted: None,
    }
}

fn upstream(name: &str, up: bool, message: &str, forwarded: u64) -> UpstreamRow {
    UpstreamRow {
        name: name.to_owned(),
        up,
        since: at(-7_500),
        message: message.to_owned(),
        lag_seconds: if up { 0 } else { 754 },
        forwarded,
        retried: 12,
        received: 7,
    }
}

/// The region at a second, after `messages` messages.
fn overview(second: i64, messages: u64) -> Overview {
    Overview {
        at: at(second),
        version: "0.1.0".to_owned(),
        ready: true,
        troubles: Vec::new(),
        counters: Counters {
            accepted: 1_000_000 + messages,
            delivered: 900_000 + messages / 2,
            forwarded: 7_000,
            received: 100,
            refused: 3,
        },
        gauges: Gauges {
            waiting: 12_345,
            leases: 25,
            quarantine: 0,
            in_flight_bytes: 1_200_000,
            connections: 14,
            disk_free_bytes: 50_000_000_000,
            disk_reserve_bytes: 1_000_000_000,
            journal_bytes: 1_234_000_000,
            spool_bytes: 345_000_000,
            index_bytes: 8_000_000,
        },
        queues: vec![
            queue("MUN001/requests", 12_000, 60_000_000, -100),
            queue("GISOGD73/responses", 250, 90_000_000, -4_000),
            queue("upstream/federal", 95, 400_000, -754),
        ],
        queues_in_use: 3,
        upstreams: vec![
            upstream("federal", false, "down: no connection", 7_000),
            upstream("neighbour", true, "", messages),
        ],
        refusals: vec![RefusalRow {
            at: at(-3),
            participant: "MUN002".to_owned(),
            operation: "SendRequest".to_owned(),
            fault: "AccessDenied".to_owned(),
            reason: "no_grant".to_owned(),
        }],
        faults: vec![Counted {
            name: "AccessDenied".to_owned(),
            count: 3,
        }],
        incidents: Vec::new(),
    }
}

fn state() -> State {
    let mut state = State::new("REGION73".to_owned(), Duration::from_secs(2));
    state.take(Ok(overview(0, 0)));
    state.take(Ok(overview(2, 4_000)));
    state
}

fn shown(state: &State, width: u16, height: u16) -> String {
    as_text(&picture(state, false, (width, height)))
}

fn press(state: &mut State, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            '\u{8}' => KeyCode::Backspace,
            c => KeyCode::Char(c),
        };
        state.press(KeyEvent::new(code, KeyModifiers::NONE));
    }
}

#[test]
fn the_whole_picture_is_as_it_should_be() {
    assert_eq!(shown(&state(), 100, 20), include_str!("tests/whole.txt"));
}

#[test]
fn a_small_terminal_shows_what_matters_most() {
    assert_eq!(shown(&state(), 50, 12), include_str!("tests/small.txt"));
}

#[test]
fn no_size_is_too_small_or_too_large() {
    let mut helping = state();
    helping.help = true;
    let mut hopeless = State::new("R".to_owned(), Duration::from_secs(1));
    hopeless.take(Err("connection refused".to_owned()));
    for (width, height) in [(0, 0), (1, 1), (2, 5), (80, 1), (80, 2), (80, 24), (300, 100)] {
        for state in [&state(), &helping, &hopeless] {
            let text = shown(state, width, height);
            assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)));
        }
    }
}

/// The terminal's own way of drawing, with a change of its size in between.
#[test]
fn a_terminal_that_changes_its_size_gets_a_picture_that_fits() {
    let mut terminal = Terminal::new(TestBackend::new(100, 20)).unwrap();
    for (width, height) in [(100, 20), (50, 12), (100, 20)] {
        terminal.backend_mut().resize(width, height);
        terminal
            .draw(|frame| draw(&state(), false, frame.area(), frame.buffer_mut()))
            .unwrap();
        assert_eq!(
            as_text(terminal.backend().buffer()),
            shown(&state(), width, height),
            "{width}x{height}"
        );
    }
}

#[test]
fn there_are_rates_after_two_readings_of_the_same_run() {
    let mut state = State::new("R".to_owned(), Duration::from_secs(2));
    assert!(shown(&state, 80, 24).contains("waiting for the gateway"));
    state.take(Ok(overview(0, 0)));
    assert!(shown(&state, 80, 24).contains("per second  accepted -"));
    state.take(Ok(overview(4, 10)));
    assert!(shown(&state, 80, 24).contains("per second  accepted 2.5  delivered 1.2"));
    // Started anew: counters begin at 0.
    let mut anew = overview(8, 0);
    anew.counters = Counters::default();
    state.take(Ok(anew));
    assert!(shown(&state, 80, 24).contains("per second  accepted -"));
}

#[test]
fn trouble_is_shown_and_what_was_known_stays() {
    let mut state = state();
    let mut bad = overview(4, 4_000);
    bad.ready = false;
    bad.troubles.push(Trouble {
        name: "disk".to_owned(),
        since: at(-60),
        message: "too little room".to_owned(),
    });
    bad.incidents.push(Counted {
        name: "disk_low".to_owned(),
        count: 1,
    });
    state.take(Ok(bad));
    state.take(Err("connection refused".to_owned()));
    let text = shown(&state, 100, 24);
    for expected in [
        "NOT READY",
        "no answer: connection refused",
        "! disk for 1m 4s: too little room",
        "incidents   disk_low 1",
        "MUN001/requests",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn keys_sort_filter_pause_help_and_quit() {
    let mut state = state();
    let first = |state: &State| state.queues().first().map(|queue| queue.name.clone());
    assert_eq!(first(&state).as_deref(), Some("MUN001/requests"));
    for expected in ["GISOGD73/responses", "GISOGD73/responses", "GISOGD73/responses"] {
        press(&mut state, "s");
        assert_eq!(first(&state).as_deref(), Some(expected), "{:?}", state.sort);
    }
    press(&mut state, "s/FEDq\u{8}");
    assert!(shown(&state, 100, 24).contains("filter: FED_"));
    press(&mut state, "\n");
    assert_eq!(first(&state).as_deref(), Some("upstream/federal"));
    assert_eq!(state.queues().len(), 1);
    assert_eq!(state.refusals().count(), 0, "the filter holds for refusals too");
    press(&mut state, "\u{1b}");
    assert_eq!(state.queues().len(), 3);
    press(&mut state, "p");
    let before = shown(&state, 100, 24);
    assert!(before.contains("PAUSED"));
    state.take(Ok(overview(60, 9_000)));
    assert_eq!(shown(&state, 100, 24), before);
    press(&mut state, "p?");
    assert!(shown(&state, 100, 24).contains("sort queues by depth"));
    press(&mut state, "\u{1b}");
    let key = |code, modifiers| KeyEvent::new(code, modifiers);
    assert_eq!(state.press(key(KeyCode::Char(' '), KeyModifiers::NONE)), Wish::Read);
    assert_eq!(state.press(key(KeyCode::Char('c'), KeyModifiers::CONTROL)), Wish::Quit);
    assert_eq!(state.press(key(KeyCode::Char('q'), KeyModifiers::NONE)), Wish::Quit);
}

#[test]
fn the_queues_scroll_and_tell_how_many_are_hidden() {
    let mut state = State::new("R".to_owned(), Duration::from_secs(2));
    let mut many = overview(0, 0);
    many.queues = (0..50_u32)
        .map(|number| queue(&format!("Q{number:02}/requests"), u64::from(100 - number), 1, 0))
        .collect();
    many.queues_in_use = 70;
    many.refusals.clear();
    state.take(Ok(many));
    let text = shown(&state, 80, 24);
    assert!(text.contains("Q00/requests") && text.contains("… 58 more"), "{text}");
    for _ in 0..100 {
        state.press(KeyEvent::new(KeyCode::PageDown, KeyModifiers::NONE));
    }
    let text = shown(&state, 80, 24);
    assert!(text.contains("Q49/requests") && !text.contains("more"), "{text}");
}

#[test]
fn a_queue_that_a_person_brought_to_a_halt_says_so() {
    let mut state = State::new("R".to_owned(), Duration::from_secs(2));
    let mut halted = overview(0, 0);
    halted.queues[2].halted = Some("paused".to_owned());
    state.take(Ok(halted));
    assert!(shown(&state, 80, 24).contains("upstream/federal (paused)"));
}

#[test]
fn names_from_outside_are_escaped() {
    let mut state = State::new("R".to_owned(), Duration::from_secs(2));
    let mut hostile = overview(0, 0);
    hostile.queues[0].name = "MUN001/responses/a\u{1b}[2J\nb".to_owned();
    hostile.upstreams[0].message = "\u{9b}31m\r".to_owned();
    state.take(Ok(hostile));
    let text = shown(&state, 120, 24);
    assert!(text.contains("a\\u{1b}[2J\\nb"), "{text}");
    assert!(text.contains("\\u{9b}31m\\r"), "{text}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
}

#[test]
fn colours_tell_good_from_bad_and_can_be_left_out() {
    let row = |colours| {
        let picture = picture(&state(), colours, (100, 20));
        let text = as_text(&picture);
        let y = text.lines().position(|line| line.starts_with("federal")).unwrap();
        picture[(0, u16::try_from(y).unwrap())].clone()
    };
    assert_eq!(row(true).fg, Color::Red);
    assert_eq!(row(false).fg, Color::Reset);
    assert!(row(false).modifier.contains(Modifier::BOLD));
    assert!(
        picture(&state(), false, (100, 20))
            .content
            .iter()
            .all(|cell| { cell.fg == Color::Reset && cell.bg == Color::Reset })
    );
}
