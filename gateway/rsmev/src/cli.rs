//! The command line (DESIGN §8).

mod halts;
mod incidents;
mod keys;
mod probe;
mod registry;
#[cfg(test)]
mod shown;
mod top;

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use engine::event::Event;
use engine::names::{MessageId, Mnemonic, Queue};
use jiff::Timestamp;

use crate::confirm::YesArg;
use crate::logging::is_harmful;
use crate::settings::catalogue::Language;

pub(crate) use halts::{ParticipantCommand, QueuePause, QueueResume};
pub(crate) use incidents::{Incidents, IncidentsCommand};
pub(crate) use keys::{CurveName, Keys, KeysCsr, KeysNew, KeysShow, MasterKeyCommand};
pub(crate) use probe::{Caller, Polled, Probe, ProbeAck, ProbePoll, ProbeSend};
pub(crate) use registry::{Registry, RouteCommand, RouteExplain};
pub(crate) use top::Top;

/// A regional gateway for the interagency bus SMEV 3: what it has accepted it never loses, and it can prove what happened to it.
#[derive(Debug, Parser)]
#[command(name = "rsmev", version, about, max_term_width = 110)]
pub(crate) struct Cli {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/rsmev/gateway.toml")]
    pub(crate) config: PathBuf,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway
    Serve(Serve),
    /// Ask for what a gateway needs, check each answer at once, and write the configuration
    Setup(Box<crate::setup::Arguments>),
    /// Verify configuration, keys, registry and storage; every problem is reported
    Check(OutputArg),
    /// One screen of everything: disk, clock, keys and certificates, upstreams, queues, journal, limits, versions, and what to
    /// do about what is wrong; also of a stopped gateway
    Doctor(OutputArg),
    /// What a helper elsewhere needs to see, in one file without secrets and payload
    SupportBundle(SupportBundle),
    /// A region in a box: emulated federal bus, gateway, three participants, an upstream outage in the middle
    Sandbox(Sandbox),
    /// GOST keys, certificate requests, certificates
    #[command(subcommand)]
    Keys(Keys),
    /// Participants, kinds, grants and routes
    #[command(subcommand)]
    Registry(Registry),
    /// Where messages go
    #[command(subcommand)]
    Route(RouteCommand),
    /// A participant's side in one command: prove a connection, a key and a grant without the participant's system
    #[command(subcommand)]
    Probe(Probe),
    /// Waiting messages
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Participants: suspend one, resume it
    #[command(subcommand)]
    Participant(ParticipantCommand),
    /// What the running gateway is doing, live: rates, queues, upstreams, the last refusals
    Top(Top),
    /// The whole story of a message
    Trace(Trace),
    /// Messages that a person must decide about
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// What is wrong now and was lately, whom it touches, and who was told
    Incidents(Incidents),
    /// The journal: verify it, export it
    #[command(subcommand)]
    Journal(Journal),
    /// Destroying journal segments whose term is over, by two people
    #[command(subcommand)]
    Retention(RetentionCommand),
    /// Backups: make, verify, restore them, and go on after that
    #[command(subcommand)]
    Backup(BackupCommand),
    /// The index, which is derived from the journal
    #[command(subcommand)]
    Index(Index),
    /// The machine's clock, where the gateway does not believe it
    #[command(subcommand)]
    Clock(ClockCommand),
    /// Write a completion script for a shell to standard output
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write what is derived from the program itself
    #[command(subcommand, hide = true)]
    Reference(Reference),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClockCommand {
    /// Say that the machine's clock is right, after the gateway was off for long, or went by a wrong one
    Accept {
        /// The time that it is (RFC 3339), from elsewhere than this machine; the clock must agree to ten minutes
        #[arg(value_name = "TIME")]
        time: Timestamp,
        #[command(flatten)]
        yes: YesArg,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Reference {
    /// A manual page of each command
    Man {
        /// Folder for them, which must be there
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// The metrics: docs/metrics.md, or the same as JSON
    Metrics(OutputArg),
    /// The lines of the log: docs/events.md, or the same as JSON
    Events(OutputArg),
    /// The settings: docs/configuration.md, or the same as JSON
    Configuration {
        /// Of the text
        #[arg(long, value_enum, default_value = "en")]
        language: Language,
        #[command(flatten)]
        output: OutputArg,
    },
    /// The faults and what they mean: the table of docs/connecting.md, or of docs/ru/connecting.md
    Faults {
        /// Of the text
        #[arg(long, value_enum, default_value = "en")]
        language: Language,
    },
    /// A picture (SVG) of standard input as a terminal shows it, or of `rsmev top`
    Screenshot {
        /// Of the running gateway, as `rsmev top` shows it in colour
        #[arg(long)]
        top: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// For tests only: a clock that starts at TIME (RFC 3339) and runs RATE times as fast; shown in /ready
    #[arg(long, value_name = "TIME[xRATE]")]
    pub(crate) test_clock: Option<TestClock>,
    /// Go on although data keys are lost that stored bodies are sealed under: these bodies cannot be read any more
    #[arg(long)]
    pub(crate) accept_lost_keys: bool,
    /// Go on without records of the journal that are damaged or missing: SEQ is the record that the refused start named;
    /// repeatable. What can be read is kept, what cannot is put aside, and the journal tells who accepted it
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) accept_gap: Vec<u64>,
}

/// `--test-clock TIME[xRATE]`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TestClock {
    /// Where it starts.
    pub(crate) start: Timestamp,
    /// Seconds of it in a real second.
    pub(crate) rate: f64,
}

impl std::str::FromStr for TestClock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (start, rate) = text.split_once('x').unwrap_or((text, "1"));
        let start = start
            .parse()
            .map_err(|_| format!("{start:?} is not a time such as 2026-03-01T12:00:00Z"))?;
        let rate: f64 = rate
            .parse()
            .map_err(|_| format!("{rate:?} is not a rate such as 1 or 3600"))?;
        if !(rate.is_finite() && (0.0..=1e6).contains(&rate)) {
            return Err("the rate must be from 0 to 1000000".to_owned());
        }
        Ok(Self { start, rate })
    }
}

impl std::fmt::Display for TestClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.start, self.rate)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Sandbox {
    /// Where keys, configuration and data go; a temporary folder without it
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// How long the traffic flows
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u64).range(5..=86_400))]
    pub(crate) seconds: u64,
    /// Leave the folder behind, to look around in
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SupportBundle {
    /// The file (.tar.zst), which must not be there yet; - for standard output
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// So many of the journal's last records, without evidence
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) records: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// All queues that have messages or are paused
    List(OutputArg),
    /// Hand nothing out of a queue, or send nothing to an upstream, until it is resumed; messages are accepted and wait
    Pause(QueuePause),
    /// Let a paused queue's messages go again
    Resume(QueueResume),
    /// The messages of one queue in their order
    Show {
        /// MUN001/requests, MUN001/responses, MUN001/responses/NODE, MUN001/status or upstream/federal
        queue: Queue,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        #[command(flatten)]
        output: OutputArg,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// The sender's identifier of the message, or one under which it went to an upstream
    #[arg(value_parser = message_id)]
    pub(crate) message_id: MessageId,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Quarantine {
    /// What waits for a decision, and why
    List(OutputArg),
    /// Try again
    Retry {
        #[arg(required = true, value_name = "ID", value_parser = message_id)]
        ids: Vec<MessageId>,
        #[command(flatten)]
        yes: YesArg,
    },
    /// Reject for good; the sender gets a notice with the reason
    Reject {
        #[arg(required = true, value_name = "ID", value_parser = message_id)]
        ids: Vec<MessageId>,
        /// What the sender is told, at most 500 characters
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
        #[command(flatten)]
        yes: YesArg,
    },
}

/// Upper case is accepted from people, who copy identifiers from anywhere.
fn message_id(text: &str) -> Result<MessageId, String> {
    text.trim()
        .to_ascii_lowercase()
        .parse()
        .map_err(|error: engine::names::NameError| error.to_string())
}

fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("must say something".to_owned()),
        text if text.contains(is_harmful) => {
            Err("has characters that others' terminals would obey, such as an end of line".to_owned())
        }
        text if text.chars().count() > 500 => Err("is longer than 500 characters".to_owned()),
        text => Ok(text.to_owned()),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Journal {
    /// Verify the chain, the sequence, the signed checkpoints and the end; names the first place that is wrong. A running
    /// gateway is told what a verification of its whole journal found, and shows it in its metrics
    Verify(JournalVerify),
    /// Write records to standard output
    Export(JournalExport),
    /// Take note of a cut of the journal, so that /ready is in order again
    Acknowledge(JournalAcknowledge),
}

#[derive(Debug, Args)]
pub(crate) struct JournalAcknowledge {
    /// What is known about it, for the journal
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) yes: YesArg,
}

