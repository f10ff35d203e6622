//! Log lines to standard error: text for journald and terminals, or JSON. The level can be changed while running.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::settings::{Log, LogFormat};

static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// A filter from `log.level`.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, String> {
    let example = "such as \"info\" or \"info,engine=debug\"";
    if level.trim().is_empty() {
        return Err(format!("must be a level {example}"));
    }
    let plain = level.split(',').next().unwrap_or_default().trim();
    if !plain.contains(['=', '[']) && !matches!(plain, "error" | "warn" | "info" | "debug" | "trace" | "off") {
        return Err(format!("{plain:?} is not a level {example}"));
    }
    EnvFilter::builder()
        .parse(level)
        .map_err(|error| format!("{level:?} is not a level {example}: {error}"))
}

/// Starts logging; later calls change nothing.
pub(crate) fn start(log: &Log) -> Result<(), String> {
    let (filter, handle) = reload::Layer::new(filter(&log.level)?);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match log.format {
        LogFormat::Json => registry
            .with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr))
            .try_init(),
        LogFormat::Text => {
            let terminal = std::io::stderr().is_terminal();
            // journald adds the time itself.
            let journald = std::env::var_os("JOURNAL_STREAM").is_some();
            let layer = fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(terminal)
                .with_target(true);
            if journald {
                registry.with(layer.without_time()).try_init()
            } else {
                registry.with(layer).try_init()
            }
        }
    };
    if started.is_ok() {
        let _ = FILTER.set(handle);
    }
    Ok(())
}

/// Takes another level.
pub(crate) fn set_level(level: &str) -> Result<(), String> {
    let Some(handle) = FILTER.get() else { return Ok(()) };
    handle.reload(filter(level)?).map_err(|error| error.to_string())
}
