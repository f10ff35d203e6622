//! Mail: one connection to the configured server for each mail.

use lettre::Message;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};

use super::message;
use super::smtp::{PATIENCE, Security, Server};
use super::{DeadAddress, Failed, secret};
use crate::authorities;
use crate::settings::{Mail, MailTls};

/// Sends a mail to everybody who is named; those that the server does not take are returned, if it takes others.
pub(super) async fn send(settings: &Mail, mail: message::Mail) -> Result<Vec<DeadAddress>, Failed> {
    let message = build(settings, mail).map_err(Failed::Refused)?;
    let own = settings.clone();
    let server = tokio::task::spawn_blocking(move || server(&own))
        .await
        .map_err(|error| Failed::Unreachable(error.to_string()))?
        .map_err(Failed::Unreachable)?;
    server.deliver(&message).await
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
fn server(settings: &Mail) -> Result<Server, String> {
    let security = match settings.tls {
        MailTls::StartTls => Security::StartTls(starttls(settings)?),
        MailTls::Tls => Security::Tls(authorities::client_config(settings.ca.as_deref())?),
        MailTls::None => Security::None,
    };
    let login = settings.login.as_ref();
    let login = login.map(|(user, file)| Ok::<_, String>(Credentials::new(user.clone(), secret(file)?)));
    Ok(Server {
        host: settings.server.clone(),
        port: settings.port,
        security,
        login: login.transpose()?,
        patience: PATIENCE,
    })
}

fn starttls(settings: &Mail) -> Result<TlsParameters, String> {
    let mut parameters = TlsParameters::builder(settings.server.clone()).certificate_store(CertificateStore::None);
    for certificate in authorities::certificates(settings.ca.as_deref())? {
        let certificate = Certificate::from_der(certificate.to_vec()).map_err(|error| error.to_string())?;
        parameters = parameters.add_root_certificate(certificate);
    }
    parameters.build_rustls().map_err(|error| error.to_string())
}
