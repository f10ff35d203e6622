//! What the view knows and what keys change. It draws nothing.

use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::overview::{Counters, Overview, QueueRow, RefusalRow, UpstreamRow};

/// Characters of a filter at most.
const FILTER: usize = 60;

/// The view.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(super) region: String,
    pub(super) interval: Duration,
    pub(super) now: Option<Overview>,
    before: Option<Overview>,
    /// Why there was no answer the last time.
    pub(super) trouble: Option<String>,
    pub(super) sort: Sort,
    pub(super) filter: String,
    pub(super) asking: bool,
    pub(super) paused: bool,
    pub(super) help: bool,
    pub(super) scroll: usize,
}

/// Which queue comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// With most messages.
    Depth,
    /// Whose first message is oldest.
    Age,
    /// With most octets.
    Size,
    /// By the alphabet.
    Name,
}

/// What a key asks of the program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Go on.
    Nothing,
    /// Read at once.
    Read,
    /// End.
    Quit,
}

/// Events a second between two readings.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) accepted: f64,
    pub(super) delivered: f64,
    pub(super) forwarded: f64,
    pub(super) received: f64,
    pub(super) refused: f64,
}

impl Sort {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Depth => "depth",
            Self::Age => "age",
            Self::Size => "size",
            Self::Name => "name",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Depth => Self::Age,
            Self::Age => Self::Size,
            Self::Size => Self::Name,
            Self::Name => Self::Depth,
        }
    }
}

impl State {
    /// Before the first reading.
    pub(crate) fn new(region: String, interval: Duration) -> Self {
        Self {
            region,
            interval,
            now: None,
            before: None,
            trouble: None,
            sort: Sort::Depth,
            filter: String::new(),
            asking: false,
            paused: false,
            help: false,
            scroll: 0,
        }
    }

    /// Takes a reading, or why there is none. While it is paused nothing changes.
    pub(crate) fn take(&mut self, read: Result<Overview, String>) {
        if self.paused {
            return;
        }
        match read {
            Ok(overview) => {
                self.before = self.now.replace(overview);
                self.trouble = None;
            }
            Err(trouble) => self.trouble = Some(trouble),
        }
    }

    /// A key was pressed.
    pub(crate) fn press(&mut self, key: KeyEvent) -> Wish {
        if key.kind == KeyEventKind::Release {
            return Wish::Nothing;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c' | 'd') => Wish::Quit,
                _ => Wish::Nothing,
            };
        }
        if self.asking {
            self.edit(key.code);
            return Wish::Nothing;
        }
        match key.code {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Esc if self.help => self.help = false,
            KeyCode::Esc if !self.filter.is_empty() => self.filter.clear(),
            KeyCode::Esc => return Wish::Quit,
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            KeyCode::Char('p') => self.paused = !self.paused,
            KeyCode::Char(' ') => return Wish::Read,
            KeyCode::Char('s') => {
                self.sort = self.sort.next();
                self.scroll = 0;
            }
            KeyCode::Char('/') => self.asking = true,
            KeyCode::Down | KeyCode::Char('j') => self.scroll_by(1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll_by(-1),
            KeyCode::PageDown => self.scroll_by(10),
            KeyCode::PageUp => self.scroll_by(-10),
            KeyCode::Home => self.scroll = 0,
            _ => {}
        }
        Wish::Nothing
    }

    fn edit(&mut self, key: KeyCode) {
        self.scroll = 0;
        match key {
            KeyCode::Enter => self.asking = false,
            KeyCode::Esc => {
                self.asking = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(c) if !c.is_control() && self.filter.chars().count() < FILTER => self.filter.push(c),
            _ => {}
        }
    }

    fn scroll_by(&mut self, rows: isize) {
        let last = self.queues().len().saturating_sub(1);
        self.scroll = self.scroll.saturating_add_signed(rows).min(last);
    }

    fn fits(&self, name: &str) -> bool {
        self.filter.is_empty() || name.to_lowercase().contains(&self.filter.to_lowercase())
    }

    /// The queues that fit the filter, in the order that was asked for.
    pub(super) fn queues(&self) -> Vec<&QueueRow> {
        let all = self.now.iter().flat_map(|now| &now.queues);
        let mut queues: Vec<_> = all.filter(|queue| self.fits(&queue.name)).collect();
        match self.sort {
            Sort::Depth => queues.sort_by(|a, b| b.messages.cmp(&a.messages).then_with(|| a.name.cmp(&b.name))),
            Sort::Age => queues.sort_by_key(|queue| (queue.oldest.is_none(), queue.oldest, &queue.name)),
            Sort::Size => queues.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name))),
            Sort::Name => queues.sort_by_key(|queue| &queue.name),
        }
        queues
    }

    /// The refusals that fit the filter, newest first.
    pub(super) fn refusals(&self) -> impl Iterator<Item = &RefusalRow> {
        let all = self.now.iter().flat_map(|now| &now.refusals);
        all.filter(|refused| self.fits(&refused.participant) || self.fits(&refused.fault))
    }

    /// The links with what a second brings, if two readings tell.
    pub(super) fn upstreams(&self) -> impl Iterator<Item = (&UpstreamRow, Option<(f64, f64)>)> {
        let seconds = self.seconds();
        self.now.iter().flat_map(|now| &now.upstreams).map(move |link| {
            let before = self.before.iter().flat_map(|before| &before.upstreams);
            let before = before.into_iter().find(|before| before.name == link.name);
            let rates = seconds.zip(before).and_then(|(seconds, before)| {
                Some((
                    rate(before.forwarded, link.forwarded, seconds)?,
                    rate(before.received, link.received, seconds)?,
                ))
            });
            (link, rates)
        })
    }

    /// What a second brings; nothing before the second reading, and after the gateway was started anew.
    pub(super) fn rates(&self) -> Option<Rates> {
        let seconds = self.seconds()?;
        let (before, now) = (self.before.as_ref()?.counters, self.now.as_ref()?.counters);
        let of = |counter: fn(&Counters) -> u64| rate(counter(&before), counter(&now), seconds);
        Some(Rates {
            accepted: of(|counters| counters.accepted)?,
            delivered: of(|counters| counters.delivered)?,
            forwarded: of(|counters| counters.forwarded)?,
            received: of(|counters| counters.received)?,
            refused: of(|counters| counters.refused)?,
        })
    }

    fn seconds(&self) -> Option<f64> {
        let seconds = self
            .now
            .as_ref()?
            .at
            .duration_since(self.before.as_ref()?.at)
            .as_secs_f64();
        (seconds > 0.0).then_some(seconds)
    }
}

fn rate(before: u64, now: u64, seconds: f64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    now.checked_sub(before).map(|more| more as f64 / seconds)
}
