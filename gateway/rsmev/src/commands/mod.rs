//! The commands for operators: each asks the store, and shows the answer as a table or as JSON.

pub(crate) mod backup;
pub(crate) mod clock;
pub(crate) mod halts;
pub(crate) mod incidents;
pub(crate) mod index;
pub(crate) mod journal;
pub(crate) mod probe;
pub(crate) mod quarantine;
pub(crate) mod queue;
pub(crate) mod reference;
pub(crate) mod registry;
pub(crate) mod retention;
pub(crate) mod route;
pub(crate) mod trace;

use jiff::Timestamp;
use serde_json::Value;

use crate::failure::Failure;
use crate::operator::Request;
use crate::output::Out;
use crate::settings::Settings;
use crate::store::Store;

/// Asks one question and leaves the store in order, whatever the answer.
fn ask(settings: &Settings, request: Request) -> Result<Value, Failure> {
    let store = if request.only_looks() {
        Store::look(settings)?
    } else {
        Store::open(settings)?
    };
    let answer = store.ask(request);
    store.close();
    answer
}

/// Shows an answer as JSON, or rows of type `R` through `show`.
fn present<R: serde::de::DeserializeOwned>(
    answer: Value,
    output: crate::cli::Output,
    out: &mut Out,
    show: impl FnOnce(R, &mut Out) -> Result<(), Failure>,
) -> Result<(), Failure> {
    match output {
        crate::cli::Output::Json => Ok(out.json(&answer)?),
        crate::cli::Output::Table => {
            let rows = serde_json::from_value(answer).map_err(|error| Failure::refused(error.to_string()))?;
            show(rows, out)
        }
    }
}

/// A moment without fractions of a second.
fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A moment with milliseconds, always of the same width.
fn milliseconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// An optional text, `-` if absent.
fn or_dash(text: Option<impl ToString>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| text.to_string())
}
