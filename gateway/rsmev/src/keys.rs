//! `rsmev keys`: GOST keys, certificate requests and certificates; and how the gateway loads its own.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use gost::{Certificate, Curve, KeyAlgorithm, Signer, SoftwareKey, SubjectName};
use jiff::Timestamp;
use nix::unistd::{AccessFlags, access};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::cli::{CurveName, KeysCsr, KeysNew, KeysShow, Output};
use crate::credentials;
use crate::failure::Failure;
use crate::output::{Out, Table};
use crate::settings;

/// The gateway's own key with its certificate.
#[derive(Clone)]
pub(crate) struct Identity {
    /// Signs.
    pub(crate) signer: Arc<dyn Signer>,
    /// Names the key.
    pub(crate) certificate: Certificate,
}

/// Loads the configured key and certificate, and checks that they belong together.
pub(crate) fn load(keys: &settings::Keys) -> Result<Identity, Failure> {
    let key = read_key(&credentials::place(&keys.private_key))?;
    let certificate = read_certificate(&credentials::place(&keys.certificate))?;
    if !belong(&key, &certificate) {
        return Err(Failure::refused(format!(
            "{}: the certificate is of another key than {}",
            keys.certificate.display(),
            keys.private_key.display()
        )));
    }
    Ok(Identity {
        signer: Arc::new(key),
        certificate,
    })
}

/// Whether a certificate is of a key.
pub(crate) fn belong(key: &SoftwareKey, certificate: &Certificate) -> bool {
    certificate.public_key() == key.public_key()
}

/// Reads a certificate, PEM or DER.
pub(crate) fn read_certificate(file: &Path) -> Result<Certificate, Failure> {
    let octets = std::fs::read(file).map_err(|error| Failure::file(file, error))?;
    Certificate::from_pem_or_der(&octets).map_err(|error| Failure::file(file, error))
}

/// Reads a private key, PEM.
pub(crate) fn read_key(file: &Path) -> Result<SoftwareKey, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::file(file, error))?;
    let text = Zeroizing::new(text);
    SoftwareKey::from_pem(&text).map_err(|error| Failure::file(file, error))
}

/// What is wrong with a private key's file that others than its owner can read.
pub(crate) fn open_to_others(file: &Path) -> Option<String> {
    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        format!(
            "{0}: has mode {mode:04o}, so that others can use the key; chmod 600 {0}",
            file.display()
        )
    })
}

/// `keys new`
pub(crate) fn new(arguments: &KeysNew, out: &mut Out) -> Result<(), Failure> {
    let (curve, algorithm) = arguments.curve.parameters();
    let key = SoftwareKey::generate(curve, algorithm).map_err(|error| Failure::refused(error.to_string()))?;
    let certificate = match (&arguments.subject, &arguments.certificate) {
        (Some(subject), Some(file)) => {
            let now = Timestamp::now().as_second();
            let end = now + i64::from(arguments.days) * 86_400;
            let certificate = gost::self_signed(&key, &subject_name(subject)?, now, end)
                .map_err(|error| Failure::refused(error.to_string()))?;
            Some((file, certificate))
        }
        _ => None,
    };
    let targets = [Some(&arguments.key), arguments.certificate.as_ref()];
    targets.into_iter().flatten().try_for_each(|file| can_create(file))?;
    if arguments.certificate.as_ref() == Some(&arguments.key) {
        return Err(Failure::usage("--key and --certificate must be two files"));
    }
    create(&arguments.key, 0o600, key.to_pem().as_bytes())?;
    out.line(format_args!(
        "{}: private key, {}",
        arguments.key.display(),
        curve.name()
    ))?;
    if let Some((file, certificate)) = certificate {
        create(file, 0o644, certificate.to_pem().as_bytes())?;
        out.line(format_args!(
            "{}: self-signed certificate, {}",
            file.display(),
            certificate.subject()
        ))?;
    }
    Ok(())
}

/// `keys csr`
pub(crate) fn csr(arguments: &KeysCsr, out: &mut Out) -> Result<(), Failure> {
    let key = read_key(&arguments.key)?;
    let pem = gost::certificate_request_pem(&key, &subject_name(&arguments.subject)?)
        .map_err(|error| Failure::refused(error.to_string()))?;
    match &arguments.out {
        Some(file) => {
            create(file, 0o644, pem.as_bytes())?;
            out.line(format_args!("{}: certificate request", file.display()))?;
        }
        None => out.raw(pem.as_bytes())?,
    }
    Ok(())
}

/// `keys show`
pub(crate) fn show(arguments: &KeysShow, out: &mut Out) -> Result<(), Failure> {
    let shown = arguments
        .files
        .iter()
        .map(|file| Shown::of(file))
        .collect::<Result<Vec<_>, _>>()?;
    match arguments.output.output {
        Output::Json => out.json(&shown)?,
        Output::Table => {
            for (index, shown) in shown.iter().enumerate() {
                if index > 0 {
                    out.line("")?;
                }
                out.table(&shown.table())?;
            }
        }
    }
    Ok(())
}

