//! Who calls: reads key and certificates, signs, makes one connection a call, and reads the answer only under a signature.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use emulator::{Answer, CallError, HttpAnswer, Identity, SignedCall, Signing, Version};
use gost::Certificate;
use jiff::Timestamp;
use rustls::ClientConfig;
use serde::Serialize;
use smev3::client::{Bounds, Endpoint, post_once};
use tokio::runtime::Runtime;

use super::trouble::Trouble;
use crate::authorities;
use crate::cli;
use crate::failure::Failure;
use crate::keys;
use crate::output::remark;
use crate::settings::is_https;
use crate::store;

/// Largest answer that is read, in octets.
const ANSWER_OCTETS: usize = 64 << 20;

/// A participant that calls.
pub(super) struct Caller {
    signing: Signing,
    endpoint: Option<Endpoint>,
    url: Option<String>,
    trusted: Vec<Certificate>,
    bounds: Bounds,
    runtime: Runtime,
}

/// Under which certificate the other side signed.
#[derive(Debug, Serialize)]
pub(super) struct Signer {
    /// Its subject.
    pub(super) subject: String,
    /// Streebog-256 of it, as `rsmev keys show` tells.
    pub(super) certificate: String,
    /// Whether it is one of those that were named as trusted; nothing is known if none was named.
    pub(super) trusted: Option<bool>,
}

impl Signer {
    fn of(certificate: &Certificate, trusted: Option<bool>) -> Self {
        Self {
            subject: certificate.subject().to_owned(),
            certificate: certificate.id().to_string(),
            trusted,
        }
    }
}

impl Caller {
    /// Reads what the arguments name, and warns of what looks wrong.
    pub(super) fn new(arguments: &cli::Caller) -> Result<Self, Failure> {
        let key = keys::read_key(&arguments.key)?;
        let certificate = keys::read_certificate(&arguments.certificate)?;
        if !keys::belong(&key, &certificate) {
            return Err(Failure::refused(format!(
                "{}: the certificate is of another key than {}; nothing was sent, the other side would answer \
                 SignatureIsInvalid",
                arguments.certificate.display(),
                arguments.key.display()
            )));
        }
        if let Some(text) = keys::open_to_others(&arguments.key) {
            remark(format_args!("WARNING: {text}"));
        }
        warn_of_time(&arguments.certificate, &certificate);
        let url = arguments.url.as_deref();
        let version = arguments.from_version.or_else(|| url.and_then(version_in));
        let trusted = arguments.trusted.iter().map(|file| keys::read_certificate(file));
        Ok(Self {
            signing: Signing::new(
                Identity::from_parts("participant", Arc::new(key), certificate),
                version.unwrap_or(Version::V1_2),
            ),
            endpoint: url.map(|url| endpoint(url, arguments)).transpose()?,
            url: arguments.url.clone(),
            trusted: trusted.collect::<Result<_, _>>()?,
            bounds: Bounds {
                connect: Duration::from_secs(arguments.connect_timeout),
                answer: Duration::from_secs(arguments.timeout),
                answer_octets: ANSWER_OCTETS,
                ..Bounds::default()
            },
            runtime: store::runtime().map_err(|error| Failure::refused(error.to_string()))?,
        })
    }

    /// Ends without waiting for a look-up of a name, which cannot be ended.
    pub(super) fn close(self) {
        self.runtime.shutdown_background();
    }

    /// What it speaks.
    pub(super) fn version(&self) -> Version {
        self.signing.version()
    }

    /// Its time, from which identifiers are made.
    pub(super) fn now(&self) -> Timestamp {
        self.signing.now()
    }

    /// Where it calls.
    pub(super) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Signs a call.
    pub(super) fn sign(
        &self,
        sign: impl FnOnce(&Signing) -> Result<SignedCall, CallError>,
    ) -> Result<SignedCall, Failure> {
        sign(&self.signing).map_err(|error| Failure::refused(error.to_string()))
    }

