//! Octets as lower-case hexadecimal text.

use std::fmt;

pub(crate) fn write(f: &mut impl fmt::Write, octets: &[u8]) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

pub(crate) fn parse<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    let mut octets = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (octet, pair) in octets.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *octet = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(octets)
}
