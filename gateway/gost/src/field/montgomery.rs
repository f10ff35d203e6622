//! Residues modulo any odd prime, kept as `x * R mod p` with `R = 2^(64 N)` (Montgomery, 1985), always below the prime.

#![expect(clippy::needless_range_loop, reason = "the same limb of several numbers is meant")]

use super::{Field, add_carry, choose, mul_add, sub_borrow};
use std::marker::PhantomData;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroize;

/// A prime, odd and of `N` limbs, as a type.
pub(crate) trait Modulus<const N: usize>: Copy + Send + Sync + 'static {
    const PRIME: [u64; N];
}

#[derive(Clone, Copy)]
pub(crate) struct Montgomery<M, const N: usize>([u64; N], PhantomData<M>);

impl<M: Modulus<N>, const N: usize> Montgomery<M, N> {
    /// `-p^-1 mod 2^64`, by Newton's iteration.
    const NEGATED_INVERSE: u64 = {
        let prime = M::PRIME[0];
        let mut inverse = 1u64;
        let mut step = 0;
        while step < 6 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(prime.wrapping_mul(inverse)));
            step += 1;
        }
        inverse.wrapping_neg()
    };
    /// `R mod p`, the residue one.
    const R: [u64; N] = Self::doubled_one(64 * N);
    /// `R^2 mod p`, the residue `R`.
    const R_SQUARED: [u64; N] = Self::doubled_one(128 * N);

    /// `2^times mod p`.
    const fn doubled_one(times: usize) -> [u64; N] {
        let mut result = [0; N];
        result[0] = 1;
        let mut step = 0;
        while step < times {
            result = Self::add_limbs(&result, &result);
            step += 1;
        }
        result
    }

    const fn new(limbs: [u64; N]) -> Self {
        Self(limbs, PhantomData)
    }

    /// `limbs + carry * R`, below `2 p`, brought below `p`.
    #[inline(always)]
    const fn subtract_prime_once(limbs: [u64; N], carry: u64) -> [u64; N] {
        let mut reduced = limbs;
        let mut borrow = 0;
        let mut i = 0;
        while i < N {
            (reduced[i], borrow) = sub_borrow(limbs[i], M::PRIME[i], borrow);
            i += 1;
        }
        let (_, keep) = sub_borrow(carry, 0, borrow);
        choose(reduced, limbs, keep.wrapping_neg())
    }

    #[inline(always)]
    const fn add_limbs(a: &[u64; N], b: &[u64; N]) -> [u64; N] {
        let mut sum = [0; N];
        let mut carry = 0;
        let mut i = 0;
        while i < N {
            (sum[i], carry) = add_carry(a[i], b[i], carry);
            i += 1;
        }
        Self::subtract_prime_once(sum, carry)
    }

    /// `a * b / R mod p` where one of the two is below `p`, the other any `N` limbs.
    #[inline(always)]
    fn product(a: &[u64; N], b: &[u64; N]) -> [u64; N] {
        let mut limbs = [0u64; N];
        let mut top = 0;
        for &multiplier in a {
            let mut carry = 0;
            for i in 0..N {
                (limbs[i], carry) = mul_add(multiplier, b[i], limbs[i], carry);
            }
            let (upper, overflow) = add_carry(top, carry, 0);
            let quotient = limbs[0].wrapping_mul(Self::NEGATED_INVERSE);
            let (_, mut carry) = mul_add(quotient, M::PRIME[0], limbs[0], 0);
            for i in 1..N {
                (limbs[i - 1], carry) = mul_add(quotient, M::PRIME[i], limbs[i], carry);
            }
            (limbs[N - 1], carry) = add_carry(upper, carry, 0);
            top = overflow + carry;
        }
        Self::subtract_prime_once(limbs, top)
    }

    /// The residue of any `N` limbs, not only of canonical ones.
    pub(crate) fn reduce(limbs: &[u64; N]) -> Self {
        Self::new(Self::product(limbs, &Self::R_SQUARED))
    }

    /// The canonical limbs of the residue if they are odd, else those of its opposite (the prime, for zero), and whether
    /// it is the opposite.
    pub(crate) fn odd_representative(self) -> ([u64; N], Choice) {
        let limbs = self.to_limbs();
        let mut opposite = [0; N];
        let mut borrow = 0;
        for i in 0..N {
            (opposite[i], borrow) = sub_borrow(M::PRIME[i], limbs[i], borrow);
        }
        let odd = limbs[0] & 1;
        (choose(opposite, limbs, odd.wrapping_neg()), Choice::from(odd as u8 ^ 1))
    }

    /// The residue of `low + high * 2^(64 N)`.
    pub(crate) fn reduce_wide(low: &[u64; N], high: &[u64; N]) -> Self {
        Self::reduce(low).add(Self::reduce(high).mul(Self::new(Self::R_SQUARED)))
    }
}

impl<M: Modulus<N>, const N: usize> Field for Montgomery<M, N> {
    type Limbs = [u64; N];

    const ZERO_LIMBS: [u64; N] = [0; N];
    const ZERO: Self = Self::new([0; N]);
    const BLANK: Self = Self::new([0; N]);
    const ONE: Self = Self::new(Self::R);

    fn from_limbs(limbs: [u64; N]) -> Option<Self> {
        bool::from(Self::subtract_prime_once(limbs, 0).ct_eq(&limbs)).then(|| Self::reduce(&limbs))
    }

    fn to_limbs(self) -> [u64; N] {
        let mut one = [0; N];
        one[0] = 1;
        Self::product(&one, &self.0)
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self::new(Self::add_limbs(&self.0, &other.0))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        let mut limbs = [0; N];
        let mut borrow = 0;
        for i in 0..N {
            (limbs[i], borrow) = sub_borrow(self.0[i], other.0[i], borrow);
        }
        let mask = borrow.wrapping_neg();
        let mut carry = 0;
        for i in 0..N {
            (limbs[i], carry) = add_carry(limbs[i], M::PRIME[i] & mask, carry);
        }
        Self::new(limbs)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self::new(Self::product(&self.0, &other.0))
    }

    #[inline(always)]
    fn square(self) -> Self {
        self.mul(self)
    }

    /// Fermat, with the public exponent `p - 2` taken four bits at a time.
    fn invert(self) -> Self {
        let mut powers = [Self::ONE; 16];
        for i in 1..16 {
            powers[i] = powers[i - 1].mul(self);
        }
        let mut exponent = M::PRIME;
        let mut borrow;
        (exponent[0], borrow) = sub_borrow(exponent[0], 2, 0);
        for limb in &mut exponent[1..] {
            (*limb, borrow) = sub_borrow(*limb, 0, borrow);
        }
        let mut result = Self::ONE;
        for limb in exponent.iter().rev() {
            for shift in (0..64).step_by(4).rev() {
                result = result.square_times(4).mul(powers[(limb >> shift & 15) as usize]);
            }
        }
        result
    }

    fn is_zero(self) -> Choice {
        self.0.ct_eq(&[0; N])
    }

    #[inline(always)]
    fn or_masked(&mut self, other: &Self, mask: u64) {
        for (limb, other) in self.0.iter_mut().zip(&other.0) {
            *limb |= other & mask;
        }
    }

    #[inline(always)]
    fn select(self, other: Self, choice: Choice) -> Self {
        Self::new(choose(self.0, other.0, u64::from(choice.unwrap_u8()).wrapping_neg()))
    }
}

impl<M: Modulus<N>, const N: usize> Zeroize for Montgomery<M, N> {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}
