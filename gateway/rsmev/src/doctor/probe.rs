//! Whether the upstreams can be reached from here, how fast, and what their clocks say.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use smev3::client::{Bounds, Endpoint, Reached, Steps};
use tokio::task::JoinSet;

use crate::authorities;
use crate::settings::{Upstream, is_https};

/// How long a connection may take, and then an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How one upstream was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Probe {
    /// Its name.
    pub(crate) name: String,
    /// Its endpoint.
    pub(crate) url: String,
    /// What came of it.
    pub(crate) outcome: Outcome,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It answers.
    Answers(Timing),
    /// It does not, and why.
    Fails(String),
}

/// How it answered; times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Timing {
    /// HTTP status; any is a sign of life.
    pub(crate) status: u16,
    /// The look-up of the name.
    pub(crate) resolve_ms: u64,
    /// The connection.
    pub(crate) connect_ms: u64,
    /// The TLS session, where there is one.
    pub(crate) tls_ms: Option<u64>,
    /// From then to the head of the answer.
    pub(crate) answer_ms: u64,
    /// Seconds by which this machine's clock is ahead of the upstream's, if that tells its time.
    pub(crate) ahead_seconds: Option<i64>,
}

/// Looks at all of them at once.
pub(super) async fn all(upstreams: Vec<Upstream>) -> Vec<Probe> {
    let mut probes = JoinSet::new();
    for (place, upstream) in upstreams.into_iter().enumerate() {
        probes.spawn(async move { (place, one(&upstream).await) });
    }
    let mut found = probes.join_all().await;
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, probe)| probe).collect()
}

async fn one(upstream: &Upstream) -> Probe {
    let bounds = Bounds {
        connect: PATIENCE,
        answer: PATIENCE,
        ..Bounds::default()
    };
    let reached = match endpoint(upstream) {
        Ok(endpoint) => smev3::client::reach(endpoint, bounds).await,
        Err(why) => Err(why),
    };
    Probe {
        name: upstream.name.to_string(),
        url: upstream.url.clone(),
        outcome: match reached {
            Ok(reached) => Outcome::Answers(timing(&reached, SystemTime::now())),
            Err(why) => Outcome::Fails(why),
        },
    }
}

fn endpoint(upstream: &Upstream) -> Result<Endpoint, String> {
    let tls = match is_https(&upstream.url) {
        true => Some(authorities::client_config(upstream.ca.as_deref())?),
        false => None,
    };
    Endpoint::parse(&upstream.url, tls).map_err(|error| error.to_string())
}

fn timing(reached: &Reached, now: SystemTime) -> Timing {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let Steps {
        resolve,
        connect,
        tls,
        answer,
    } = reached.steps;
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let ahead = |date: SystemTime| match now.duration_since(date) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => -seconds(behind.duration()),
    };
    Timing {
        status: reached.status,
        resolve_ms: ms(resolve),
        connect_ms: ms(connect),
        tls_ms: tls.map(ms),
        answer_ms: ms(answer),
        ahead_seconds: reached.date.map(ahead),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared_in_seconds() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let ahead = |date| {
            let reached = Reached {
                status: 200,
                took: Duration::from_millis(9),
                date,
                steps: Steps::default(),
            };
            timing(&reached, now).ahead_seconds
        };
        assert_eq!(ahead(None), None);
        assert_eq!(ahead(Some(now - Duration::from_millis(900))), Some(0));
        assert_eq!(ahead(Some(now - Duration::from_secs(60))), Some(60));
        assert_eq!(ahead(Some(now + Duration::from_secs(3600))), Some(-3600));
    }
}
