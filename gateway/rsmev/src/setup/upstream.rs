//! The federal bus: whether it answers, what its clock says, and whose signatures count.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use engine::units::show_seconds;
use smev3::client::{Bounds, Endpoint, Reached};

use super::dialogue::{Dialogue, Question};
use super::{Arguments, Document, absolute, make_folder, own_key};
use crate::authorities;
use crate::failure::Failure;
use crate::keys;
use crate::settings::is_https;
use crate::store;

/// How long an upstream may take to show a sign of life.
const PATIENCE: Duration = Duration::from_secs(10);
/// Clocks further apart than this are worth a word; the header has whole seconds.
const SMALL_DIFFERENCE: Duration = Duration::from_secs(5);

/// What was settled about the upstream.
pub(super) struct Settled {
    name: String,
    url: String,
    version: String,
    signers: Vec<PathBuf>,
}

/// Asks for the upstream, if one is wanted and none is configured.
pub(super) fn settle<R: BufRead>(
    dialogue: &mut Dialogue<'_, R>,
    arguments: &Arguments,
    document: &Document,
) -> Result<Option<Settled>, Failure> {
    let unasked = arguments.upstream.is_none() && (arguments.yes || document.has_upstreams());
    if arguments.no_upstream || unasked {
        return Ok(None);
    }
    let url = dialogue.settle(
        Question {
            text: "Endpoint of the federal bus (`none`: only exchange within the region)",
            option: "--upstream",
            given: arguments.upstream.clone(),
            default: None,
        },
        |answer| match answer {
            "" => Err("an answer is needed".to_owned()),
            answer => Ok(answer.to_owned()),
        },
        |url| match (url.as_str(), arguments.offline) {
            ("none", _) => Ok(None),
            (url, true) => endpoint(url).map(|_| None),
            (url, false) => look(url).map(Some),
        },
    )?;
    if url == "none" {
        return Ok(None);
    }
    let mut signers = arguments.upstream_signer.clone();
    for signer in &signers {
        keys::read_certificate(signer)?;
    }
    if signers.is_empty() {
        let question = "File of a certificate that the bus signs its answers with";
        signers.push(own_key::file(dialogue, question, "--upstream-signer", |file| {
            keys::read_certificate(file).map(drop)
        })?);
    }
    Ok(Some(Settled {
        name: arguments.upstream_name.to_string(),
        url,
        version: arguments.upstream_version.clone(),
        signers,
    }))
}

fn endpoint(url: &str) -> Result<Endpoint, String> {
    let tls = match is_https(url) {
        true => Some(authorities::client_config(None)?),
        false => None,
    };
    Endpoint::parse(url, tls).map_err(|error| error.to_string())
}

/// Whether the upstream answers, in words.
fn look(url: &str) -> Result<String, String> {
    let endpoint = endpoint(url)?;
    let runtime = store::runtime().map_err(|error| error.to_string())?;
    let bounds = Bounds {
        connect: PATIENCE,
        answer: PATIENCE,
        ..Bounds::default()
    };
    let reached = runtime.block_on(smev3::client::reach(endpoint, bounds));
    let reached = reached.map_err(|error| format!("does not answer: {error} (--offline does not try)"))?;
    Ok(told(&reached, SystemTime::now()))
}

fn told(reached: &Reached, now: SystemTime) -> String {
    let clock = match reached.date {
        None => "it does not tell its time, so that this machine's clock could not be compared".to_owned(),
        Some(date) => match now.duration_since(date) {
            Ok(ahead) if ahead > SMALL_DIFFERENCE => apart(ahead, "ahead of"),
            Err(behind) if behind.duration() > SMALL_DIFFERENCE => apart(behind.duration(), "behind"),
            _ => "the clocks agree".to_owned(),
        },
    };
    format!(
        "  it answers in {} ms with HTTP status {}; {clock}",
        reached.took.as_millis(),
        reached.status
    )
}

fn apart(difference: Duration, how: &str) -> String {
    format!(
        "WARNING: this machine's clock is {} {how} the bus's; set it right (for example with chrony), or messages will be \
         refused",
        show_seconds(difference.as_secs())
    )
}

impl Settled {
    /// Copies the certificates to where the gateway may read them, and writes the configuration's section.
    pub(super) fn write<R: BufRead>(
        &self,
        dialogue: &mut Dialogue<'_, R>,
        document: &mut Document,
        folder: &Path,
    ) -> Result<(), Failure> {
        make_folder(folder, 0o755)?;
        let mut copies = Vec::new();
        for (number, signer) in (1..).zip(&self.signers) {
            let copy = folder.join(match number {
                1 => format!("{}.crt", self.name),
                number => format!("{}-{number}.crt", self.name),
            });
            let certificate = keys::read_certificate(signer)?.to_pem();
            let same = std::fs::read_to_string(&copy).is_ok_and(|present| present == certificate);
            if !same {
                keys::create(&copy, 0o644, certificate.as_bytes())?;
                dialogue.say(format_args!("{}: copied", copy.display()))?;
            }
            copies.push(absolute(&copy)?);
        }
        document.put_upstream(&self.name, &self.url, &self.version, &copies)
    }
}

#[cfg(test)]
mod tests {
    use smev3::client::Steps;

    use super::*;

    #[test]
    fn a_clock_that_is_wrong_is_told() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let reached = |date| Reached {
            status: 200,
            took: Duration::from_millis(12),
            date,
            steps: Steps::default(),
        };
        assert!(told(&reached(Some(now)), now).ends_with("12 ms with HTTP status 200; the clocks agree"));
        assert!(
            told(&reached(Some(now + Duration::from_secs(3600))), now)
                .contains("WARNING: this machine's clock is 1h 0m behind")
        );
        assert!(told(&reached(Some(now - Duration::from_secs(60))), now).contains("ahead of the bus's"));
        assert!(told(&reached(None), now).contains("could not be compared"));
    }
}