#[derive(Debug, Args)]
pub(crate) struct JournalVerify {
    /// First sequence number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) from: Option<u64>,
    /// Last sequence number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) to: Option<u64>,
    /// A journal folder from elsewhere, such as an archived copy
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// Certificate of a gateway that signed checkpoints, where the copy has no registry folder beside it; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Vec<PathBuf>,
    /// A digest known from elsewhere (a shipped checkpoint, a backup's manifest): that of record SEQ, or of the last record;
    /// SEQ may be the one before the first that is here; repeatable
    #[arg(long, value_name = "[SEQ:]HEX")]
    pub(crate) expect_digest: Vec<ExpectedDigest>,
    /// Fail also over records that are missing although a person accepted that
    #[arg(long)]
    pub(crate) no_gaps: bool,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

impl JournalVerify {
    /// Whether the whole journal is verified, and for nothing else than its own wholeness.
    pub(crate) fn asks_for_all(&self) -> bool {
        self.dir.is_none()
            && self.from.is_none()
            && self.to.is_none()
            && self.expect_digest.is_empty()
            && self.certificate.is_empty()
            && !self.no_gaps
    }
}

/// `--expect-digest [SEQ:]HEX`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExpectedDigest {
    /// Which record; none for the last.
    pub(crate) seq: Option<u64>,
    /// Its digest.
    pub(crate) digest: journal::Digest,
}

