//! Residues modulo `2^(64 N) - C`.
//!
//! A residue is kept in `N` limbs and need not be below the prime: of the few values that have two representations both
//! are good until a result leaves the field.

#![expect(clippy::needless_range_loop, reason = "the same limb of several numbers is meant")]

use super::{Field, add_carry, choose, mul_add, sub_borrow, wide_mul, wide_square};
use subtle::{Choice, ConstantTimeEq};

#[derive(Clone, Copy)]
pub(crate) struct Crandall<const N: usize, const C: u64>([u64; N]);

impl<const N: usize, const C: u64> Crandall<N, C> {
    /// `limbs + carry * 2^(64 N)`. The second fold can carry once more only out of a sum that is tiny then.
    #[inline(always)]
    fn fold(mut limbs: [u64; N], carry: u64) -> Self {
        let (first, mut carry) = mul_add(carry, C, limbs[0], 0);
        limbs[0] = first;
        for limb in &mut limbs[1..] {
            (*limb, carry) = add_carry(*limb, 0, carry);
        }
        limbs[0] = limbs[0].wrapping_add(carry * C);
        Self(limbs)
    }

    #[inline(always)]
    fn reduce(wide: &[u64; 16]) -> Self {
        let mut limbs = [0u64; N];
        let mut carry = 0;
        for i in 0..N {
            (limbs[i], carry) = mul_add(wide[N + i], C, wide[i], carry);
        }
        Self::fold(limbs, carry)
    }

    /// `self^(2^bits - 1)`, by doubling the number of ones in the exponent.
    fn power_of_ones(self, bits: usize) -> Self {
        let mut result = self;
        let mut ones = 1;
        for shift in (0..bits.ilog2()).rev() {
            result = result.square_times(ones).mul(result);
            ones *= 2;
            if bits >> shift & 1 == 1 {
                result = result.square().mul(self);
                ones += 1;
            }
        }
        result
    }
}

impl<const N: usize, const C: u64> Field for Crandall<N, C> {
    type Limbs = [u64; N];

    const ZERO_LIMBS: [u64; N] = [0; N];
    const ZERO: Self = Self([0; N]);
    const BLANK: Self = Self([0; N]);
    const ONE: Self = {
        let mut one = [0; N];
        one[0] = 1;
        Self(one)
    };

    fn from_limbs(limbs: [u64; N]) -> Option<Self> {
        bool::from(Self(limbs).to_limbs().ct_eq(&limbs)).then_some(Self(limbs))
    }

    fn to_limbs(self) -> [u64; N] {
        let mut reduced = self.0;
        let mut carry = C;
        for limb in &mut reduced {
            (*limb, carry) = add_carry(*limb, 0, carry);
        }
        choose(self.0, reduced, carry.wrapping_neg())
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let mut limbs = self.0;
        let mut carry = 0;
        for i in 0..N {
            (limbs[i], carry) = add_carry(limbs[i], other.0[i], carry);
        }
        Self::fold(limbs, carry)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        let mut limbs = self.0;
        let mut borrow = 0;
        for i in 0..N {
            (limbs[i], borrow) = sub_borrow(limbs[i], other.0[i], borrow);
        }
        let mut correction = borrow * C;
        for limb in &mut limbs {
            (*limb, borrow) = sub_borrow(*limb, correction, 0);
            correction = borrow;
        }
        limbs[0] = limbs[0].wrapping_sub(borrow * C);
        Self(limbs)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self::reduce(&wide_mul(&self.0, &other.0))
    }

    #[inline(always)]
    fn square(self) -> Self {
        Self::reduce(&wide_square(&self.0))
    }

    /// Fermat: the exponent `2^(64 N) - C - 2` is a run of ones above sixteen lower bits.
    fn invert(self) -> Self {
        const { assert!(C < 0xFFF0) };
        let mut result = self.power_of_ones(64 * N - 16);
        let low = 0x1_0000 - C - 2;
        for bit in (0..16).rev() {
            result = result.square();
            if low >> bit & 1 == 1 {
                result = result.mul(self);
            }
        }
        result
    }

    fn is_zero(self) -> Choice {
        self.to_limbs().ct_eq(&[0; N])
    }

    #[inline(always)]
    fn or_masked(&mut self, other: &Self, mask: u64) {
        for (limb, other) in self.0.iter_mut().zip(&other.0) {
            *limb |= other & mask;
        }
    }

    #[inline(always)]
    fn select(self, other: Self, choice: Choice) -> Self {
        Self(choose(self.0, other.0, u64::from(choice.unwrap_u8()).wrapping_neg()))
    }
}
