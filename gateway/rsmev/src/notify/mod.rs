//! Telling people and programs of incidents (R15): by mail and by webhooks, each channel for itself.
//!
//! What is still to be told follows from the journal: an incident's phase that no record says to be delivered through a
//! channel is due, for as long as the term lasts. So a notice is delivered at least once, whatever the gateway goes through;
//! twice only if the gateway ended between the delivery and its record.

mod mail;
mod message;
mod notifier;
mod smtp;
mod webhook;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

use crate::credentials;
use crate::settings::{self, Mail, Node, Webhook};
use message::Notice;
pub(crate) use notifier::notifiers;

/// Longest explanation that is shown, in characters: part of it comes from outside.
const EXPLANATION: usize = 500;
/// Longest password or token that is read, in octets.
const SECRET: u64 = 4096;

/// Values of the label `outcome`.
pub(crate) const OUTCOMES: [&str; 3] = ["delivered", "failed", "gave_up"];

/// Why a notice was not delivered.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Nobody heard of it: others would fail alike.
    Unreachable(String),
    /// This one was not taken.
    Refused(String),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Unreachable(why) | Self::Refused(why)) = self;
        f.write_str(&clean(why))
    }
}

/// An address that a mail server did not take, though it took others.
#[derive(Debug)]
pub(crate) struct DeadAddress {
    pub(crate) address: String,
    pub(crate) why: String,
}

impl std::fmt::Display for DeadAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", clean(&self.address), clean(&self.why))
    }
}

/// On one line, of a bounded length.
fn clean(text: &str) -> String {
    let letters = text.chars().take(EXPLANATION);
    letters
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// A way to tell.
#[derive(Debug, Clone)]
pub(crate) enum Channel {
    Mail(Mail),
    Webhook(Webhook),
}

impl Channel {
    /// All that are configured.
    pub(crate) fn configured(settings: &settings::Notify) -> Vec<Self> {
        let mail = settings.mail.clone().map(Self::Mail);
        mail.into_iter()
            .chain(settings.webhooks.iter().cloned().map(Self::Webhook))
            .collect()
    }

    /// Its name in the journal and in metrics.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Mail(_) => "mail".to_owned(),
            Self::Webhook(webhook) => format!("webhook/{}", webhook.name),
        }
    }

    /// Where it leads, for people; of a URL only what is no secret.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Mail(mail) => format!("{} through {}:{}", mail.to.join(", "), mail.server, mail.port),
            Self::Webhook(webhook) => webhook::place(&webhook.url),
        }
    }

    /// Sends a test.
    pub(crate) async fn test(&self, node: &Node) -> Result<Vec<DeadAddress>, Failed> {
        match self {
            Self::Mail(settings) => mail::send(settings, message::test_mail(node)).await,
            Self::Webhook(settings) => {
                let json = message::test_json(node, Timestamp::now());
                webhook::send(settings, &json).await.map(|()| Vec::new())
            }
        }
    }

    /// How many of the first notices go at once.
    fn batch(&self, due: usize) -> usize {
        match self {
            Self::Mail(_) => due,
            Self::Webhook(_) => due.min(1),
        }
    }

    async fn send(&self, node: &Node, notices: &[Notice]) -> Result<Vec<DeadAddress>, Failed> {
        match self {
            Self::Mail(settings) => mail::send(settings, message::mail(node, notices)).await,
            Self::Webhook(settings) => {
                if let [notice, ..] = notices {
                    webhook::send(settings, &notice.json(node)).await?;
                }
                Ok(Vec::new())
            }
        }
    }
}

/// What every channel has delivered, failed to deliver, and given up since the start; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(Arc<BTreeMap<String, [AtomicU64; 3]>>);

impl Counts {
    /// Channel, outcome and number.
    pub(crate) fn all(&self) -> Vec<(&str, &'static str, u64)> {
        let mut all = Vec::new();
        for (channel, counts) in self.0.iter() {
            for (outcome, count) in OUTCOMES.into_iter().zip(counts) {
                all.push((channel.as_str(), outcome, count.load(Ordering::Relaxed)));
            }
        }
        all
    }

    fn add(&self, channel: &str, outcome: usize) {
        if let Some(counts) = self.0.get(channel) {
            counts[outcome].fetch_add(1, Ordering::Relaxed);
        }
    }
}

const DELIVERED: usize = 0;
const FAILED: usize = 1;
const GAVE_UP: usize = 2;

/// A password or token from its file, without the end of its line.
fn secret(file: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let shown = file.display();
    let mut text = String::new();
    std::fs::File::open(credentials::place(file))
        .and_then(|opened| opened.take(SECRET).read_to_string(&mut text))
        .map_err(|error| format!("{shown}: {error}"))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(format!("{shown}: it is empty")),
        secret => Ok(secret.to_owned()),
    }
}

/// What is wrong with a channel's files, before anything is sent.
pub(crate) fn readable(file: &Path) -> Result<(), String> {
    secret(file).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_file_without_the_end_of_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "pass word \r\n").unwrap();
        assert_eq!(secret(&file).unwrap(), "pass word ");
        std::fs::write(&file, "\n").unwrap();
        assert!(secret(&file).unwrap_err().contains("it is empty"));
        assert!(secret(&dir.path().join("nosuch")).is_err());
    }
}
