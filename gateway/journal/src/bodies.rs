//! Reading bodies.
use serde::{Deserialize, Serialize};

use crate::error::BodyError;

/// Where a body lies in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// Number of the spool segment.
    pub segment: u64,
    /// Octets from the beginning of the segment file to the record.
    pub offset: u32,
    /// Length of the body in octets.
    pub len: u32,
}

/// A body with what its record says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The message that the body belongs to.
    pub message: [u8; 16],
    /// Which part of the message it is.
    pub part: u16,
    /// The flags given when it was put; this crate gives them no meaning.
    pub flags: u16,
    /// The octets as they were put.
    pub octets: Vec<u8>,
}

/// Reads bodies, beside the writer and from any number of threads.
#[derive(Debug, Clone)]
pub struct Bodies;

impl Bodies {
    /// Reads the body of this part of this message.
    pub fn read(&self, _location: &Location, _message: [u8; 16], _part: u16) -> Result<Vec<u8>, BodyError> {
        unimplemented!()
    }

    /// Reads whatever record lies at the location, checked against its own CRC only.
    pub fn read_record(&self, _location: &Location) -> Result<Body, BodyError> {
        unimplemented!()
    }
}
