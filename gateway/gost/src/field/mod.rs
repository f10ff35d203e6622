//! Arithmetic modulo the primes of the standards, all of it in constant time.
//!
//! Two kinds of primes occur. `2^n - c` with a small `c` lets the upper half of a product be folded down with a
//! multiplication by `c` ([`Crandall`]); every other prime, and every group order, takes [`Montgomery`] reduction. The
//! running time of an operation depends on the modulus alone, never on a value; where a public value allows a shortcut
//! the function says so in its name.

mod crandall;
mod montgomery;
#[cfg(test)]
mod tests;

pub(crate) use crandall::Crandall;
pub(crate) use montgomery::{Modulus, Montgomery};

use subtle::Choice;

/// The residues modulo one prime of 256 or 512 bits.
pub(crate) trait Field: Copy + Send + Sync + 'static {
    /// The limbs of a residue, least significant first.
    type Limbs: Copy + AsRef<[u64]> + AsMut<[u64]>;

    const ZERO_LIMBS: Self::Limbs;
    const ZERO: Self;
    const ONE: Self;

    /// The residue for canonical limbs; `None` if they are not below the prime; the time tells no more.
    fn from_limbs(limbs: Self::Limbs) -> Option<Self>;
    /// The canonical limbs, below the prime.
    fn to_limbs(self) -> Self::Limbs;

    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn square(self) -> Self;
    /// The inverse; zero for zero.
    fn invert(self) -> Self;

    fn is_zero(self) -> Choice;
    /// Adds `other` bit by bit where `mask` is all ones, nothing where it is zero; for table look-ups that start from
    /// [`Field::BLANK`].
    fn or_masked(&mut self, other: &Self, mask: u64);
    /// The residue with all limbs zero, whatever its value.
    const BLANK: Self;
    /// `other` where `choice` is set, else `self`.
    fn select(self, other: Self, choice: Choice) -> Self;

    fn double(self) -> Self {
        self.add(self)
    }

    fn negate(self) -> Self {
        Self::ZERO.sub(self)
    }

    /// `self^(2^times)`.
    fn square_times(self, times: usize) -> Self {
        let mut result = self;
        for _ in 0..times {
            result = result.square();
        }
        result
    }

    /// Whether two residues are equal.
    fn equals(self, other: Self) -> bool {
        self.sub(other).is_zero().into()
    }

    /// Octets of a residue, 32 or 64.
    fn octets() -> usize {
        size_of::<Self::Limbs>()
    }

    /// The limbs of `octets`, least significant octet first; `None` if the length is not [`Field::octets`].
    fn limbs_from_le(octets: &[u8]) -> Option<Self::Limbs> {
        let mut limbs = Self::ZERO_LIMBS;
        if octets.len() != Self::octets() {
            return None;
        }
        for (limb, chunk) in limbs.as_mut().iter_mut().zip(octets.chunks_exact(8)) {
            *limb = u64::from_le_bytes(chunk.try_into().ok()?);
        }
        Some(limbs)
    }

    /// The residue written least significant octet first; `None` for a wrong length or a value not below the prime.
    fn from_le(octets: &[u8]) -> Option<Self> {
        Self::limbs_from_le(octets).and_then(Self::from_limbs)
    }

    /// The residue written most significant octet first; `None` for a wrong length or a value not below the prime.
    fn from_be(octets: &[u8]) -> Option<Self> {
        let mut reversed = [0u8; 64];
        let reversed = reversed.get_mut(..octets.len())?;
        reversed.copy_from_slice(octets);
        reversed.reverse();
        Self::from_le(reversed)
    }

    /// Writes the canonical residue, least significant octet first, into `out` of [`Field::octets`] octets.
    fn write_le(self, out: &mut [u8]) {
        for (limb, chunk) in self.to_limbs().as_ref().iter().zip(out.chunks_exact_mut(8)) {
            chunk.copy_from_slice(&limb.to_le_bytes());
        }
    }

    /// Writes the canonical residue, most significant octet first, into `out` of [`Field::octets`] octets.
    fn write_be(self, out: &mut [u8]) {
        self.write_le(out);
        out.reverse();
    }
}

