//! The form of a sealed body: `[form u8][cipher u8][0 u16][key id u32] nonce ciphertext tag`, numbers little-endian.

use crate::cipher::{Keyed, TAG};
use crate::error::{OpenError, SealError};
use crate::vault::BodyName;

const FORM: u8 = 1;
const HEADER: usize = 8;

/// What the tag covers beside the ciphertext.
fn associated(header: &[u8; HEADER], name: BodyName, len: usize) -> Vec<u8> {
    let mut octets = Vec::with_capacity(64);
    octets.extend_from_slice(b"rsmev body\0");
    octets.extend_from_slice(header);
    octets.extend_from_slice(&name.message);
    octets.extend_from_slice(&name.part.to_le_bytes());
    octets.extend_from_slice(&(len as u64).to_le_bytes());
    octets
}

fn header(key_id: u32, keyed: &Keyed) -> [u8; HEADER] {
    let [a, b, c, d] = key_id.to_le_bytes();
    [FORM, keyed.cipher().number(), 0, 0, a, b, c, d]
}

pub(crate) fn seal(key_id: u32, keyed: &Keyed, name: BodyName, plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let header = header(key_id, keyed);
    let mut room = [0; _];
    let nonce = keyed
        .nonce(&mut room)
        .map_err(|error| SealError::Entropy(error.to_string()))?;
    let start = HEADER + nonce.len();
    let mut sealed = Vec::with_capacity(start + plain.len() + TAG);
    sealed.extend_from_slice(&header);
    sealed.extend_from_slice(nonce);
    sealed.extend_from_slice(plain);
    let tag = keyed.encrypt(nonce, &associated(&header, name, plain.len()), &mut sealed[start..]);
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// The id of the data key that sealed a body.
pub(crate) fn key_id(sealed: &[u8]) -> Result<u32, OpenError> {
    match sealed.first_chunk() {
        Some([FORM, _, 0, 0, a, b, c, d]) => Ok(u32::from_le_bytes([*a, *b, *c, *d])),
        _ => Err(OpenError::Form),
    }
}

pub(crate) fn open(key_id: u32, keyed: &Keyed, name: BodyName, mut sealed: Vec<u8>) -> Result<Vec<u8>, OpenError> {
    let header = header(key_id, keyed);
    let start = HEADER + keyed.cipher().nonce_len();
    let Some(len) = sealed.len().checked_sub(start + TAG) else {
        return Err(OpenError::Form);
    };
    if !sealed.starts_with(&header) {
        return Err(OpenError::Form);
    }
    let (nonce, rest) = sealed[HEADER..].split_at_mut(keyed.cipher().nonce_len());
    let (octets, tag) = rest.split_at_mut(len);
    let tag: [u8; TAG] = (&*tag).try_into().map_err(|_| OpenError::Form)?;
    keyed
        .decrypt(nonce, &associated(&header, name, len), octets, &tag)
        .map_err(|_| OpenError::NotAuthentic)?;
    sealed.truncate(start + len);
    sealed.drain(..start);
    Ok(sealed)
}