impl std::str::FromStr for ExpectedDigest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (seq, digest) = match text.split_once(':') {
            Some((seq, digest)) => {
                let seq = seq.parse().map_err(|_| format!("{seq:?} is not a sequence number"))?;
                (Some(seq), digest)
            }
            None => (None, text),
        };
        let mut octets = [0; 32];
        hex::decode_to_slice(digest.trim(), &mut octets)
            .map_err(|_| "a digest has 64 hexadecimal digits".to_owned())?;
        Ok(Self { seq, digest: octets })
    }
}

#[derive(Debug, Args)]
pub(crate) struct JournalExport {
    /// One JSON record a line, or CSV with the columns seq, at, type, prev (digest of the record before) and event
    /// (the whole event as JSON)
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) format: ExportFormat,
    /// First sequence number
    #[arg(long, value_name = "N")]
    pub(crate) from: Option<u64>,
    /// Last sequence number
    #[arg(long, value_name = "N")]
    pub(crate) to: Option<u64>,
    /// Not before this moment (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Before this moment (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,
    /// Only events of this type, such as accepted or refused; repeatable
    #[arg(long = "type", value_name = "TYPE", value_parser = PossibleValuesParser::new(Event::TYPES), hide_possible_values = true)]
    pub(crate) types: Vec<String>,
    /// Only events that name this participant
    #[arg(long, value_name = "MNEMONIC")]
    pub(crate) participant: Option<Mnemonic>,
    /// Only events that name this message
    #[arg(long, value_name = "ID", value_parser = message_id)]
    pub(crate) message: Option<MessageId>,
    /// A journal folder from elsewhere
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    Json,
    Csv,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Back up the running gateway, or the stopped one's store; what the folder has already is not copied again
    Create {
        /// The folder of the backups, best on another machine's disk; made if its parent is there
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// How many backups are kept, this one included
        #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        keep: u32,
    },
    /// Verify a backup with nothing but its folder: the signature, every file, the journal's chain
    Verify(BackupPlace),
    /// Make a backup into a data directory, which must be empty or absent
    Restore {
        #[command(flatten)]
        place: BackupPlace,
        /// The data directory; the configured one without it
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        #[command(flatten)]
        yes: YesArg,
    },
    /// After a restoration: let messages go to upstreams again, when it is sure that the old gateway does not run
    ResumeUpstream {
        /// When the old gateway stopped at the latest (RFC 3339); without it, now. What may have been sent under another
        /// identifier by then goes to quarantine
        #[arg(long, value_name = "TIME")]
        lost_at: Option<Timestamp>,
        /// What is known about it, for the journal
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
        #[command(flatten)]
        yes: YesArg,
    },
}

