//! The options of `rsmev setup`: each answers a question, which then is not asked.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use engine::names::{Mnemonic, UpstreamName};

/// `rsmev setup`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Ask nothing: what no option says stays as the configuration has it
    #[arg(long)]
    pub(super) yes: bool,
    /// The gateway's own mnemonic
    #[arg(long)]
    pub(super) mnemonic: Option<Mnemonic>,
    /// Its name, shown to people
    #[arg(long, value_name = "TEXT")]
    pub(super) name: Option<String>,
    /// Folder of journal, message bodies and index
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// The gateway's private key (PEM, PKCS#8), which is copied beside the configuration
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(super) key: Option<PathBuf>,
    /// Its certificate (PEM or DER)
    #[arg(long, value_name = "FILE")]
    pub(super) certificate: Option<PathBuf>,
    /// Make a key with a self-signed certificate, for tests: the federal bus does not accept it
    #[arg(long, conflicts_with_all = ["key", "certificate", "request"])]
    pub(super) test_key: bool,
    /// Make a key and a certificate request for the authority; the gateway can start when its certificate is there
    #[arg(long, conflicts_with_all = ["key", "certificate"])]
    pub(super) request: bool,
    /// Where local systems reach the gateway
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<SocketAddr>,
    /// The same as they write it, such as http://gw.region.local:7500
    #[arg(long, value_name = "URL")]
    pub(super) public_url: Option<String>,
    /// Where Prometheus reaches the gateway
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) admin_listen: Option<SocketAddr>,
    /// Unix socket of the command line
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    /// Endpoint of the federal bus, such as http://172.20.3.12:5000/ws/smev-message-exchange-service-1.2.wsdl
    #[arg(long, value_name = "URL", conflicts_with = "no_upstream")]
    pub(super) upstream: Option<String>,
    /// Its name in grants, routes and queue names
    #[arg(long, value_name = "NAME", default_value = "federal")]
    pub(super) upstream_name: UpstreamName,
    /// The version that is spoken with it
    #[arg(long, value_name = "VERSION", default_value = "1.2", value_parser = ["1.1", "1.2", "1.3"])]
    pub(super) upstream_version: String,
    /// A certificate that its answers are signed with, which is copied beside the configuration; repeatable
    #[arg(long, value_name = "FILE")]
    pub(super) upstream_signer: Vec<PathBuf>,
    /// No upstream for now: exchange within the region only
    #[arg(long)]
    pub(super) no_upstream: bool,
    /// Do not try to reach the upstream
    #[arg(long)]
    pub(super) offline: bool,
    /// Start the service in the end, now and with every start of the machine
    #[arg(long)]
    pub(super) start: bool,
}
