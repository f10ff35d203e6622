//! The view's picture: a pure function of what it knows. Rows that do not fit are left out, the least needed first.

use std::borrow::Cow;

use engine::units::{show_seconds, show_size};
use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::overview::Overview;
use super::state::State;
use crate::logging;

/// Rows of refusals at most.
const REFUSALS: usize = 6;
/// From this width on tables have all of their columns and figures their whole names.
const WIDE: u16 = 76;
/// From this height on there is room for what is good to know.
const TALL: u16 = 18;

const HELP: [&str; 12] = [
    "q, Esc, Ctrl-C   quit",
    "s                sort queues by depth, age, size, name",
    "/                filter queues and refusals; Enter keeps, Esc clears",
    "p                pause: the picture stays, the gateway goes on",
    "space            read now",
    "up, down, j, k   move through the queues; also PgUp, PgDn, Home",
    "? or h           this help",
    "",
    "accepted  durable and answered      delivered  handed out, also again",
    "forwarded upstreams have it         received   from upstreams",
    "Rates are those between the last two readings. LAG: age of the oldest",
    "message that an upstream has not yet accepted.",
];

/// Draws the whole picture.
pub(crate) fn draw(state: &State, colours: bool, area: Rect, buffer: &mut Buffer) {
    let mut page = Page::new(area, buffer, colours);
    head(state, &mut page);
    let foot = page.reserve_last();
    if state.help {
        for line in HELP {
            page.text(line);
        }
    } else if let Some(now) = &state.now {
        figures(state, now, &mut page);
        lists(state, now, &mut page);
    } else if state.trouble.is_none() {
        page.text("waiting for the gateway's answer");
    }
    if let Some(y) = foot {
        page.at(y, &footer(state), page.style(Tone::Dim));
    }
}

fn head(state: &State, page: &mut Page<'_>) {
    let mut line = format!(" rsmev {}", state.region);
    let mut tone = Tone::Head;
    if let Some(now) = &state.now {
        let ready = if now.ready { "ready" } else { "NOT READY" };
        line += &format!("  {}  {ready}  {}", now.version, clock(now.at));
        if !now.ready {
            tone = Tone::Alarm;
        }
    }
    if state.paused {
        line += "  PAUSED";
    } else {
        line += &format!("  every {:?}", state.interval);
    }
    page.bar(&line, tone);
    if let Some(trouble) = &state.trouble {
        page.line(&format!("no answer: {trouble}"), Tone::Bad);
    }
}

fn figures(state: &State, now: &Overview, page: &mut Page<'_>) {
    let rates = state.rates();
    let rate = |of: fn(&super::state::Rates) -> f64| {
        rates
            .as_ref()
            .map_or_else(|| "-".to_owned(), |rates| show_rate(of(rates)))
    };
    let names = match page.is_wide() {
        true => ["per second  accepted", "delivered", "forwarded", "received", "refused"],
        false => ["1/s acc", "dlv", "fwd", "rcv", "ref"],
    };
    page.text(&format!(
        "{} {}  {} {}  {} {}  {} {}  {} {}",
        names[0],
        rate(|rates| rates.accepted),
        names[1],
        rate(|rates| rates.delivered),
        names[2],
        rate(|rates| rates.forwarded),
        names[3],
        rate(|rates| rates.received),
        names[4],
        rate(|rates| rates.refused),
    ));
    if page.is_tall() {
        let counters = now.counters;
        page.line(
            &format!(
                "since start accepted {}  delivered {}  forwarded {}  received {}  refused {}",
                grouped(counters.accepted),
                grouped(counters.delivered),
                grouped(counters.forwarded),
                grouped(counters.received),
                grouped(counters.refused),
            ),
            Tone::Dim,
        );
    }
    let gauges = now.gauges;
    let tone = if gauges.quarantine > 0 { Tone::Warn } else { Tone::Plain };
    page.line(
        &format!(
            "waiting {}  quarantine {}  handed out {}  connections {}  in flight {}",
            grouped(gauges.waiting),
            grouped(gauges.quarantine),
            grouped(gauges.leases),
            grouped(gauges.connections),
            show_size(gauges.in_flight_bytes),
        ),
        tone,
    );
    let low = gauges.disk_free_bytes < gauges.disk_reserve_bytes.saturating_mul(2);
    if low || page.is_tall() {
        page.line(
            &format!(
                "disk free {} (stops at {})  journal {}  spool {}  index {}",
                show_size(gauges.disk_free_bytes),
                show_size(gauges.disk_reserve_bytes),
                show_size(gauges.journal_bytes),
                show_size(gauges.spool_bytes),
                show_size(gauges.index_bytes),
            ),
            if low { Tone::Warn } else { Tone::Plain },
        );
    }
    for trouble in &now.troubles {
        let since = age(now.at, trouble.since);
        page.line(
            &format!("! {} for {since}: {}", trouble.name, trouble.message),
            Tone::Bad,
        );
    }
    let counted = |counted: &[super::overview::Counted]| {
        let words = counted.iter().map(|one| format!("{} {}", one.name, grouped(one.count)));
        words.collect::<Vec<_>>().join("  ")
    };
    if !now.incidents.is_empty() {
        page.line(&format!("incidents   {}", counted(&now.incidents)), Tone::Warn);
    }
    if !now.faults.is_empty() && page.is_tall() {
        page.line(&format!("faults      {}", counted(&now.faults)), Tone::Dim);
    }
}

