//! Octets damaged at random: what the plain runs of the fuzz targets try around their seeds.
#![forbid(unsafe_code)]

use proptest::prelude::*;
use proptest::sample::Index;

/// One thing that goes wrong with octets; places are relative to their length.
#[derive(Clone, Debug)]
pub enum Damage {
    /// Octets that were not there.
    Insert(Index, Vec<u8>),
    /// So many octets are gone.
    Remove(Index, usize),
    /// So many octets stand in another place too.
    Repeat(Index, usize, Index),
    /// Another octet.
    Octet(Index, u8),
}

/// Up to three damages; `piece` makes what is inserted.
pub fn damages(piece: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<Damage>> {
    let place = any::<Index>;
    let one = prop_oneof![
        3 => (place(), piece).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        2 => (place(), 1..200_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        2 => (place(), 1..400_usize, place()).prop_map(|(from, length, to)| Damage::Repeat(from, length, to)),
        2 => (place(), any::<u8>()).prop_map(|(at, octet)| Damage::Octet(at, octet)),
    ];
    prop::collection::vec(one, 0..4)
}

/// A few octets of any kind, to be inserted.
pub fn any_octets() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..8)
}

/// What the damages make of the octets.
#[must_use]
pub fn damaged(mut octets: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        if octets.is_empty() {
            break;
        }
        let length = octets.len();
        match damage {
            Damage::Insert(at, piece) => {
                let at = at.index(length);
                octets.splice(at..at, piece.iter().copied());
            }
            Damage::Remove(at, count) => {
                let at = at.index(length);
                octets.drain(at..length.min(at + count));
            }
            Damage::Repeat(from, count, to) => {
                let from = from.index(length);
                let piece = octets[from..length.min(from + count)].to_vec();
                let to = to.index(length);
                octets.splice(to..to, piece);
            }
            Damage::Octet(at, octet) => octets[at.index(length)] = *octet,
        }
    }
    octets
}
