//! From settings to the links upstream.

use std::sync::{Arc, Mutex, PoisonError};

use engine::Engine;
use engine::names::UpstreamName;
use forward::Link;
use gost::Certificate;
use smev3::client::Endpoint;

use crate::authorities;
use crate::failure::Failure;
use crate::keys::{self, Identity};
use crate::settings::{Settings, Upstream, is_https};

/// All links of the gateway; cheap to clone.
#[derive(Clone)]
pub(crate) struct Links {
    links: Arc<Vec<Link>>,
    trusted: Arc<Mutex<Vec<(UpstreamName, Certificate)>>>,
}

impl Links {
    /// Starts every configured link; to be called within the runtime.
    pub(crate) fn start(settings: &Settings, engine: &Engine, identity: &Identity) -> Result<Self, Failure> {
        let trusted = trusted_signers(settings)?;
        // All settings first: a link that cannot start must not leave others running.
        let settings = settings
            .upstreams
            .iter()
            .map(link_settings)
            .collect::<Result<Vec<_>, _>>()?;
        let start = |settings| {
            let (signer, certificate) = (Arc::clone(&identity.signer), identity.certificate.clone());
            Link::start(settings, engine.clone(), signer, certificate)
        };
        Ok(Self {
            links: Arc::new(settings.into_iter().map(start).collect()),
            trusted: Arc::new(Mutex::new(trusted)),
        })
    }

    /// The links in file order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    /// Certificates of the signers that the links trust now.
    pub(crate) fn trusted(&self) -> Vec<Certificate> {
        self.signers().into_iter().map(|(_, certificate)| certificate).collect()
    }

    /// The same with the upstream of each.
    pub(crate) fn signers(&self) -> Vec<(UpstreamName, Certificate)> {
        self.trusted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the trusted signers of a configuration that was read again; if one cannot be read, nothing is changed.
    pub(crate) fn trust(&self, settings: &Settings) -> Result<(), Failure> {
        let upstreams = settings.upstreams.iter();
        let read = upstreams
            .map(|upstream| Ok((&upstream.name, signers(upstream)?)))
            .collect::<Result<Vec<_>, Failure>>()?;
        let named = |(name, certificates): &(&UpstreamName, Vec<Certificate>)| {
            let name = (*name).clone();
            certificates
                .clone()
                .into_iter()
                .map(move |certificate| (name.clone(), certificate))
        };
        let all = read.iter().flat_map(named).collect();
        *self.trusted.lock().unwrap_or_else(PoisonError::into_inner) = all;
        for (name, certificates) in read {
            if let Some(link) = self.iter().find(|link| link.name() == name) {
                link.replace_trusted_signers(&certificates);
            }
        }
        Ok(())
    }

    /// Ends them all; calls under way may finish, for a bounded time.
    pub(crate) async fn stop(&self) {
        let mut stopping = tokio::task::JoinSet::new();
        for index in 0..self.links.len() {
            let links = self.clone();
            stopping.spawn(async move { links.links[index].stop().await });
        }
        stopping.join_all().await;
    }
}

/// Certificates of every upstream's trusted signers.
fn trusted_signers(settings: &Settings) -> Result<Vec<(UpstreamName, Certificate)>, Failure> {
    let mut trusted = Vec::new();
    for upstream in &settings.upstreams {
        let certificates = signers(upstream)?;
        trusted.extend(
            certificates
                .into_iter()
                .map(|certificate| (upstream.name.clone(), certificate)),
        );
    }
    Ok(trusted)
}

fn signers(upstream: &Upstream) -> Result<Vec<Certificate>, Failure> {
    upstream
        .trusted_signers
        .iter()
        .map(|file| keys::read_certificate(file))
        .collect()
}

fn link_settings(upstream: &Upstream) -> Result<forward::Settings, Failure> {
    let fail = |error: &dyn std::fmt::Display| Failure::refused(format!("upstream {}: {error}", upstream.name));
    let tls = match is_https(&upstream.url) {
        true => Some(authorities::client_config(upstream.ca.as_deref()).map_err(|error| fail(&error))?),
        false => None,
    };
    let endpoint = Endpoint::parse(&upstream.url, tls).map_err(|error| fail(&error))?;
    let mut settings = forward::Settings::new(upstream.name.clone(), endpoint, upstream.version, signers(upstream)?);
    (settings.poll.min, settings.poll.max) = upstream.poll;
    settings.parallel = upstream.parallel;
    settings.bounds.answer = upstream.timeout;
    Ok(settings)
}
