//! `rsmev keys`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::OutputArg;
use crate::confirm::YesArg;

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make a private key and, with --subject, a self-signed certificate for it
    New(KeysNew),
    /// Write a certificate request (PKCS#10) for a private key
    Csr(KeysCsr),
    /// Show certificates, or the public half of private keys
    Show(KeysShow),
    /// The master key that protects stored message bodies
    #[command(subcommand)]
    Master(MasterKeyCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum MasterKeyCommand {
    /// Make a master key
    New {
        /// File for it (mode 0600); must not exist
        file: PathBuf,
    },
    /// Show which key a file holds: its fingerprint, never the key
    Show {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        output: OutputArg,
    },
    /// Protect the gateway's data keys with another master key; no message body is rewritten
    Rotate {
        /// File of the new key, which the gateway must be able to read
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        #[command(flatten)]
        yes: YesArg,
    },
}

#[derive(Debug, Args)]
pub(crate) struct KeysNew {
    /// File for the private key (PEM, PKCS#8, mode 0600); must not exist
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Parameter set; the length of the key follows from it
    #[arg(long, default_value = "crypto-pro-a")]
    pub(crate) curve: CurveName,
    /// Subject of a self-signed certificate, such as "CN=Region,O=Government,C=RU"
    #[arg(long, value_name = "NAME", requires = "certificate")]
    pub(crate) subject: Option<String>,
    /// File for the certificate (PEM); must not exist
    #[arg(long, value_name = "FILE", requires = "subject")]
    pub(crate) certificate: Option<PathBuf>,
    /// Validity of the certificate
    #[arg(long, value_name = "N", default_value_t = 455, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) days: u32,
}

/// Parameter sets by the names of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CurveName {
    CryptoProA,
    CryptoProB,
    CryptoProC,
    CryptoProXchA,
    CryptoProXchB,
    #[value(name = "tc26-256-a")]
    Tc26A256,
    #[value(name = "tc26-256-b")]
    Tc26B256,
    #[value(name = "tc26-256-c")]
    Tc26C256,
    #[value(name = "tc26-256-d")]
    Tc26D256,
    #[value(name = "tc26-512-a")]
    Tc26A512,
    #[value(name = "tc26-512-b")]
    Tc26B512,
    #[value(name = "tc26-512-c")]
    Tc26C512,
}

#[derive(Debug, Args)]
pub(crate) struct KeysCsr {
    /// The private key (PEM, PKCS#8)
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Subject, such as "CN=Region,O=Government,C=RU"
    #[arg(long, value_name = "NAME")]
    pub(crate) subject: String,
    /// File for the request (PEM); standard output without it
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct KeysShow {
    /// Certificates (PEM or DER) or private keys (PEM)
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}