    /// Sends a call and reads the answer, with who signed it. An answer whose signature does not hold, or is not that of a
    /// trusted certificate where one was named, is an error.
    pub(super) fn call<T>(
        &self,
        call: &SignedCall,
        read: impl FnOnce(&Answer) -> Result<T, CallError>,
    ) -> Result<(T, Option<Signer>), Box<Trouble>> {
        let http = self.post(call)?;
        let unread = Answer::received(http.clone(), self.version(), Vec::new());
        let certificate = unread
            .signer()
            .map_err(|error| Box::new(Trouble::of_call(error, None)))?;
        let named = !self.trusted.is_empty();
        let trusted = match &certificate {
            _ if named => self.trusted.clone(),
            Some(certificate) => vec![certificate.clone()],
            None => Vec::new(),
        };
        let signer = certificate.map(|certificate| {
            let known = trusted.iter().any(|trusted| trusted.der() == certificate.der());
            Signer::of(&certificate, named.then_some(known))
        });
        let read = read(&Answer::received(http, self.version(), trusted));
        match read {
            Ok(read) => Ok((read, signer)),
            Err(error) => Err(Box::new(Trouble::of_call(error, signer.as_ref()))),
        }
    }

    fn post(&self, call: &SignedCall) -> Result<HttpAnswer, Box<Trouble>> {
        let Some(endpoint) = &self.endpoint else {
            return Err(Box::new(Trouble::nowhere()));
        };
        let action = call.soap_action.as_deref().unwrap_or_default();
        let post = post_once(endpoint, self.bounds, action, &call.content_type, call.body.clone());
        let answered = self
            .runtime
            .block_on(post)
            .map_err(|error| Box::new(Trouble::of_way(&error)))?;
        if (300..400).contains(&answered.status) {
            let moved = Trouble::redirected(answered.status, answered.location.as_deref());
            return Err(Box::new(moved));
        }
        Ok(HttpAnswer {
            status: answered.status,
            content_type: answered.content_type,
            body: answered.body,
        })
    }
}

fn endpoint(url: &str, arguments: &cli::Caller) -> Result<Endpoint, Failure> {
    let tls = match is_https(url) {
        true => Some(tls(arguments)?),
        false => None,
    };
    Endpoint::parse(url, tls).map_err(|error| Failure::usage(format!("--url {error}")))
}

fn tls(arguments: &cli::Caller) -> Result<Arc<ClientConfig>, Failure> {
    let shown = arguments.tls_certificate.as_deref().zip(arguments.tls_key.as_deref());
    if let Some(text) = shown.and_then(|(_, key)| keys::open_to_others(key)) {
        remark(format_args!("WARNING: {text}"));
    }
    authorities::client_config_showing(arguments.ca.as_deref(), shown).map_err(Failure::refused)
}

/// The version that the path of a URL names, as `/smev/v1.2/ws` does.
fn version_in(url: &str) -> Option<Version> {
    let (_, rest) = url.split_once("://")?;
    let (_, path) = rest.split_once('/')?;
    let named = |version: &Version| {
        path.split('/')
            .any(|part| part.trim_start_matches('v') == version.number())
    };
    Version::ALL.into_iter().find(named)
}

/// A certificate out of its time is sent all the same, so that one sees what the other side says.
fn warn_of_time(file: &Path, certificate: &Certificate) {
    let now = Timestamp::now().as_second();
    let what = match () {
        () if now > certificate.not_after() => "has expired",
        () if now < certificate.not_before() => "is not valid yet",
        () => return,
    };
    remark(format_args!("WARNING: {}: the certificate {what}", file.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_url_names_the_version_and_its_host_does_not() {
        assert_eq!(version_in("http://gw:7500/smev/v1.3/ws"), Some(Version::V1_3));
        assert_eq!(version_in("https://bus/1.1/ws"), Some(Version::V1_1));
        for url in ["http://10.1.2.3/ws", "http://v1.1", "http://gw/v1.10/ws", "gw"] {
            assert_eq!(version_in(url), None, "{url}");
        }
    }
}