fn lists(state: &State, now: &Overview, page: &mut Page<'_>) {
    if !now.upstreams.is_empty() && page.left() >= 3 {
        let wide = page.is_wide();
        page.heading(&match wide {
            true => format!(
                "{:<16} {:<5} {:>8} {:>9} {:>7} {:>7} {:>9}  {}",
                "UPSTREAM", "STATE", "SINCE", "LAG", "SENT/s", "RECV/s", "RETRIED", "WHY"
            ),
            false => format!("{:<16} {:<5} {:>9}  {}", "UPSTREAM", "STATE", "LAG", "WHY"),
        });
        for (link, rates) in state.upstreams() {
            let (sent, received) = rates.map_or_else(
                || ("-".to_owned(), "-".to_owned()),
                |(sent, received)| (show_rate(sent), show_rate(received)),
            );
            let (name, lag) = (short(&link.name, 16), show_seconds(link.lag_seconds));
            let word = if link.up { "up" } else { "DOWN" };
            let line = match wide {
                true => format!(
                    "{name:<16} {word:<5} {:>8} {lag:>9} {sent:>7} {received:>7} {:>9}  {}",
                    age(now.at, link.since),
                    grouped(link.retried),
                    link.message
                ),
                false => format!("{name:<16} {word:<5} {lag:>9}  {}", link.message),
            };
            page.line(&line, if link.up { Tone::Good } else { Tone::Bad });
        }
    }
    let refusals: Vec<_> = state.refusals().take(REFUSALS).collect();
    // The queues come first where there is little room.
    let below = if refusals.is_empty() { 0 } else { refusals.len() + 1 };
    let below = if usize::from(page.left()) >= below + 5 {
        below
    } else {
        0
    };
    queues(state, now, page, below);
    if below > 0 {
        page.heading(&format!(
            "{:<9}  {:<12} {:<30} {:<20} {}",
            "REFUSED", "PARTICIPANT", "FAULT", "REASON", "OPERATION"
        ));
        for refused in refusals {
            page.line(
                &format!(
                    "{:<9}  {:<12} {:<30} {:<20} {}",
                    clock(refused.at),
                    short(&refused.participant, 12),
                    short(&refused.fault, 30),
                    short(&refused.reason, 20),
                    refused.operation
                ),
                Tone::Warn,
            );
        }
    }
}

fn queues(state: &State, now: &Overview, page: &mut Page<'_>, below: usize) {
    let wide = page.is_wide();
    let name_width = usize::from(page.width())
        .saturating_sub(if wide { 44 } else { 22 })
        .clamp(10, 60);
    let columns = |name: &str, messages: &str, leased: &str, bytes: &str, oldest: &str| {
        let name = short(name, name_width);
        match wide {
            true => format!("{name:<name_width$} {messages:>10} {leased:>10} {bytes:>10} {oldest:>10}"),
            false => format!("{name:<name_width$} {messages:>10} {oldest:>10}"),
        }
    };
    let title = match state.filter.is_empty() {
        true => "QUEUE".to_owned(),
        false => format!("QUEUE ~ {}", state.filter),
    };
    page.heading(&columns(&title, "MESSAGES", "HANDED OUT", "SIZE", "OLDEST"));
    let rows = state.queues();
    let room = usize::from(page.left()).saturating_sub(below);
    if rows.is_empty() && room > 0 {
        page.line("nothing waits", Tone::Dim);
    }
    let scroll = state.scroll.min(rows.len().saturating_sub(1));
    let hidden = rows.len().saturating_sub(scroll + room);
    let shown = if hidden > 0 { room.saturating_sub(1) } else { room };
    for queue in rows.iter().skip(scroll).take(shown) {
        let oldest = queue
            .oldest
            .map_or_else(|| "-".to_owned(), |oldest| age(now.at, oldest));
        let name = match &queue.halted {
            Some(halted) => Cow::Owned(format!("{} ({halted})", queue.name)),
            None => Cow::Borrowed(&*queue.name),
        };
        page.text(&columns(
            &name,
            &grouped(queue.messages),
            &grouped(queue.leased),
            &show_size(queue.bytes),
            &oldest,
        ));
    }
    if hidden > 0 && room > 0 {
        let unsent = now.queues_in_use.saturating_sub(now.queues.len() as u64);
        let more = (rows.len() - scroll - shown) as u64 + unsent;
        page.line(&format!("… {} more", grouped(more)), Tone::Dim);
    }
}