/// Which backup, and whose it must be.
#[derive(Debug, Args)]
pub(crate) struct BackupPlace {
    /// The folder of the backups
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Which backup; the newest without it
    #[arg(long, value_name = "N")]
    pub(crate) number: Option<u64>,
    /// Certificate of the gateway that must have signed it; repeatable; without it the backup's own is shown
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RetentionCommand {
    /// What was proposed, and what became of it
    Show(OutputArg),
    /// Propose to destroy the sealed journal segments that are wholly older than a date
    Propose {
        /// The date (2026-01-31, its beginning in UTC) or moment (RFC 3339); it must lie before the term of retention.journal
        #[arg(long, value_name = "DATE")]
        before: Before,
        /// Also segments that the archive does not have
        #[arg(long)]
        unshipped: bool,
        /// Why, for the act
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
        #[command(flatten)]
        yes: YesArg,
    },
    /// Approve the proposal of somebody else: it is carried out at once and cannot be undone
    Approve {
        /// Number of the proposal
        #[arg(value_name = "PROPOSAL")]
        id: u64,
        #[command(flatten)]
        yes: YesArg,
    },
    /// Reject the proposal of somebody else
    Reject {
        /// Number of the proposal
        #[arg(value_name = "PROPOSAL")]
        id: u64,
        /// Why, for the journal
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
        #[command(flatten)]
        yes: YesArg,
    },
    /// Withdraw one's own proposal
    Withdraw {
        /// Number of the proposal
        #[arg(value_name = "PROPOSAL")]
        id: u64,
        /// Why, for the journal
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
        #[command(flatten)]
        yes: YesArg,
    },
}

/// A date or a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before(pub(crate) Timestamp);

impl std::str::FromStr for Before {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let date = text.parse::<jiff::civil::Date>().ok();
        let moment = date.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
        moment
            .map(|start| start.timestamp())
            .or_else(|| text.parse().ok())
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a date such as 2026-01-31"))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Index {
    /// Build the index anew from the journal; the gateway must be stopped
    Rebuild {
        #[command(flatten)]
        yes: YesArg,
    },
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct OutputArg {
    /// A table for people, or JSON
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_test_clock_has_a_time_and_perhaps_a_rate() {
        let clock: TestClock = "2026-03-01T12:00:00Zx3600".parse().unwrap();
        assert_eq!(clock.to_string(), "2026-03-01T12:00:00Zx3600");
        assert_eq!(
            "2026-03-01T12:00:00Z".parse::<TestClock>().unwrap().rate.to_string(),
            "1"
        );
        for wrong in [
            "",
            "now",
            "2026-03-01T12:00:00Zx",
            "2026-03-01T12:00:00Zx-1",
            "2026-03-01T12:00:00ZxNaN",
        ] {
            assert!(wrong.parse::<TestClock>().is_err(), "{wrong}");
        }
    }
}
