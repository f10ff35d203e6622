//! `rsmev probe`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use emulator::Version;
use engine::names::MessageId;

use super::{OutputArg, message_id};

#[derive(Debug, Subcommand)]
pub(crate) enum Probe {
    /// Send a request, or the answer to a request that was polled
    Send(Box<ProbeSend>),
    /// Take the next message from a queue, verify who signed it, and show it; it comes again until it is acknowledged
    Poll(Box<ProbePoll>),
    /// Acknowledge a message that was polled, so that it does not come again
    Ack(Box<ProbeAck>),
}

impl Probe {
    /// Who calls whom.
    pub(crate) fn caller(&self) -> &Caller {
        match self {
            Self::Send(arguments) => &arguments.caller,
            Self::Poll(arguments) => &arguments.caller,
            Self::Ack(arguments) => &arguments.caller,
        }
    }
}

/// Who calls whom, and how long it may take.
#[derive(Debug, Args)]
pub(crate) struct Caller {
    /// Where to call: a gateway's door or the bus, such as http://gateway:7500/smev/v1.2/ws
    #[arg(long, value_name = "URL", required_unless_present = "print")]
    pub(crate) url: Option<String>,
    /// The system's private key (PEM); it is used in this process only and goes nowhere
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The system's certificate, PEM or DER
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: PathBuf,
    /// Version of the protocol to speak: 1.1, 1.2 or 1.3; without it the one in the URL's path, or else 1.2
    #[arg(long, value_name = "VERSION")]
    pub(crate) from_version: Option<Version>,
    /// A certificate that the gateway or the bus may sign its answers with; repeatable. Without it the signature is verified, but
    /// nothing tells whose key it is
    #[arg(long, value_name = "FILE")]
    pub(crate) trusted: Vec<PathBuf>,
    /// Authorities (PEM) that an https server's certificate must come from; those of this machine without it
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// A certificate (PEM) to show to a server that asks for one in TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,
    /// How long a connection may take, TLS included
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) connect_timeout: u64,
    /// How long an answer may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
    /// Do not call: write the signed envelope to standard output, for curl
    #[arg(long)]
    pub(crate) print: bool,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[derive(Debug, Args)]
pub(crate) struct ProbeSend {
    #[command(flatten)]
    pub(crate) caller: Caller,
    /// The kind: {NAMESPACE}ROOT, or its name where the gateway of --config can be asked. Without --payload an empty root
    /// element is sent, and a request is marked as a test
    #[arg(long, value_name = "KIND", required_unless_present = "payload")]
    pub(crate) kind: Option<String>,
    /// The payload, an XML document
    #[arg(long, value_name = "FILE")]
    pub(crate) payload: Option<PathBuf>,
    /// A file to send along; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) attachment: Vec<PathBuf>,
    /// Answer this request, which `poll requests --save` has put into --saved
    #[arg(long, value_name = "MESSAGE", value_parser = message_id)]
    pub(crate) to_response: Option<MessageId>,
    /// The folder that was given to `poll --save`
    #[arg(long, value_name = "DIR", default_value = ".", requires = "to_response")]
    pub(crate) saved: PathBuf,
    /// Answer the request that came with this ReplyTo
    #[arg(long, value_name = "TEXT", conflicts_with = "to_response")]
    pub(crate) reply_to: Option<String>,
    /// Mark a request as a test (TestMessage)
    #[arg(long)]
    pub(crate) test_message: bool,
    /// The sub-queue that is to get the answer (NodeID)
    #[arg(long, value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// The MessageID; a fresh one without it. To send again what may have been accepted, name the same one
    #[arg(long, value_name = "ID", value_parser = message_id)]
    pub(crate) message_id: Option<MessageId>,
}

#[derive(Debug, Args)]
pub(crate) struct ProbePoll {
    /// Which queue
    #[arg(value_enum)]
    pub(crate) what: Polled,
    #[command(flatten)]
    pub(crate) caller: Caller,
    /// Only messages of this kind: {NAMESPACE}ROOT, or its name where the gateway of --config can be asked
    #[arg(long, alias = "kind", value_name = "KIND")]
    pub(crate) r#type: Option<String>,
    /// The sub-queue (NodeID)
    #[arg(long, value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// Poll until something comes, but no longer than this; then end with 1
    #[arg(long, value_name = "SECONDS", conflicts_with = "print", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) wait: Option<u64>,
    /// Write the message into DIR/MESSAGE-ID: message.json, payload.xml and the attachments
    #[arg(long, value_name = "DIR", conflicts_with = "print")]
    pub(crate) save: Option<PathBuf>,
}

/// The queues of a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Polled {
    /// Requests to this system (GetRequest)
    Requests,
    /// Answers to this system's requests (GetResponse)
    Responses,
    /// Notices about this system's answers (GetStatus)
    Status,
}

#[derive(Debug, Args)]
pub(crate) struct ProbeAck {
    #[command(flatten)]
    pub(crate) caller: Caller,
    /// The message, as the poll named it
    #[arg(long, value_name = "ID", value_parser = message_id)]
    pub(crate) message: MessageId,
    /// Say that the gateway's or bus's signature did not hold (accepted="false")
    #[arg(long)]
    pub(crate) rejected: bool,
}
