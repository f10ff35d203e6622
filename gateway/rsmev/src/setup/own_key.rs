//! The gateway's own key and certificate: given, made for tests, or made with a request for an authority.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::dialogue::{Dialogue, Question};
use super::{Arguments, Document, absolute, make_folder, text};
use crate::cli::{CurveName, KeysCsr, KeysNew};
use crate::failure::Failure;
use crate::keys;
use crate::output::Out;

/// Puts key and certificate into the folder and the configuration. Whether there is a certificate yet.
pub(super) fn settle<R: BufRead>(
    dialogue: &mut Dialogue<'_, R>,
    arguments: &Arguments,
    document: &mut Document,
    folder: &Path,
) -> Result<bool, Failure> {
    make_folder(folder, 0o700)?;
    let (key, certificate) = (folder.join("gateway.key"), folder.join("gateway.crt"));
    document.set("keys", "private_key", absolute(&key)?);
    document.set("keys", "certificate", absolute(&certificate)?);
    if key.exists() {
        if arguments.key.is_some() || arguments.test_key {
            return Err(Failure::file(
                &key,
                "there is a key already; move it away if another is meant",
            ));
        }
        return present(dialogue, &key, &certificate);
    }
    let mnemonic = document.text("node", "mnemonic").unwrap_or_default().to_owned();
    match choose(dialogue, arguments)? {
        Choice::Given(from, of) => {
            let (read, known) = (keys::read_key(&from)?, keys::read_certificate(&of)?);
            if !keys::belong(&read, &known) {
                return Err(Failure::file(&of, format!("is of another key than {}", from.display())));
            }
            keys::create(&key, 0o600, read.to_pem().as_bytes())?;
            keys::create(&certificate, 0o644, known.to_pem().as_bytes())?;
            present(dialogue, &key, &certificate)
        }
        Choice::Test => {
            keys::new(&new(&key, Some((&certificate, &mnemonic))), &mut Out::new())?;
            dialogue.say("A test key was made: the federal bus does not accept its certificate.")?;
            present(dialogue, &key, &certificate)
        }
        Choice::Request => {
            let request = folder.join("gateway.csr");
            keys::new(&new(&key, None), &mut Out::new())?;
            let asked = KeysCsr {
                key: key.clone(),
                subject: format!("CN={mnemonic}"),
                out: Some(request.clone()),
            };
            keys::csr(&asked, &mut Out::new())?;
            dialogue.say(format_args!("{}: private key, which stays here", key.display()))?;
            dialogue.say(format_args!(
                "{}: certificate request for the authority",
                request.display()
            ))?;
            Ok(false)
        }
    }
}

enum Choice {
    Given(PathBuf, PathBuf),
    Test,
    Request,
}

fn choose<R: BufRead>(dialogue: &mut Dialogue<'_, R>, arguments: &Arguments) -> Result<Choice, Failure> {
    if let (Some(key), Some(certificate)) = (&arguments.key, &arguments.certificate) {
        return Ok(Choice::Given(key.clone(), certificate.clone()));
    }
    let chosen = match (arguments.test_key, arguments.request) {
        (true, _) => Some("test".to_owned()),
        (_, true) => Some("request".to_owned()),
        _ => None,
    };
    let choice = dialogue.settle(
        Question {
            text: "Key of the gateway: `have` one with its certificate, `request` a certificate, or `test` only",
            option: "--key with --certificate, --request or --test-key",
            given: chosen,
            default: None,
        },
        |answer| match answer {
            "have" | "request" | "test" => Ok(answer.to_owned()),
            _ => Err("have, request or test?".to_owned()),
        },
        |_| Ok(None),
    )?;
    match choice.as_str() {
        "test" => Ok(Choice::Test),
        "request" => Ok(Choice::Request),
        _ => {
            let key = file(dialogue, "File of the private key (PEM, PKCS#8)", "--key", |file| {
                keys::read_key(file).map(drop)
            })?;
            let own = keys::read_key(&key)?;
            let certificate = file(
                dialogue,
                "File of its certificate",
                "--certificate",
                |file| match keys::belong(&own, &keys::read_certificate(file)?) {
                    true => Ok(()),
                    false => Err(Failure::file(file, "is of another key")),
                },
            )?;
            Ok(Choice::Given(key, certificate))
        }
    }
}

/// A file that can be read as what it must be.
pub(super) fn file<R: BufRead>(
    dialogue: &mut Dialogue<'_, R>,
    question: &str,
    option: &str,
    read: impl Fn(&Path) -> Result<(), Failure>,
) -> Result<PathBuf, Failure> {
    let question = Question {
        text: question,
        option,
        given: None,
        default: None,
    };
    let check = |path: &String| {
        read(Path::new(path))
            .map(|()| None)
            .map_err(|failure| failure.to_string())
    };
    Ok(PathBuf::from(dialogue.settle(question, text, check)?))
}

fn new(key: &Path, certificate: Option<(&Path, &str)>) -> KeysNew {
    KeysNew {
        key: key.to_owned(),
        curve: CurveName::CryptoProA,
        subject: certificate.map(|(_, mnemonic)| format!("CN={mnemonic}")),
        certificate: certificate.map(|(file, _)| file.to_owned()),
        days: 455,
    }
}

/// Says what is there. A certificate that does not fit is an error; one that is not there yet is waited for.
fn present<R: BufRead>(dialogue: &mut Dialogue<'_, R>, key: &Path, certificate: &Path) -> Result<bool, Failure> {
    if !certificate.exists() {
        dialogue.say(format_args!("{}: is not there yet", certificate.display()))?;
        return Ok(false);
    }
    let known = keys::read_certificate(certificate)?;
    if !keys::belong(&keys::read_key(key)?, &known) {
        return Err(Failure::file(
            certificate,
            format!("is of another key than {}", key.display()),
        ));
    }
    dialogue.say(format_args!("{}: key of {}", key.display(), known.subject()))?;
    Ok(true)
}
