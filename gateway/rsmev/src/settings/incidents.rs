//! `[incidents]` and `[notify]`: when something becomes an incident, and who is told.

use std::path::PathBuf;
use std::time::Duration;

use engine::names::Queue;

use super::read::{is_https, path, positive, positive_duration, shown, url};
use crate::document::Node;
use crate::section::Section;

/// Webhooks that there may be: what became of a notice is remembered for 64 of them, which is two for each channel and leaves
/// room for channels that are no more.
const WEBHOOKS: usize = 16;

/// When something becomes an incident.
#[derive(Debug, Clone)]
pub(crate) struct Incidents {
    /// How often the rules look.
    pub(crate) look: Duration,
    /// How long nothing of an incident must have been found before it is closed.
    pub(crate) close_after: Duration,
    /// How long an upstream may be out of reach.
    pub(crate) upstream_down: Duration,
    /// How long the oldest message of a queue may wait.
    pub(crate) queue_age: Duration,
    /// The same of single queues.
    pub(crate) queues: Vec<(Queue, Duration)>,
    /// Free space, in percent of the reserve, below which the disk is nearly full.
    pub(crate) disk_near: u64,
    /// How long before its end a certificate is a warning.
    pub(crate) certificate_warning: Duration,
    /// How long before its end it is critical.
    pub(crate) certificate_critical: Duration,
    /// How long ago the journal may have been verified.
    pub(crate) verification_age: Duration,
    /// How old the last backup may be.
    pub(crate) backup_age: Duration,
    /// Calls within ten minutes whose signature does not verify; 0: no rule.
    pub(crate) signature_failures: u64,
}

impl Incidents {
    /// How long the oldest message of a queue may wait.
    pub(crate) fn queue_age_of(&self, queue: &str) -> Duration {
        let of_its_own = self.queues.iter().find(|(name, _)| name.to_string() == queue);
        of_its_own.map_or(self.queue_age, |(_, age)| *age)
    }
}

/// Who is told.
#[derive(Debug, Clone)]
pub(crate) struct Notify {
    /// How long delivering a notice is tried.
    pub(crate) term: Duration,
    /// What happens within this time after a mail goes into one mail.
    pub(crate) collect: Duration,
    /// The pause after a failure, doubled after each further one up to a hundred times.
    pub(crate) retry: Duration,
    /// Mail, if it is set up.
    pub(crate) mail: Option<Mail>,
    /// Programs that are called.
    pub(crate) webhooks: Vec<Webhook>,
}

/// A mail server, and who gets mail.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    /// Its name, which its certificate must have.
    pub(crate) server: String,
    pub(crate) port: u16,
    pub(crate) tls: MailTls,
    /// PEM file with the authorities of its certificate; those of the machine otherwise.
    pub(crate) ca: Option<PathBuf>,
    /// Account and the file with its password.
    pub(crate) login: Option<(String, PathBuf)>,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
}

/// How the mail server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailTls {
    /// TLS after STARTTLS, or not at all.
    StartTls,
    /// TLS from the first octet on.
    Tls,
    /// In the clear.
    None,
}

/// A program that is called over HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    pub(crate) name: String,
    pub(crate) url: String,
    /// PEM file with the authorities of its certificate; those of the machine otherwise.
    pub(crate) ca: Option<PathBuf>,
    /// File with the bearer token.
    pub(crate) token_file: Option<PathBuf>,
    /// How long one call may take.
    pub(crate) timeout: Duration,
}

pub(super) fn incidents(section: &Section<'_>) -> Option<Incidents> {
    let look = section.required("look", positive_duration);
    let close_after = section.required("close_after", positive_duration);
    let upstream_down = section.required("upstream_down", positive_duration);
    let queue_age = section.required("queue_age", positive_duration);
    let queues: Vec<_> = section.sections("queue").iter().map(queue).collect();
    let disk_near = section.required("disk_near", |node| match node.integer()? {
        percent @ 100..=10_000 => Ok(percent),
        _ => Err("must be from 100 to 10000, in percent of limits.disk_reserve".to_owned()),
    });
    let certificate_warning = section.required("certificate_warning", positive_duration);
    let certificate_critical = section.required("certificate_critical", positive_duration);
    let verification_age = section.required("verification_age", positive_duration);
    let backup_age = section.required("backup_age", positive_duration);
    let signature_failures = section.required("signature_failures", Node::integer);
    section.finish();
    Some(Incidents {
        look: look?,
        close_after: close_after?,
        upstream_down: upstream_down?,
        queue_age: queue_age?,
        queues: queues.into_iter().collect::<Option<_>>()?,
        disk_near: disk_near?,
        certificate_warning: certificate_warning?,
        certificate_critical: certificate_critical?,
        verification_age: verification_age?,
        backup_age: backup_age?,
        signature_failures: signature_failures?,
    })
}

fn queue(section: &Section<'_>) -> Option<(Queue, Duration)> {
    let name = section.required("queue", |node| match node.text()?.parse::<Queue>().map_err(shown)? {
        Queue::Responses(owner, Some(_)) => Err(format!(
            "sub-queues count for their queue: \"{}\"",
            Queue::Responses(owner, None)
        )),
        queue => Ok(queue),
    });
    let age = section.required("age", positive_duration);
    section.finish();
    Some((name?, age?))
}