/// The limbs of a hexadecimal number; for constants, where a wrong character stops the build.
pub(crate) const fn limbs<const N: usize>(hex: &str) -> [u64; N] {
    let text = hex.as_bytes();
    let mut result = [0u64; N];
    let mut at = 0;
    while at < text.len() {
        let digit = match text[text.len() - 1 - at] {
            c @ b'0'..=b'9' => c - b'0',
            c @ b'A'..=b'F' => c - b'A' + 10,
            _ => panic!("not an upper-case hexadecimal digit"),
        };
        result[at / 16] |= (digit as u64) << (4 * (at % 16));
        at += 1;
    }
    result
}

/// `a + b + carry`, as limb and carry.
#[inline(always)]
const fn add_carry(a: u64, b: u64, carry: u64) -> (u64, u64) {
    let sum = a as u128 + b as u128 + carry as u128;
    (sum as u64, (sum >> 64) as u64)
}

/// `a - b - borrow`, as limb and borrow (0 or 1).
#[inline(always)]
const fn sub_borrow(a: u64, b: u64, borrow: u64) -> (u64, u64) {
    let difference = (a as u128).wrapping_sub(b as u128).wrapping_sub(borrow as u128);
    (difference as u64, (difference >> 64) as u64 & 1)
}

/// `a - b`, as limbs and borrow (0 or 1).
#[inline(always)]
const fn sub_limbs<const N: usize>(a: &[u64; N], b: &[u64; N]) -> ([u64; N], u64) {
    let mut difference = [0; N];
    let mut borrow = 0;
    let mut i = 0;
    while i < N {
        (difference[i], borrow) = sub_borrow(a[i], b[i], borrow);
        i += 1;
    }
    (difference, borrow)
}

/// `a * b + c + d`, which cannot overflow two limbs, as lower and upper limb.
#[inline(always)]
const fn mul_add(a: u64, b: u64, c: u64, d: u64) -> (u64, u64) {
    let product = a as u128 * b as u128 + c as u128 + d as u128;
    (product as u64, (product >> 64) as u64)
}

/// A mask that the compiler knows nothing about. Without this it finds out that a mask made of a carry is all ones or zero
/// and turns the selection into a branch (seen with rustc 1.95 in Montgomery reduction).
#[inline(always)]
const fn opaque(mask: u64) -> u64 {
    std::hint::black_box(mask)
}

/// `b` where the mask is all ones, `a` where it is zero.
#[inline(always)]
const fn choose<const N: usize>(a: [u64; N], b: [u64; N], mask: u64) -> [u64; N] {
    let mask = opaque(mask);
    let mut result = a;
    let mut i = 0;
    while i < N {
        result[i] ^= mask & (a[i] ^ b[i]);
        i += 1;
    }
    result
}

/// The limbs of the full product of two `N`-limb numbers; the first `2 * N` are used.
#[inline(always)]
const fn wide_mul<const N: usize>(a: &[u64; N], b: &[u64; N]) -> [u64; 16] {
    let mut product = [0u64; 16];
    let mut i = 0;
    while i < N {
        let mut carry = 0;
        let mut j = 0;
        while j < N {
            (product[i + j], carry) = mul_add(a[i], b[j], product[i + j], carry);
            j += 1;
        }
        product[i + N] = carry;
        i += 1;
    }
    product
}

/// The limbs of the square of an `N`-limb number; the first `2 * N` are used.
#[inline(always)]
const fn wide_square<const N: usize>(a: &[u64; N]) -> [u64; 16] {
    let mut product = [0u64; 16];
    let mut i = 0;
    while i < N {
        let mut carry = 0;
        let mut j = i + 1;
        while j < N {
            (product[i + j], carry) = mul_add(a[i], a[j], product[i + j], carry);
            j += 1;
        }
        product[i + N] = carry;
        i += 1;
    }
    let mut top = 0;
    let mut carry = 0;
    let mut i = 0;
    while i < N {
        let (low, high) = (product[2 * i], product[2 * i + 1]);
        let (square_low, square_high) = mul_add(a[i], a[i], 0, 0);
        (product[2 * i], carry) = add_carry(low << 1 | top, square_low, carry);
        (product[2 * i + 1], carry) = add_carry(high << 1 | low >> 63, square_high, carry);
        top = high >> 63;
        i += 1;
    }
    product
}
