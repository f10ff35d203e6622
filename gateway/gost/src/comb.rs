//! Multiples of one point from a table of its multiples.
//!
//! A scalar is written in digits of `width` bits that are all odd, `±1, ±3 … ±(2^width - 1)`, which works for odd scalars:
//! no digit is zero, so that every digit costs the same addition. The table has rows; row `j` holds the odd multiples of
//! `2^(width passes j)` times the point. The digits are added in `passes` passes, with `width` doublings between two.
//! One pass needs no doubling and the largest table; one row is the common fixed-window method.

use crate::field::Field;
use crate::point::{Affine, CoefficientA, Jacobian};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroize;

/// The limbs of the largest scalar, and one for the digits that reach beyond it.
const LIMBS: usize = 9;

pub(crate) struct Comb<F> {
    a: CoefficientA<F>,
    width: usize,
    /// Digits of a scalar.
    digits: usize,
    passes: usize,
    points: Vec<Affine<F>>,
}

impl<F: Field> Comb<F> {
    /// A table for scalars of as many bits as the field has. The point must have the order of the group (an odd prime,
    /// so that none of its multiples in the table is infinity). At most one pass for every digit is made.
    pub(crate) fn new(point: Affine<F>, a: CoefficientA<F>, width: usize, passes: usize) -> Self {
        let digits = (8 * F::octets()).div_ceil(width);
        let passes = passes.min(digits);
        let rows = digits.div_ceil(passes);
        let mut points = Vec::with_capacity(rows << (width - 1));
        let mut base = Jacobian::from_affine(point);
        for row in 0..rows {
            let twice = base.double(a);
            let mut multiple = base;
            points.push(multiple);
            for _ in 1..1 << (width - 1) {
                multiple = multiple.add_public(twice, a);
                points.push(multiple);
            }
            if row + 1 < rows {
                base = twice;
                for _ in 1..width * passes {
                    base = base.double(a);
                }
            }
        }
        Self {
            a,
            width,
            digits,
            passes,
            points: Jacobian::batch_to_affine(&points),
        }
    }

    /// `scalar` times the point, in constant time, for an odd secret scalar.
    ///
    /// Within the integers the sum so far and the next entry never are the same multiple of the point (see
    /// [`Jacobian::add_distinct`]); modulo the group order that happens for a handful of scalars only, which a random
    /// one does not hit, and then the result has a zero `z`.
    pub(crate) fn multiply_secret(&self, scalar: &[u64]) -> Jacobian<F> {
        let mut recoded = Recoded::new(scalar, self.width, self.digits);
        let mut result: Option<Jacobian<F>> = None;
        for pass in (0..self.passes).rev() {
            if let Some(point) = &mut result {
                for _ in 0..self.width {
                    *point = point.double(self.a);
                }
            }
            for (row, at) in (pass..self.digits).step_by(self.passes).enumerate() {
                let (index, negative) = recoded.digit(at);
                let entry = self.look_up(row, index).negate_if(negative);
                result = Some(match result {
                    Some(point) => point.add_distinct(entry),
                    None => Jacobian::from_affine(entry),
                });
            }
        }
        recoded.limbs.zeroize();
        result.unwrap_or(Jacobian::INFINITY)
    }

    /// `scalar` times the point, negated if `negate`, for an odd public scalar; the time depends on the scalar.
    pub(crate) fn multiply_public(&self, scalar: &[u64], negate: bool) -> Jacobian<F> {
        let recoded = Recoded::new(scalar, self.width, self.digits);
        let mut result = Jacobian::INFINITY;
        for pass in (0..self.passes).rev() {
            if pass + 1 < self.passes {
                for _ in 0..self.width {
                    result = result.double(self.a);
                }
            }
            for (row, at) in (pass..self.digits).step_by(self.passes).enumerate() {
                let (index, negative) = recoded.digit(at);
                let entry = self.points[(row << (self.width - 1)) + index as usize];
                let entry = if bool::from(negative) != negate {
                    Affine {
                        x: entry.x,
                        y: entry.y.negate(),
                    }
                } else {
                    entry
                };
                result = result.add_public_affine(entry, self.a);
            }
        }
        result
    }

