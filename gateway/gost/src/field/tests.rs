//! The two kinds of arithmetic, written independently, must agree on the primes that both can do.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Copy)]
struct Prime256;
impl Modulus<4> for Prime256 {
    const PRIME: [u64; 4] = limbs("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFD97");
}

#[derive(Clone, Copy)]
struct Prime512;
impl Modulus<8> for Prime512 {
    const PRIME: [u64; 8] = limbs(concat!(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFDC7"
    ));
}

type Fast256 = Crandall<4, 617>;
type Fast512 = Crandall<8, 569>;
type General256 = Montgomery<Prime256, 4>;
type General512 = Montgomery<Prime512, 8>;
/// A prime far from the next power of two, for which carries behave otherwise.
type Low256 = Montgomery<crate::parameters::PrimeB, 4>;

/// Limbs, often at the edges: all zeros, all ones, small ones.
fn limb() -> impl Strategy<Value = u64> {
    prop_oneof![4 => any::<u64>(), 2 => Just(0), 2 => Just(u64::MAX), 1 => 0..1000u64, 1 => (u64::MAX - 1000)..u64::MAX]
}

fn canonical<F: Field<Limbs = [u64; N]>, const N: usize>(mut limbs: [u64; N]) -> F {
    loop {
        match F::from_limbs(limbs) {
            Some(element) => return element,
            None => limbs[N - 1] >>= 1,
        }
    }
}

/// Runs every operation in both fields.
fn agree<A: Field<Limbs = [u64; N]>, B: Field<Limbs = [u64; N]>, const N: usize>(x: [u64; N], y: [u64; N]) {
    let (xa, ya) = (canonical::<A, N>(x), canonical::<A, N>(y));
    let (xb, yb) = (canonical::<B, N>(x), canonical::<B, N>(y));
    assert_eq!(xa.to_limbs(), xb.to_limbs());
    assert_eq!(xa.add(ya).to_limbs(), xb.add(yb).to_limbs());
    assert_eq!(xa.sub(ya).to_limbs(), xb.sub(yb).to_limbs());
    assert_eq!(xa.mul(ya).to_limbs(), xb.mul(yb).to_limbs());
    assert_eq!(xa.square().to_limbs(), xb.square().to_limbs());
    assert_eq!(xa.square().to_limbs(), xa.mul(xa).to_limbs());
    assert_eq!(xa.invert().to_limbs(), xb.invert().to_limbs());
    // Intermediate results of the fast field need not be canonical.
    let long_a = xa
        .sub(ya)
        .negate()
        .mul(ya.double())
        .sub(xa)
        .add(ya.square())
        .sub(A::ONE);
    let long_b = xb
        .sub(yb)
        .negate()
        .mul(yb.double())
        .sub(xb)
        .add(yb.square())
        .sub(B::ONE);
    assert_eq!(long_a.to_limbs(), long_b.to_limbs());
}

/// Laws that hold in every field.
fn laws<F: Field<Limbs = [u64; N]>, const N: usize>(x: [u64; N], y: [u64; N], z: [u64; N]) {
    let (x, y, z) = (canonical::<F, N>(x), canonical::<F, N>(y), canonical::<F, N>(z));
    assert!(x.add(y).mul(z).equals(x.mul(z).add(y.mul(z))));
    assert!(x.sub(y).add(y).equals(x));
    assert!(x.add(x.negate()).equals(F::ZERO));
    assert!(x.square().sub(y.square()).equals(x.sub(y).mul(x.add(y))));
    assert!(x.square_times(3).equals(x.square().square().square()));
    let expected = if x.is_zero().into() { F::ZERO } else { F::ONE };
    assert!(x.mul(x.invert()).equals(expected));

    let mut octets = vec![0; F::octets()];
    x.write_le(&mut octets);
    assert!(F::from_le(&octets).is_some_and(|read| read.equals(x)));
    x.write_be(&mut octets);
    assert!(F::from_be(&octets).is_some_and(|read| read.equals(x)));
    assert!(F::from_le(&octets[1..]).is_none());
    assert!(F::from_be(&[octets.as_slice(), &[0]].concat()).is_none());

    assert!(x.select(y, Choice::from(0)).equals(x));
    assert!(x.select(y, Choice::from(1)).equals(y));
}

proptest! {
    #[test]
    fn fast_and_general_arithmetic_agree_on_256_bits(x in prop::array::uniform4(limb()), y in prop::array::uniform4(limb())) {
        agree::<Fast256, General256, 4>(x, y);
    }

    #[test]
    fn fast_and_general_arithmetic_agree_on_512_bits(x in prop::array::uniform8(limb()), y in prop::array::uniform8(limb())) {
        agree::<Fast512, General512, 8>(x, y);
    }

    #[test]
    fn the_laws_of_a_field_hold(
        x in prop::array::uniform8(limb()),
        y in prop::array::uniform8(limb()),
        z in prop::array::uniform8(limb()),
    ) {
        laws::<Fast512, 8>(x, y, z);
        laws::<General512, 8>(x, y, z);
        let half = |limbs: [u64; 8]| [limbs[0], limbs[1], limbs[2], limbs[3]];
        laws::<Fast256, 4>(half(x), half(y), half(z));
        laws::<Low256, 4>(half(x), half(y), half(z));
    }

    #[test]
    fn reduction_takes_any_limbs(low in prop::array::uniform4(limb()), high in prop::array::uniform4(limb())) {
        // 2^256 = 617 in this field.
        let shift = canonical::<General256, 4>([617, 0, 0, 0]);
        let expected = General256::reduce(&high).mul(shift).add(General256::reduce(&low));
        prop_assert!(General256::reduce_wide(&low, &high).equals(expected));
        let reduced = General256::reduce(&low).to_limbs();
        prop_assert_eq!(Fast256::ZERO.add(Fast256::from_limbs(reduced).expect("canonical")).to_limbs(), reduced);
    }

    #[test]
    fn both_ways_of_inversion_agree(x in prop::array::uniform8(limb())) {
        let wide = canonical::<General512, 8>(x);
        prop_assert!(wide.invert_public().equals(wide.invert()));
        let x = canonical::<Low256, 4>([x[0], x[1], x[2], x[3]]);
        prop_assert!(x.invert_public().equals(x.invert()));
    }

    #[test]
    fn odd_representatives_are_odd_and_the_residue_or_its_opposite(x in prop::array::uniform4(limb())) {
        let x = canonical::<General256, 4>(x);
        let (limbs, opposite) = x.odd_representative();
        prop_assert_eq!(limbs[0] & 1, 1);
        let residue = General256::reduce(&limbs);
        let expected = x.select(x.negate(), opposite);
        prop_assert!(residue.equals(expected));
    }
}

#[test]
fn values_from_the_prime_upwards_are_refused() {
    let mut prime = Prime256::PRIME;
    for _ in 0..617 {
        assert!(Fast256::from_limbs(prime).is_none());
        assert!(General256::from_limbs(prime).is_none());
        prime[0] = prime[0].wrapping_add(1);
    }
    let mut below = Prime256::PRIME;
    below[0] -= 1;
    assert!(Fast256::from_limbs(below).is_some_and(|x| x.add(Fast256::ONE).equals(Fast256::ZERO)));
    assert!(General256::from_limbs(below).is_some_and(|x| x.add(General256::ONE).equals(General256::ZERO)));
}
