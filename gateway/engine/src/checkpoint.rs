//! Checkpoints: the gateway's signature over the journal up to a record (I7).

use std::collections::HashMap;
use std::io;

use gost::{Certificate, Signer};
use journal::{Position, Record};

use crate::event::{Act, Event};

/// The octets that a checkpoint signs, after hashing with the algorithm of the key.
pub fn checkpoint_text(through: u64, digest: &[u8; 32]) -> Vec<u8> {
    format!("rsmev journal checkpoint\n{through}\n{}\n", hex::encode(digest)).into_bytes()
}

/// The checkpoint of a position.
pub(crate) fn make(
    signer: &dyn Signer,
    certificate: &Certificate,
    position: Position,
) -> Result<Event, gost::SignError> {
    let text = checkpoint_text(position.seq, &position.digest);
    let digest = signer.public_key().algorithm().digest().hash(&text);
    let signature = signer.sign(digest.as_ref())?;
    Ok(Event::Checkpoint {
        through: position.seq,
        digest: hex::encode(position.digest),
        certificate: certificate.id().to_string(),
        signature: hex::encode(signature.as_ref()),
    })
}

/// Checks the checkpoints of a journal: the callback of [`journal::verify::verify`].
pub struct CheckpointVerifier<'a> {
    certificate: &'a dyn Fn(&str) -> io::Result<Certificate>,
    known: HashMap<String, Certificate>,
    checked: u64,
    last: Option<u64>,
    acts: Vec<(u64, Act)>,
}

impl<'a> CheckpointVerifier<'a> {
    /// `certificate` gives a certificate by its id: the files under `registry/` in the data directory.
    pub fn new(certificate: &'a dyn Fn(&str) -> io::Result<Certificate>) -> Self {
        Self {
            certificate,
            known: HashMap::new(),
            checked: 0,
            last: None,
            acts: Vec::new(),
        }
    }

    /// Checks a record, if it is a checkpoint or an act of destruction: a checkpoint must speak of the record before it, an
    /// act of two people, and the signature must verify.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub fn check(&mut self, record: &Record) -> Result<(), String> {
        let text = record.event.get();
        if !text.contains("\"checkpoint\"") && !text.contains("\"destruction_approved\"") {
            return Ok(());
        }
        match serde_json::from_str(text).map_err(|error| error.to_string())? {
            Event::Checkpoint {
                through,
                digest,
                certificate,
                signature,
            } => {
                if through + 1 != record.seq || digest != hex::encode(record.prev) {
                    return Err(format!(
                        "the checkpoint speaks of record {through}, which is not the record before it as it is"
                    ));
                }
                let text = checkpoint_text(through, &record.prev);
                self.verify("checkpoint", &certificate, &text, &signature)?;
                self.checked += 1;
                self.last = Some(through);
            }
            Event::DestructionApproved { act, .. } => {
                if act.destruction.by.uid == act.approved_by.uid {
                    return Err("the act of destruction is that of one person".to_owned());
                }
                self.verify("act of destruction", &act.certificate, &act.text(), &act.signature)?;
                self.acts.push((record.seq, *act));
            }
            _ => {}
        }
        Ok(())
    }

    fn verify(&mut self, what: &str, certificate: &str, text: &[u8], signature: &str) -> Result<(), String> {
        if !self.known.contains_key(certificate) {
            let found = (self.certificate)(certificate)
                .map_err(|error| format!("certificate {certificate} of the {what}: {error}"))?;
            self.known.insert(certificate.to_owned(), found);
        }
        let Some(certificate) = self.known.get(certificate) else {
            return Ok(());
        };
        let signature = hex::decode(signature).map_err(|_| format!("the {what}'s signature is not hexadecimal"))?;
        let key = certificate.public_key();
        let hash = key.algorithm().digest().hash(text);
        key.verify(hash.as_ref(), &signature)
            .map_err(|_| format!("the {what}'s signature does not verify"))
    }

    /// The acts of destruction that verified, with the numbers of their records.
    pub fn acts(&self) -> &[(u64, Act)] {
        &self.acts
    }

    /// Checkpoints that verified.
    pub fn checked(&self) -> u64 {
        self.checked
    }

    /// Record up to which the last checkpoint vouches.
    pub fn last(&self) -> Option<u64> {
        self.last
    }
}