fn footer(state: &State) -> String {
    if state.asking {
        return format!("filter: {}_   Enter keeps, Esc clears", state.filter);
    }
    let sort = state.sort.word();
    format!("q quit  s sort ({sort})  / filter  p pause  space read now  ? help")
}

/// What a row is to the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    Dim,
    Good,
    Warn,
    Bad,
    Head,
    Alarm,
}

/// The picture from above to below.
struct Page<'b> {
    area: Rect,
    buffer: &'b mut Buffer,
    colours: bool,
    y: u16,
    end: u16,
}

impl<'b> Page<'b> {
    fn new(area: Rect, buffer: &'b mut Buffer, colours: bool) -> Self {
        let area = area.intersection(buffer.area);
        Self {
            area,
            buffer,
            colours,
            y: area.top(),
            end: area.bottom(),
        }
    }

    fn width(&self) -> u16 {
        self.area.width
    }

    fn is_wide(&self) -> bool {
        self.area.width >= WIDE
    }

    fn is_tall(&self) -> bool {
        self.area.height >= TALL
    }

    /// Rows that are still free.
    fn left(&self) -> u16 {
        self.end.saturating_sub(self.y)
    }

    /// The last row, where there is more than one.
    fn reserve_last(&mut self) -> Option<u16> {
        if self.left() == 0 {
            return None;
        }
        self.end -= 1;
        Some(self.end)
    }

    fn text(&mut self, text: &str) {
        self.line(text, Tone::Plain);
    }

    fn line(&mut self, text: &str, tone: Tone) {
        if self.left() > 0 {
            self.at(self.y, text, self.style(tone));
            self.y += 1;
        }
    }

    /// A row that ends what was before.
    fn heading(&mut self, text: &str) {
        self.bar(text, Tone::Head);
    }

    /// A row in one colour from edge to edge.
    fn bar(&mut self, text: &str, tone: Tone) {
        if self.left() > 0 {
            let style = self.style(tone);
            let row = Rect::new(self.area.x, self.y, self.area.width, 1);
            self.buffer.set_style(row, style);
            self.at(self.y, text, style);
            self.y += 1;
        }
    }

    fn at(&mut self, y: u16, text: &str, style: Style) {
        let mut clean = String::with_capacity(text.len());
        logging::escape(text, &mut clean);
        self.buffer
            .set_stringn(self.area.x, y, clean, usize::from(self.area.width), style);
    }

    /// Without colours what matters is told by weight alone.
    fn style(&self, tone: Tone) -> Style {
        let plain = Style::new();
        match (tone, self.colours) {
            (Tone::Plain | Tone::Good, false) | (Tone::Plain, true) => plain,
            (Tone::Dim, _) => plain.add_modifier(Modifier::DIM),
            (Tone::Head, _) => plain.add_modifier(Modifier::REVERSED),
            (Tone::Alarm, false) => plain.add_modifier(Modifier::REVERSED | Modifier::BOLD),
            (Tone::Warn | Tone::Bad, false) => plain.add_modifier(Modifier::BOLD),
            (Tone::Good, true) => plain.fg(Color::Green),
            (Tone::Warn, true) => plain.fg(Color::Yellow),
            (Tone::Bad, true) => plain.fg(Color::Red).add_modifier(Modifier::BOLD),
            (Tone::Alarm, true) => plain.fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD),
        }
    }
}

/// A name in a column.
fn short(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().count() <= width {
        return Cow::Borrowed(text);
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    Cow::Owned(kept + "…")
}

fn age(now: Timestamp, since: Timestamp) -> String {
    show_seconds(u64::try_from(now.duration_since(since).as_secs()).unwrap_or(0))
}

fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%SZ").to_string()
}

/// `0`, `0.4`, `12.5`, `1,204`.
fn show_rate(rate: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and small"
    )]
    match rate {
        0.0 => "0".to_owned(),
        ..100.0 => format!("{rate:.1}"),
        _ => grouped(rate.round() as u64),
    }
}

/// A number with a comma before each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