pub(super) fn notify(section: &Section<'_>) -> Option<Notify> {
    let term = section.required("term", positive_duration);
    let collect = section.required("collect", positive_duration);
    let retry = section.required("retry", positive_duration);
    let mail = match section.has("mail") {
        true => mail(&section.section("mail")).map(Some),
        false => {
            // Asked for all the same, so that the key is known.
            let _ = section.section("mail");
            Some(None)
        }
    };
    let sections = section.sections("webhook");
    if let Some(beyond) = sections.get(WEBHOOKS) {
        let text = format!("there may be at most {WEBHOOKS} webhooks, not {}", sections.len());
        beyond.problem("name", text);
    }
    let webhooks: Vec<_> = sections.iter().map(webhook).collect();
    for (index, (name, _)) in webhooks.iter().enumerate() {
        if let Some(name) = name
            && webhooks[..index]
                .iter()
                .any(|(earlier, _)| earlier.as_ref() == Some(name))
        {
            sections[index].problem("name", format!("there is a webhook {name:?} already"));
        }
    }
    section.finish();
    Some(Notify {
        term: term?,
        collect: collect?,
        retry: retry?,
        mail: mail?,
        webhooks: webhooks
            .into_iter()
            .map(|(_, webhook)| webhook)
            .collect::<Option<_>>()?,
    })
}

fn mail(section: &Section<'_>) -> Option<Mail> {
    let server = section.required("server", |node| match node.text()? {
        "" => Err("must be the name or the address of a mail server".to_owned()),
        server if server.contains([':', '/', '@']) && server.parse::<std::net::Ipv6Addr>().is_err() => Err(format!(
            "{server:?} is not a name or an address; the port has a key of its own"
        )),
        server => Ok(server.to_owned()),
    });
    let tls = section.optional("tls", |node| match node.text()? {
        "starttls" => Ok(MailTls::StartTls),
        "tls" => Ok(MailTls::Tls),
        "none" => Ok(MailTls::None),
        other => Err(format!("must be \"starttls\", \"tls\" or \"none\", not {other:?}")),
    });
    let tls = tls.unwrap_or(MailTls::StartTls);
    let port = section.optional("port", |node| {
        let number = positive(node)?;
        u16::try_from(number).map_err(|_| "must be at most 65535".to_owned())
    });
    let usual = match tls {
        MailTls::StartTls => 587,
        MailTls::Tls => 465,
        MailTls::None => 25,
    };
    let ca = section.optional("ca", path);
    let user = section.optional("user", |node| Ok(node.text()?.to_owned()));
    let password_file = section.optional("password_file", path);
    let from = section.required("from", mailbox);
    let to = section.required("to", |node| {
        let all = node.texts()?;
        for address in &all {
            address_of(address)?;
        }
        match all.is_empty() {
            true => Err("must name at least one address".to_owned()),
            false => Ok(all),
        }
    });
    section.finish();
    let from: String = from?;
    let account = || {
        let mailbox = from.parse::<lettre::message::Mailbox>();
        user.or_else(|| mailbox.ok().map(|mailbox| mailbox.email.to_string()))
    };
    Some(Mail {
        login: password_file.and_then(|file| Some((account()?, file))),
        server: server?,
        port: port.unwrap_or(usual),
        tls,
        ca,
        from,
        to: to?,
    })
}

fn mailbox(node: &Node) -> Result<String, String> {
    let text = node.text()?;
    address_of(text)?;
    Ok(text.to_owned())
}

fn address_of(text: &str) -> Result<(), String> {
    let read = text.parse::<lettre::message::Mailbox>();
    read.map(drop)
        .map_err(|error| format!("{text:?} is not an address such as \"gateway@region.example\": {error}"))
}

/// The name by itself, so that a name that comes twice is found whatever else is wrong.
fn webhook(section: &Section<'_>) -> (Option<String>, Option<Webhook>) {
    let name = section.required("name", |node| {
        let name = node.text()?;
        let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        match name.is_empty() || name.len() > 40 || !name.chars().all(plain) {
            true => Err("must have 1 to 40 letters, digits, - or _".to_owned()),
            false => Ok(name.to_owned()),
        }
    });
    let url = section.required("url", |node| {
        let uri = node.text()?.parse::<hyper::Uri>().ok();
        match uri.as_ref().and_then(hyper::Uri::authority) {
            Some(authority) if authority.as_str().contains('@') => {
                Err("must not name a user or a password; a token goes into the file of token_file".to_owned())
            }
            _ => url(node),
        }
    });
    let ca = section.optional("ca", path);
    if ca.is_some() && url.as_deref().is_some_and(|url| !is_https(url)) {
        section.problem("ca", "is of use only where url begins with https://");
    }
    let token_file = section.optional("token_file", path);
    let timeout = section.optional("timeout", positive_duration);
    section.finish();
    let webhook = name.clone().zip(url).map(|(name, url)| Webhook {
        name,
        url,
        ca,
        token_file,
        timeout: timeout.unwrap_or(Duration::from_secs(20)),
    });
    (name, webhook)
}
