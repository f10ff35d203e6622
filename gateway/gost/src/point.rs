//! Points of `y^2 = x^3 + a x + b` in affine and in Jacobian coordinates.

use crate::field::Field;
use subtle::Choice;

/// A point other than infinity.
#[derive(Clone, Copy)]
pub(crate) struct Affine<F> {
    pub(crate) x: F,
    pub(crate) y: F,
}

impl<F: Field> Affine<F> {
    /// No point: what a masked table look-up starts from.
    pub(crate) const BLANK: Self = Self {
        x: F::BLANK,
        y: F::BLANK,
    };

    /// The opposite point where `choice` is set.
    #[inline(always)]
    pub(crate) fn negate_if(self, choice: Choice) -> Self {
        Self {
            x: self.x,
            y: self.y.select(self.y.negate(), choice),
        }
    }
}

/// The point `(x / z^2, y / z^3)`, or infinity where `z` is zero.
#[derive(Clone, Copy)]
pub(crate) struct Jacobian<F> {
    pub(crate) x: F,
    pub(crate) y: F,
    pub(crate) z: F,
}

/// The coefficient `a`; most curves have -3, which saves work.
#[derive(Clone, Copy)]
pub(crate) enum CoefficientA<F> {
    MinusThree,
    Other(F),
}

impl<F: Field> CoefficientA<F> {
    pub(crate) fn new(a: F) -> Self {
        if a.add(F::ONE).add(F::ONE).add(F::ONE).is_zero().into() {
            Self::MinusThree
        } else {
            Self::Other(a)
        }
    }

    pub(crate) fn value(self) -> F {
        match self {
            Self::MinusThree => F::ZERO.sub(F::ONE).sub(F::ONE).sub(F::ONE),
            Self::Other(a) => a,
        }
    }
}

impl<F: Field> Jacobian<F> {
    pub(crate) const INFINITY: Self = Self {
        x: F::ONE,
        y: F::ONE,
        z: F::ZERO,
    };

    pub(crate) fn from_affine(point: Affine<F>) -> Self {
        Self {
            x: point.x,
            y: point.y,
            z: F::ONE,
        }
    }

    pub(crate) fn is_infinity(self) -> bool {
        self.z.is_zero().into()
    }

    /// The affine point, with a constant-time inversion; (0, 0) for infinity.
    pub(crate) fn to_affine(self) -> Affine<F> {
        self.scaled_by(self.z.invert())
    }

    fn scaled_by(self, inverse_of_z: F) -> Affine<F> {
        let squared = inverse_of_z.square();
        Affine {
            x: self.x.mul(squared),
            y: self.y.mul(squared).mul(inverse_of_z),
        }
    }

    /// Twice the point; right for every point, infinity and points of order two included.
    #[inline]
    pub(crate) fn double(self, a: CoefficientA<F>) -> Self {
        let zz = self.z.square();
        let slope = match a {
            CoefficientA::MinusThree => {
                let product = self.x.sub(zz).mul(self.x.add(zz));
                product.double().add(product)
            }
            CoefficientA::Other(a) => {
                let xx = self.x.square();
                xx.double().add(xx).add(a.mul(zz.square()))
            }
        };
        let yy = self.y.square().double();
        let s = self.x.mul(yy).double();
        let x = slope.square().sub(s.double());
        let y = slope.mul(s.sub(x)).sub(yy.square().double());
        Self {
            x,
            y,
            z: self.y.mul(self.z).double(),
        }
    }

    /// The sum with an affine point, in constant time.
    ///
    /// The two must be neither infinity nor equal: the result would be wrong, with a zero `z`. Opposite points give
    /// infinity as they should.
    #[inline]
    pub(crate) fn add_distinct(self, other: Affine<F>) -> Self {
        let zz = self.z.square();
        let h = other.x.mul(zz).sub(self.x);
        let slope = other.y.mul(zz.mul(self.z)).sub(self.y);
        self.sum(h, slope, self.x, self.y, self.z.mul(h))
    }

    #[inline(always)]
    fn sum(self, h: F, slope: F, u: F, v: F, z: F) -> Self {
        let hh = h.square();
        let hhh = hh.mul(h);
        let middle = u.mul(hh);
        let x = slope.square().sub(hhh).sub(middle.double());
        let y = slope.mul(middle.sub(x)).sub(v.mul(hhh));
        Self { x, y, z }
    }

