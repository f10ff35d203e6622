//! One suite over every provider of [`Signer`].

use gost::{Curve, KeyAlgorithm, SignError, Signer, SoftwareKey, SubjectName};

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

#[test]
fn signatures_have_the_length_of_the_algorithm_and_never_repeat() {
    for_every_key(|name, signer| {
        let algorithm = signer.public_key().algorithm();
        let digest = algorithm.digest().hash(b"twice");
        let first = signer.sign(digest.as_ref()).expect(name);
        let second = signer.sign(digest.as_ref()).expect(name);
        assert_eq!(first.as_ref().len(), algorithm.signature_len(), "{name}");
        assert_ne!(first.as_ref()[..], second.as_ref()[..], "{name}");
        let half = algorithm.signature_len() / 2;
        assert_ne!(
            first.as_ref()[half..],
            second.as_ref()[half..],
            "{name}: a nonce came twice"
        );
    });
}

#[test]
fn digests_of_another_length_are_refused() {
    for_every_key(|name, signer| {
        let expected = signer.public_key().algorithm().digest().len();
        for actual in [0, 20, 31, 33, 63, 65, 96 - expected] {
            let refusal = signer.sign(&vec![1; actual]);
            assert_eq!(refusal, Err(SignError::DigestLength { expected, actual }), "{name}");
        }
    });
}

#[test]
fn another_key_does_not_verify() {
    for_every_key(|name, signer| {
        let key = signer.public_key();
        let digest = key.algorithm().digest().hash(name.as_bytes());
        let signature = signer.sign(digest.as_ref()).expect(name);
        let other = SoftwareKey::generate(key.curve(), key.algorithm()).expect("a new key");
        assert!(
            other.public_key().verify(digest.as_ref(), signature.as_ref()).is_err(),
            "{name}"
        );
        assert!(
            other
                .public_key()
                .prepare()
                .verify(digest.as_ref(), signature.as_ref())
                .is_err(),
            "{name}"
        );
    });
}

#[test]
fn threads_can_share_a_signer() {
    for_every_key(|name, signer| {
        let key = signer.public_key().prepare();
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let (key, signer) = (&key, &signer);
                scope.spawn(move || {
                    let digest = key.public_key().algorithm().digest().hash(&[thread]);
                    let signature = signer.sign(digest.as_ref()).expect(name);
                    assert_eq!(key.verify(digest.as_ref(), signature.as_ref()), Ok(()), "{name}");
                });
            }
        });
    });
}

#[test]
fn certificates_are_made_with_any_signer() {
    let subject: SubjectName = "CN=Проба".parse().expect("a name");
    for_every_key(|name, signer| {
        let certificate = gost::self_signed(signer.as_ref(), &subject, 0, 1).expect(name);
        assert_eq!(certificate.public_key(), signer.public_key(), "{name}");
        assert_eq!(certificate.verify(signer.public_key()), Ok(()), "{name}");
    });
}