/// What `keys show` tells about a file.
#[derive(Debug, Serialize)]
struct Shown {
    file: String,
    what: &'static str,
    algorithm: String,
    curve: &'static str,
    public_key: String,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    certificate: Option<ShownCertificate>,
}

#[derive(Debug, Serialize)]
struct ShownCertificate {
    id: String,
    subject: String,
    issuer: String,
    serial: String,
    not_before: String,
    not_after: String,
    key_identifier: Option<String>,
}

impl Shown {
    fn of(file: &Path) -> Result<Self, Failure> {
        let octets = std::fs::read(file).map_err(|error| Failure::file(file, error))?;
        let is_key = std::str::from_utf8(&octets).is_ok_and(|text| text.contains("PRIVATE KEY-----"));
        let (public_key, certificate) = if is_key {
            (read_key(file)?.public_key().clone(), None)
        } else {
            let certificate = Certificate::from_pem_or_der(&octets).map_err(|error| Failure::file(file, error))?;
            (
                certificate.public_key().clone(),
                Some(ShownCertificate::of(&certificate)),
            )
        };
        Ok(Self {
            file: file.display().to_string(),
            what: if is_key { "private key" } else { "certificate" },
            algorithm: algorithm_name(public_key.algorithm()).to_owned(),
            curve: public_key.curve().name(),
            public_key: hex::encode(public_key.to_spki_der()),
            certificate,
        })
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&["FILE", ""]);
        table.row([self.file.clone(), self.what.to_owned()]);
        let mut line = |name: &str, value: &str| table.row([format!("  {name}"), value.to_owned()]);
        line("algorithm", &self.algorithm);
        line("curve", self.curve);
        if let Some(certificate) = &self.certificate {
            line("id", &certificate.id);
            line("subject", &certificate.subject);
            line("issuer", &certificate.issuer);
            line("serial", &certificate.serial);
            line("valid from", &certificate.not_before);
            line("valid to", &certificate.not_after);
            if let Some(identifier) = &certificate.key_identifier {
                line("key identifier", identifier);
            }
        }
        line("public key", &self.public_key);
        table
    }
}

impl ShownCertificate {
    fn of(certificate: &Certificate) -> Self {
        let time = |seconds: i64| {
            Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds}"), |moment| moment.to_string())
        };
        Self {
            id: certificate.id().to_string(),
            subject: certificate.subject().to_owned(),
            issuer: certificate.issuer().to_owned(),
            serial: certificate.serial(),
            not_before: time(certificate.not_before()),
            not_after: time(certificate.not_after()),
            key_identifier: certificate.key_identifier().map(hex::encode),
        }
    }
}

impl CurveName {
    fn parameters(self) -> (Curve, KeyAlgorithm) {
        use KeyAlgorithm::{Gost2012_256, Gost2012_512};
        match self {
            Self::CryptoProA => (Curve::CryptoProA, Gost2012_256),
            Self::CryptoProB => (Curve::CryptoProB, Gost2012_256),
            Self::CryptoProC => (Curve::CryptoProC, Gost2012_256),
            Self::CryptoProXchA => (Curve::CryptoProXchA, Gost2012_256),
            Self::CryptoProXchB => (Curve::CryptoProXchB, Gost2012_256),
            Self::Tc26A256 => (Curve::Tc26A256, Gost2012_256),
            Self::Tc26B256 => (Curve::Tc26B256, Gost2012_256),
            Self::Tc26C256 => (Curve::Tc26C256, Gost2012_256),
            Self::Tc26D256 => (Curve::Tc26D256, Gost2012_256),
            Self::Tc26A512 => (Curve::Tc26A512, Gost2012_512),
            Self::Tc26B512 => (Curve::Tc26B512, Gost2012_512),
            Self::Tc26C512 => (Curve::Tc26C512, Gost2012_512),
        }
    }
}

fn algorithm_name(algorithm: KeyAlgorithm) -> &'static str {
    match algorithm {
        KeyAlgorithm::Gost2001 => "GOST R 34.10-2001",
        KeyAlgorithm::Gost2012_256 => "GOST R 34.10-2012, 256 bits",
        KeyAlgorithm::Gost2012_512 => "GOST R 34.10-2012, 512 bits",
    }
}

fn subject_name(text: &str) -> Result<SubjectName, Failure> {
    text.parse()
        .map_err(|error| Failure::usage(format!("--subject {text:?}: {error}")))
}

/// Creates a file that must not exist, and syncs it: a key that is lost is lost for good.
pub(crate) fn create(file: &Path, mode: u32, octets: &[u8]) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    let written = options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(file)
        .and_then(|mut created| {
            created.write_all(octets)?;
            created.sync_all()
        });
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(file),
        _ => Failure::file(file, error),
    })
}

/// Whether a new file can be made here, before anything is written: a key must not be left without its certificate.
fn can_create(file: &Path) -> Result<(), Failure> {
    if std::fs::symlink_metadata(file).is_ok() {
        return Err(exists(file));
    }
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    access(folder, AccessFlags::W_OK).map_err(|error| Failure::file(folder, error.desc()))
}

fn exists(file: &Path) -> Failure {
    Failure::refused(format!("{}: exists already; nothing was changed", file.display()))
}