    /// The sum with an affine point, whatever the two are. For public points: the time depends on them.
    #[inline]
    pub(crate) fn add_public_affine(self, other: Affine<F>, a: CoefficientA<F>) -> Self {
        if self.is_infinity() {
            return Self::from_affine(other);
        }
        let sum = self.add_distinct(other);
        if sum.is_infinity() && other.y.mul(self.z.square().mul(self.z)).equals(self.y) {
            return self.double(a);
        }
        sum
    }

    /// The sum of any two points. For public points: the time depends on them.
    pub(crate) fn add_public(self, other: Self, a: CoefficientA<F>) -> Self {
        if self.is_infinity() {
            return other;
        }
        if other.is_infinity() {
            return self;
        }
        let (zz, other_zz) = (self.z.square(), other.z.square());
        let u = self.x.mul(other_zz);
        let v = self.y.mul(other_zz).mul(other.z);
        let h = other.x.mul(zz).sub(u);
        let slope = other.y.mul(zz).mul(self.z).sub(v);
        if h.is_zero().into() && slope.is_zero().into() {
            return self.double(a);
        }
        self.sum(h, slope, u, v, self.z.mul(other.z).mul(h))
    }

    /// All the points made affine with a single inversion. None of them may be infinity.
    pub(crate) fn batch_to_affine(points: &[Self]) -> Vec<Affine<F>> {
        let mut products = Vec::with_capacity(points.len());
        let mut product = F::ONE;
        for point in points {
            products.push(product);
            product = product.mul(point.z);
        }
        let mut inverse = product.invert();
        let mut affine: Vec<_> = points
            .iter()
            .zip(products)
            .rev()
            .map(|(point, product_before)| {
                let inverse_of_z = inverse.mul(product_before);
                inverse = inverse.mul(point.z);
                point.scaled_by(inverse_of_z)
            })
            .collect();
        affine.reverse();
        affine
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Crandall;

    type F = Crandall<4, 617>;

    /// The base point of CryptoPro-A, in two representations, and the coefficient.
    fn base() -> (Affine<F>, Jacobian<F>, CoefficientA<F>) {
        let y = crate::field::limbs("8D91E471E0989CDA27DF505A453F2B7635294F2DDF23E3B122ACC99C9E9F1E14");
        let point = Affine {
            x: F::ONE,
            y: F::from_limbs(y).expect("below the prime"),
        };
        let z = F::ONE.double().double();
        let scaled = Jacobian {
            x: point.x.mul(z.square()),
            y: point.y.mul(z.square()).mul(z),
            z,
        };
        (point, scaled, CoefficientA::MinusThree)
    }

    fn same(left: Jacobian<F>, right: Jacobian<F>) -> bool {
        let (left, right) = (left.to_affine(), right.to_affine());
        left.x.equals(right.x) && left.y.equals(right.y)
    }

    #[test]
    fn public_additions_know_the_special_cases() {
        let (affine, point, a) = base();
        let opposite = affine.negate_if(Choice::from(1));
        let plain = Jacobian::from_affine(affine);
        assert!(same(point, plain));
        assert!(same(point.add_public_affine(affine, a), point.double(a)));
        assert!(same(point.add_public(plain, a), point.double(a)));
        assert!(point.add_public_affine(opposite, a).is_infinity());
        assert!(point.add_public(Jacobian::from_affine(opposite), a).is_infinity());
        assert!(same(Jacobian::INFINITY.add_public_affine(affine, a), point));
        assert!(same(Jacobian::INFINITY.add_public(point, a), point));
        assert!(same(point.add_public(Jacobian::INFINITY, a), point));
        assert!(Jacobian::<F>::INFINITY.double(a).is_infinity());
    }

    #[test]
    fn both_forms_of_the_coefficient_double_alike() {
        let (_, point, a) = base();
        assert!(matches!(CoefficientA::new(a.value()), CoefficientA::MinusThree));
        assert!(same(point.double(a), point.double(CoefficientA::Other(a.value()))));
    }

    #[test]
    fn a_forbidden_constant_time_addition_shows_in_z() {
        let (affine, point, _) = base();
        assert!(point.add_distinct(affine).is_infinity());
    }
}
