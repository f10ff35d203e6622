//! `rsmev top`: what a running gateway is doing, live.
//!
//! Each reading is one request at the admin socket, answered from counters ([`Overview`]). [`State`] is what the view knows, [`draw`] its
//! picture; the terminal is in `screen` alone.

mod draw;
mod overview;
mod screen;
mod state;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::cli::{Output, Top};
use crate::failure::Failure;
use crate::operator::Request;
use crate::output::Out;
use crate::screenshot::svg;
use crate::settings::Settings;
use crate::store::Store;

use draw::draw;
pub(crate) use overview::Overview;
use state::State;

/// `top`
pub(crate) fn run(arguments: &Top, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    let read = reader(settings)?;
    match (arguments.output, arguments.once) {
        (Output::Json, _) => Ok(out.json(&read()?)?),
        (Output::Table, true) => {
            let state = twice(settings, arguments.interval, read)?;
            Ok(out.raw(as_text(&picture(&state, false, arguments.size)).as_bytes())?)
        }
        (Output::Table, false) if !std::io::stdout().is_terminal() => Err(Failure::refused(
            "standard output is no terminal; rsmev top --once prints one picture",
        )),
        (Output::Table, false) => {
            let state = State::new(settings.node.mnemonic.to_string(), arguments.interval);
            let colours = std::env::var_os("NO_COLOR").is_none();
            let read = move || read().map_err(|failure| failure.to_string());
            screen::show(state, colours, read).map_err(|error| Failure::refused(format!("the terminal: {error}")))
        }
    }
}

/// `reference screenshot --top`: the picture in colour, as SVG.
pub(crate) fn screenshot(settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    let state = twice(settings, Duration::from_secs(2), reader(settings)?)?;
    Ok(out.raw(svg(&picture(&state, true, (100, 26))).as_bytes())?)
}

/// How the running gateway is read.
fn reader(settings: &Settings) -> Result<impl Fn() -> Result<Overview, Failure> + Send + use<>, Failure> {
    let Some(gateway) = Store::find(settings)? else {
        return Err(Failure::refused(format!(
            "{}: no gateway answers; rsmev top looks at a running one",
            settings.admin.socket.display()
        )));
    };
    Ok(move || gateway.ask(Request::Overview))
}

/// Two readings, so that there are rates.
fn twice(
    settings: &Settings,
    interval: Duration,
    read: impl Fn() -> Result<Overview, Failure>,
) -> Result<State, Failure> {
    let mut state = State::new(settings.node.mnemonic.to_string(), interval);
    state.take(Ok(read()?));
    std::thread::sleep(interval);
    state.take(Ok(read()?));
    Ok(state)
}

/// The picture at a size.
fn picture(state: &State, colours: bool, (width, height): (u16, u16)) -> Buffer {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    draw(state, colours, area, &mut buffer);
    buffer
}

/// A picture without the codes of a terminal.
fn as_text(picture: &Buffer) -> String {
    let width = usize::from(picture.area.width).max(1);
    let rows = picture.content.chunks(width).map(|row| {
        let row: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        format!("{}\n", row.trim_end())
    });
    rows.collect()
}
