//! Residues modulo any odd prime, kept as `x * R mod p` with `R = 2^(64 N)` (Montgomery, 1985), always below the prime.

#![expect(clippy::needless_range_loop, reason = "the same limb of several numbers is meant")]

use super::{Field, add_carry, choose, mul_add, opaque, sub_borrow, sub_limbs};
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

    /// `R^3 mod p`, which takes the inverse of `x R` to `x^-1 R`.
    const R_CUBED: [u64; N] = Self::doubled_one(192 * N);

    /// `2^times mod p`.
    const fn doubled_one(times: usize) -> [u64; N] {
        let mut result = Self::one_limbs();
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
        let (reduced, borrow) = sub_limbs(&limbs, &M::PRIME);
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

    /// The inverse of a public residue, zero for zero: the binary algorithm of Euclid (HAC 14.61), whose time depends on
    /// the value.
    pub(crate) fn invert_public(self) -> Self {
        if self.is_zero().into() {
            return self;
        }
        let mut left = Cofactor {
            value: self.0,
            factor: Self::one_limbs(),
        };
        let mut right = Cofactor {
            value: M::PRIME,
            factor: [0; N],
        };
        left.make_odd::<M>();
        // Invariant: value = factor * self (as limbs) mod p, both values odd. They end at the greatest common divisor.
        while left.value != right.value {
            if left.value.iter().rev().lt(right.value.iter().rev()) {
                std::mem::swap(&mut left, &mut right);
            }
            left.value = sub_limbs(&left.value, &right.value).0;
            left.factor = Self::new(left.factor).sub(Self::new(right.factor)).0;
            left.make_odd::<M>();
        }
        Self::new(Self::product(&left.factor, &Self::R_CUBED))
    }

    const fn one_limbs() -> [u64; N] {
        let mut one = [0; N];
        one[0] = 1;
        one
    }

    /// The canonical limbs of the residue if they are odd, else those of its opposite (the prime, for zero), and whether
    /// it is the opposite.
    pub(crate) fn odd_representative(self) -> ([u64; N], Choice) {
        let limbs = self.to_limbs();
        let opposite = sub_limbs(&M::PRIME, &limbs).0;
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
        Self::product(&Self::one_limbs(), &self.0)
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self::new(Self::add_limbs(&self.0, &other.0))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        let (mut limbs, borrow) = sub_limbs(&self.0, &other.0);
        let mask = opaque(borrow.wrapping_neg());
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

/// One side of Euclid's algorithm.
struct Cofactor<const N: usize> {
    value: [u64; N],
    factor: [u64; N],
}

impl<const N: usize> Cofactor<N> {
    /// Divides both by two, the factor modulo the prime, until the value, which is not zero, is odd.
    fn make_odd<M: Modulus<N>>(&mut self) {
        while self.value[0] & 1 == 0 {
            halve(&mut self.value, 0);
            let mut carry = 0;
            let mask = (self.factor[0] & 1).wrapping_neg();
            for i in 0..N {
                (self.factor[i], carry) = add_carry(self.factor[i], M::PRIME[i] & mask, carry);
            }
            halve(&mut self.factor, carry);
        }
    }
}

/// `(limbs + carry * 2^(64 N)) / 2`, rounded down.
#[inline(always)]
fn halve<const N: usize>(limbs: &mut [u64; N], carry: u64) {
    for i in 0..N - 1 {
        limbs[i] = limbs[i] >> 1 | limbs[i + 1] << 63;
    }
    limbs[N - 1] = limbs[N - 1] >> 1 | carry << 63;
}

impl<M: Modulus<N>, const N: usize> Zeroize for Montgomery<M, N> {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}
