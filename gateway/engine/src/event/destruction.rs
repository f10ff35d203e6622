//! The destruction of journal segments whose term is over: an act of two people.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A person as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The account's name.
    pub name: String,
    /// The account's number: what tells two people apart.
    pub uid: u32,
}

impl std::fmt::Display for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (uid {})", self.name, self.uid)
    }
}

/// What is to be destroyed: whole sealed segments from the beginning of the journal on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destruction {
    /// Everything in it is older than this.
    pub before: Timestamp,
    /// The first record.
    pub first: u64,
    /// The last record.
    pub through: u64,
    /// Number of segments.
    pub segments: u64,
    /// Octets of their files.
    pub bytes: u64,
    /// Segments that the archive does not have may go, too.
    pub unshipped: bool,
    /// Who proposed it.
    pub by: Person,
    /// Why.
    pub reason: String,
}

/// The act: what two people agreed to destroy, signed with the gateway's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// What was proposed.
    #[serde(flatten)]
    pub destruction: Destruction,
    /// Who approved it: somebody else.
    pub approved_by: Person,
    /// The segments, in order.
    pub destroyed: Vec<DestroyedSegment>,
    /// Certificate of the key, a file under `registry/`.
    pub certificate: String,
    /// Signature over [`text`](Self::text), hexadecimal.
    pub signature: String,
}

/// A segment of an act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestroyedSegment {
    /// Its first record.
    pub first: u64,
    /// Its last record.
    pub last: u64,
    /// Octets of the file.
    pub bytes: u64,
    /// Streebog-256 of the file, hexadecimal.
    pub digest: String,
    /// Digest of its last record, hexadecimal: what the next segment goes on from.
    pub last_digest: String,
}

impl Act {
    /// The octets that the act signs, after hashing with the algorithm of the key.
    pub fn text(&self) -> Vec<u8> {
        use std::fmt::Write as _;
        let Destruction {
            before,
            first,
            through,
            by,
            reason,
            unshipped,
            ..
        } = &self.destruction;
        let mut text = format!(
            "rsmev act of destruction\nrecords {first} to {through}\nbefore {before}\nunshipped {unshipped}\n\
             proposed by {by}\napproved by {}\nreason {}\n",
            self.approved_by,
            reason.replace(char::is_control, " ")
        );
        for DestroyedSegment {
            first,
            last,
            bytes,
            digest,
            last_digest,
        } in &self.destroyed
        {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{first} {last} {bytes} {digest} {last_digest}");
        }
        text.into_bytes()
    }
}
