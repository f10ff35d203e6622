//! What verification and public keys refuse.

use gost::{Curve, KeyAlgorithm, KeyError, PublicKey, SignatureError, Signer, SoftwareKey};
use proptest::prelude::*;

fn algorithm_of(curve: Curve) -> KeyAlgorithm {
    if curve.coordinate_len() == 64 {
        KeyAlgorithm::Gost2012_512
    } else {
        KeyAlgorithm::Gost2012_256
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hexadecimal"))
        .collect()
}

/// A point of tc26-256-a by the hexadecimal digits of its coordinates.
fn tc26_a_point(x: &str, y: &str) -> Vec<u8> {
    let coordinate = |text: &str| hex(&format!("{text:0>64}")).into_iter().rev().collect::<Vec<_>>();
    [coordinate(x), coordinate(y)].concat()
}

#[test]
fn halves_of_a_signature_out_of_range_are_refused() {
    let order = hex("ffffffffffffffffffffffffffffffff6c611070995ad10045841b09b761b893");
    let key = SoftwareKey::generate(Curve::CryptoProA, KeyAlgorithm::Gost2012_256).expect("a new key");
    let digest = [7; 32];
    let good = key.sign(&digest).expect("a signature");
    let prepared = key.public_key().prepare();
    for half in [vec![0; 32], order, vec![0xFF; 32]] {
        for at in [0, 32] {
            let mut signature = good.as_ref().to_vec();
            signature[at..at + 32].copy_from_slice(&half);
            assert_eq!(prepared.verify(&digest, &signature), Err(SignatureError::Invalid));
            assert_eq!(
                key.public_key().verify(&digest, &signature),
                Err(SignatureError::Invalid)
            );
        }
    }
    assert_eq!(prepared.verify(&digest, good.as_ref()), Ok(()));
}

#[test]
fn lengths_are_checked_first() {
    let key = SoftwareKey::generate(Curve::Tc26A512, KeyAlgorithm::Gost2012_512).expect("a new key");
    let prepared = key.public_key().prepare();
    let wrong_digest = Err(SignatureError::DigestLength {
        expected: 64,
        actual: 32,
    });
    let wrong_signature = Err(SignatureError::Length {
        expected: 128,
        actual: 64,
    });
    assert_eq!(prepared.verify(&[1; 32], &[1; 128]), wrong_digest);
    assert_eq!(prepared.verify(&[1; 64], &[1; 64]), wrong_signature);
    assert_eq!(key.public_key().verify(&[1; 32], &[1; 128]), wrong_digest);
    assert_eq!(key.public_key().verify(&[1; 64], &[1; 64]), wrong_signature);
}

#[test]
fn a_digest_of_zero_is_signed_and_verified_as_one() {
    for &curve in Curve::ALL {
        let key = SoftwareKey::generate(curve, algorithm_of(curve)).expect("a new key");
        let zero = vec![0; curve.coordinate_len()];
        let mut one = zero.clone();
        one[0] = 1;
        let signature = key.sign(&zero).expect("a signature");
        assert_eq!(key.public_key().verify(&zero, signature.as_ref()), Ok(()), "{curve}");
        assert_eq!(key.public_key().verify(&one, signature.as_ref()), Ok(()), "{curve}");
    }
}

#[test]
fn the_names_of_one_curve_make_different_keys() {
    let key = SoftwareKey::generate(Curve::CryptoProA, KeyAlgorithm::Gost2012_256).expect("a new key");
    let point = key.public_key().point();
    let renamed =
        PublicKey::from_point(KeyAlgorithm::Gost2012_256, Curve::CryptoProXchA, point).expect("the same curve");
    assert_ne!(&renamed, key.public_key());
    let other = PublicKey::from_point(KeyAlgorithm::Gost2012_256, Curve::CryptoProB, point);
    assert!(matches!(other, Err(KeyError::NotOnCurve | KeyError::PointEncoding)));
}

#[test]
fn points_that_are_no_keys_are_refused() {
    let new = |point: &[u8]| PublicKey::from_point(KeyAlgorithm::Gost2012_256, Curve::Tc26A256, point).err();
    let good = SoftwareKey::generate(Curve::Tc26A256, KeyAlgorithm::Gost2012_256).expect("a new key");
    let mut moved = good.public_key().point().to_vec();
    assert_eq!(new(&moved), None);
    moved[0] ^= 1;
    assert_eq!(new(&moved), Some(KeyError::NotOnCurve));
    assert_eq!(new(&[0; 64]), Some(KeyError::NotOnCurve));
    assert_eq!(new(&[0xFF; 64]), Some(KeyError::PointEncoding));
    assert_eq!(new(&[0; 63]), Some(KeyError::PointEncoding));
    // Of order two, and of twice the order of the group.
    let order_two = tc26_a_point("0100fe73f595ff158e974b44d478d9588744fe5c192ac47ea63075dce7a14aaa", "0");
    let outside = tc26_a_point("8", "ed3581bec3a800b4e42f823268b76d5802ff206853353b55a2b91452f2adfd07");
    assert_eq!(new(&order_two), Some(KeyError::NotInSubgroup));
    assert_eq!(new(&outside), Some(KeyError::NotInSubgroup));
}

#[test]
fn encoded_keys_that_contradict_themselves_are_refused() {
    let key = SoftwareKey::generate(Curve::CryptoProA, KeyAlgorithm::Gost2012_256).expect("a new key");
    let der = key.public_key().to_spki_der();
    let replaced = |from: &[u8], to: &[u8]| {
        let at = der
            .windows(from.len())
            .position(|window| window == from)
            .expect("it occurs");
        PublicKey::from_spki_der(&[&der[..at], to, &der[at + from.len()..]].concat()).err()
    };
    let algorithm = hex("06082a85030701010101");
    let digest = hex("06082a85030701010202");
    let curve = hex("06072a850302022301");
    assert!(matches!(
        replaced(&algorithm, &hex("06082a85030701010109")),
        Some(KeyError::UnknownAlgorithm(_))
    ));
    assert!(matches!(
        replaced(&algorithm, &hex("06082a85030701010102")),
        Some(KeyError::UnexpectedDigest(_))
    ));
    assert!(matches!(
        replaced(&digest, &hex("06082a85030701010203")),
        Some(KeyError::UnexpectedDigest(_))
    ));
    assert!(matches!(
        replaced(&curve, &hex("06072a850302022300")),
        Some(KeyError::UnknownParameters(_))
    ));
    assert!(matches!(
        replaced(&curve, &hex("06072a850302022302")),
        Some(KeyError::NotOnCurve | KeyError::PointEncoding)
    ));
    assert_eq!(PublicKey::from_spki_der(&der).as_ref(), Ok(key.public_key()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_change_of_digest_or_signature_is_noticed(
        which in 0..Curve::ALL.len(),
        digest in prop::collection::vec(any::<u8>(), 64),
        place in any::<prop::sample::Index>(),
        change in 1..=255u8,
        in_digest in any::<bool>(),
    ) {
        let curve = Curve::ALL[which];
        let key = SoftwareKey::generate(curve, algorithm_of(curve)).expect("a new key");
        let mut digest = digest[..curve.coordinate_len()].to_vec();
        let mut signature = key.sign(&digest).expect("a signature").as_ref().to_vec();
        prop_assert_eq!(key.public_key().verify(&digest, &signature), Ok(()));
        let changed = if in_digest { &mut digest } else { &mut signature };
        let at = place.index(changed.len());
        changed[at] ^= change;
        prop_assert_eq!(key.public_key().verify(&digest, &signature), Err(SignatureError::Invalid));
        prop_assert_eq!(key.public_key().prepare().verify(&digest, &signature), Err(SignatureError::Invalid));
    }

    #[test]
    fn keys_survive_their_encodings(which in 0..Curve::ALL.len()) {
        let curve = Curve::ALL[which];
        let key = SoftwareKey::generate(curve, algorithm_of(curve)).expect("a new key");
        let read = SoftwareKey::from_pem(&key.to_pem()).expect("PEM of our own");
        prop_assert_eq!(read.public_key(), key.public_key());
        let public = PublicKey::from_spki_der(&key.public_key().to_spki_der());
        prop_assert_eq!(public.as_ref(), Ok(key.public_key()));
        prop_assert_eq!(Curve::from_oid(curve.oid()), Some(curve));
        prop_assert_eq!(Curve::from_name(curve.name()), Some(curve));
    }
}