    /// The entry of a row at a secret index: reads all of them.
    #[inline(always)]
    fn look_up(&self, row: usize, index: u64) -> Affine<F> {
        let entries = 1 << (self.width - 1);
        let mut found = Affine::<F>::BLANK;
        for (at, entry) in (0u64..).zip(&self.points[row * entries..(row + 1) * entries]) {
            let mask = u64::from(at.ct_eq(&index).unwrap_u8()).wrapping_neg();
            found.x.or_masked(&entry.x, mask);
            found.y.or_masked(&entry.y, mask);
        }
        found
    }
}

/// A scalar `k` as `u = (k - 1 + 2^n) / 2` for `n` bits in all digits: digit `i` of `k` is `2 u_i + 1 - 2^width`.
struct Recoded {
    limbs: [u64; LIMBS],
    width: usize,
}

impl Recoded {
    fn new(scalar: &[u64], width: usize, digits: usize) -> Self {
        let mut limbs = [0; LIMBS];
        for (at, limb) in scalar.iter().enumerate() {
            let upper = scalar.get(at + 1).copied().unwrap_or(0);
            limbs[at] = limb >> 1 | upper << 63;
        }
        let top = width * digits - 1;
        limbs[top / 64] |= 1 << (top % 64);
        Self { limbs, width }
    }

    /// The place of the digit's absolute value among the odd numbers, and whether the digit is negative.
    #[inline(always)]
    fn digit(&self, at: usize) -> (u64, Choice) {
        let (limb, shift) = (at * self.width / 64, at * self.width % 64);
        let pair = u128::from(self.limbs[limb]) | u128::from(self.limbs.get(limb + 1).copied().unwrap_or(0)) << 64;
        let half = 1 << (self.width - 1);
        let window = (pair >> shift) as u64 & (2 * half - 1);
        let positive = window >> (self.width - 1);
        // Positive: window - half. Negative: half - 1 - window, which is the complement of the window's lower bits.
        let index = (window ^ positive.wrapping_sub(1)) & (half - 1);
        (index, Choice::from(positive as u8 ^ 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Crandall;
    use proptest::prelude::*;

    type F = Crandall<4, 617>;

    /// CryptoPro-A: the first curve, small enough a test for all.
    fn base() -> (Affine<F>, CoefficientA<F>) {
        let y = crate::field::limbs("8D91E471E0989CDA27DF505A453F2B7635294F2DDF23E3B122ACC99C9E9F1E14");
        (
            Affine {
                x: F::ONE,
                y: F::from_limbs(y).expect("below the prime"),
            },
            CoefficientA::MinusThree,
        )
    }

    /// Double and add, bit by bit.
    fn multiply_plainly(scalar: &[u64; 4]) -> Jacobian<F> {
        let (point, a) = base();
        (0..256).rev().fold(Jacobian::INFINITY, |sum, bit| {
            let doubled = sum.double(a);
            let set = scalar[bit / 64] >> (bit % 64) & 1 == 1;
            if set {
                doubled.add_public(Jacobian::from_affine(point), a)
            } else {
                doubled
            }
        })
    }

    fn same(left: Jacobian<F>, right: Jacobian<F>) -> bool {
        let (left, right) = (left.to_affine(), right.to_affine());
        left.x.equals(right.x) && left.y.equals(right.y)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn every_shape_of_table_gives_the_same_multiple(
            mut scalar in any::<[u64; 4]>(),
            width in 2usize..8,
            passes in 1usize..140,
        ) {
            scalar[0] |= 1;
            scalar[3] >>= 1;
            let (point, a) = base();
            let table = Comb::new(point, a, width, passes);
            let expected = multiply_plainly(&scalar);
            prop_assert!(same(table.multiply_secret(&scalar), expected));
            prop_assert!(same(table.multiply_public(&scalar, false), expected));
            let negative = table.multiply_public(&scalar, true);
            prop_assert!(negative.add_public(expected, a).is_infinity());
        }
    }

    #[test]
    fn small_scalars_are_multiplied_right() {
        let (point, a) = base();
        for (width, passes) in [(4, 1), (4, 4), (5, usize::MAX)] {
            let table = Comb::new(point, a, width, passes);
            for scalar in (1..200).step_by(2) {
                let scalar = [scalar, 0, 0, 0];
                let expected = multiply_plainly(&scalar);
                assert!(same(table.multiply_secret(&scalar), expected), "{scalar:?}");
                assert!(same(table.multiply_public(&scalar, false), expected), "{scalar:?}");
            }
        }
    }
}
