//! The terminal: it is taken at the beginning and given back whatever happens.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::draw::draw;
use super::overview::Overview;
use super::state::{State, Wish};

/// How long a key or a signal may wait for its effect.
const LOOK: Duration = Duration::from_millis(100);

/// What one reading brings.
pub(super) type Reading = Result<Overview, String>;

/// Shows the view until a key or a signal ends it.
pub(super) fn show(mut state: State, colours: bool, read: impl FnMut() -> Reading + Send + 'static) -> io::Result<()> {
    let ending = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&ending))?;
    }
    // An answer that is late must not hold up keys.
    let (ask, asked) = channel();
    let (answer, answers) = channel();
    let reader = move || readings(read, &asked, &answer);
    std::thread::Builder::new().name("readings".to_owned()).spawn(reader)?;
    let mut screen = Screen(ratatui::try_init()?);
    let mut asked_at: Option<Instant> = None;
    let mut waiting = false;
    while !ending.load(Ordering::Relaxed) {
        if !waiting && asked_at.is_none_or(|at| at.elapsed() >= state.interval) {
            waiting = ask.send(()).is_ok();
            asked_at = Some(Instant::now());
        }
        screen
            .0
            .draw(|frame| draw(&state, colours, frame.area(), frame.buffer_mut()))?;
        if event::poll(LOOK)?
            && let Event::Key(key) = event::read()?
        {
            match state.press(key) {
                Wish::Quit => break,
                Wish::Read => asked_at = None,
                Wish::Nothing => {}
            }
        }
        match answers.recv_timeout(Duration::ZERO) {
            Ok(read) => {
                waiting = false;
                state.take(read);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other("the thread that reads has ended"));
            }
        }
    }
    Ok(())
}

/// Reads as often as it is asked to, until nobody asks.
fn readings(mut read: impl FnMut() -> Reading, asked: &Receiver<()>, answer: &Sender<Reading>) {
    while asked.recv().is_ok() {
        if answer.send(read()).is_err() {
            return;
        }
    }
}

/// The terminal in our hands. `ratatui` gives it back before a panic's message too.
struct Screen(DefaultTerminal);

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
