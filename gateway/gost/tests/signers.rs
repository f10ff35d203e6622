//! One suite over every provider of [`Signer`].

use gost::{Curve, KeyAlgorithm, Signer, SoftwareKey};

/// What a provider must be able to do to be tested: make a key.
type NewKey = fn(Curve, KeyAlgorithm) -> Box<dyn Signer>;

const PROVIDERS: &[(&str, NewKey)] = &[
    ("software", |curve, algorithm| {
        Box::new(SoftwareKey::generate(curve, algorithm).expect("a new key"))
    }),
    ("software, by way of PEM", |curve, algorithm| {
        let pem = SoftwareKey::generate(curve, algorithm).expect("a new key").to_pem();
        Box::new(SoftwareKey::from_pem(&pem).expect("PEM of our own"))
    }),
];

fn algorithm_of(curve: Curve) -> KeyAlgorithm {
    if curve.coordinate_len() == 64 {
        KeyAlgorithm::Gost2012_512
    } else {
        KeyAlgorithm::Gost2012_256
    }
}

fn for_every_key(check: impl Fn(&str, Box<dyn Signer>)) {
    for (provider, new_key) in PROVIDERS {
        for &curve in Curve::ALL {
            check(&format!("{provider}, {curve}"), new_key(curve, algorithm_of(curve)));
        }
    }
}

#[test]
fn signatures_verify_with_and_without_a_table() {
    for_every_key(|name, signer| {
        let key = signer.public_key();
        let prepared = key.prepare();
        for message in 0..20u8 {
            let digest = key.algorithm().digest().hash(&[message]);
            let signature = signer.sign(digest.as_ref()).expect(name);
            assert_eq!(key.verify(digest.as_ref(), signature.as_ref()), Ok(()), "{name}");
            assert_eq!(prepared.verify(digest.as_ref(), signature.as_ref()), Ok(()), "{name}");
        }
    });
}
