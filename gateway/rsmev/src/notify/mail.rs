//! Mail: one connection to the configured server for each mail.

use std::time::Duration;

use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::message;
use super::{Failed, secret};
use crate::authorities;
use crate::settings::{Mail, MailTls};

/// How long the server may take for one step.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a mail to everybody who is named.
pub(super) async fn send(settings: &Mail, mail: message::Mail) -> Result<(), Failed> {
    let message = build(settings, mail).map_err(Failed::Refused)?;
    let own = settings.clone();
    let transport = tokio::task::spawn_blocking(move || transport(&own))
        .await
        .map_err(|error| Failed::Unreachable(error.to_string()))?
        .map_err(Failed::Unreachable)?;
    let place = format!("{}:{}", settings.server, settings.port);
    match transport.send(message).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Failed::Unreachable(format!("{place}: {}", causes(&error)))),
    }
}

fn build(settings: &Mail, mail: message::Mail) -> Result<Message, String> {
    let address = |text: &str| text.parse::<Mailbox>().map_err(|error| format!("{text}: {error}"));
    let mut builder = Message::builder()
        .from(address(&settings.from)?)
        .subject(mail.subject)
        .header(ContentType::TEXT_PLAIN);
    for to in &settings.to {
        builder = builder.to(address(to)?);
    }
    if let Some(id) = mail.id {
        builder = builder.message_id(Some(id));
    }
    // No server may change the lines of this.
    let body = Body::new_with_encoding(mail.text, ContentTransferEncoding::Base64);
    let body = body.map_err(|_| "the text cannot be written as base64".to_owned())?;
    builder.body(body).map_err(|error| error.to_string())
}

/// Reads files, so that what was renewed is used.
fn transport(settings: &Mail) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let tls = || -> Result<TlsParameters, String> {
        let mut parameters = TlsParameters::builder(settings.server.clone()).certificate_store(CertificateStore::None);
        for certificate in authorities::certificates(settings.ca.as_deref())? {
            let certificate = Certificate::from_der(certificate.to_vec()).map_err(|error| error.to_string())?;
            parameters = parameters.add_root_certificate(certificate);
        }
        parameters.build_rustls().map_err(|error| error.to_string())
    };
    let tls = match settings.tls {
        MailTls::StartTls => Tls::Required(tls()?),
        MailTls::Tls => Tls::Wrapper(tls()?),
        MailTls::None => Tls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.server)
        .port(settings.port)
        .tls(tls)
        .timeout(Some(PATIENCE));
    if let Some((user, file)) = &settings.login {
        builder = builder.credentials(Credentials::new(user.clone(), secret(file)?));
    }
    Ok(builder.build())
}

/// An error with what lies behind it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let more = deeper.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = deeper.source();
    }
    text
}
