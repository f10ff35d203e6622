//! Signatures per second for every distinct curve, and the same with OpenSSL's gost engine in the same run.
//!
//! `cargo bench -p gost`. The engine's half needs a C compiler, OpenSSL's headers and the engine
//! (`apt-get install gcc libssl-dev libengine-gost-openssl`) and is left out, with a word, where they are missing.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark talks to the person who runs it"
)]

mod engine;

use divan::{Bencher, black_box};
use gost::{Curve, KeyAlgorithm, PublicKey, Signature, Signer, SoftwareKey};
use std::time::{Duration, Instant};

/// One parameter set of each curve, with the engine's algorithm and name for it.
const SETS: &[(Curve, &str, &str)] = &[
    (Curve::CryptoProA, "gost2012_256", "A"),
    (Curve::CryptoProB, "gost2012_256", "B"),
    (Curve::CryptoProC, "gost2012_256", "C"),
    (Curve::Tc26A256, "gost2012_256", "TCA"),
    (Curve::Tc26A512, "gost2012_512", "A"),
    (Curve::Tc26B512, "gost2012_512", "B"),
    (Curve::Tc26C512, "gost2012_512", "C"),
];

/// How long a figure of the comparison is measured, and how often; the best counts.
const ROUND: Duration = Duration::from_millis(250);
const ROUNDS: usize = 3;

fn main() {
    divan::main();
    if std::env::args().any(|argument| argument == "--bench") && !std::env::args().any(|argument| argument == "--test")
    {
        compare();
    }
}

struct Sample {
    key: SoftwareKey,
    digest: Vec<u8>,
    signature: Signature,
}

impl Sample {
    fn new(curve: Curve) -> Self {
        let algorithm = if curve.coordinate_len() == 64 {
            KeyAlgorithm::Gost2012_512
        } else {
            KeyAlgorithm::Gost2012_256
        };
        let key = SoftwareKey::generate(curve, algorithm).expect("a new key");
        let digest = algorithm.digest().hash(curve.name().as_bytes()).as_ref().to_vec();
        let signature = key.sign(&digest).expect("a signature");
        Self { key, digest, signature }
    }

    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }
}

fn curves() -> impl Iterator<Item = Curve> {
    SETS.iter().map(|(curve, ..)| *curve)
}

#[divan::bench(args = curves())]
fn sign(bencher: Bencher<'_, '_>, curve: Curve) {
    let sample = Sample::new(curve);
    bencher.bench(|| sample.key.sign(black_box(&sample.digest)));
}

#[divan::bench(args = curves())]
fn verify_cold_key(bencher: Bencher<'_, '_>, curve: Curve) {
    let sample = Sample::new(curve);
    bencher.bench(|| {
        sample
            .public_key()
            .verify(black_box(&sample.digest), sample.signature.as_ref())
    });
}

#[divan::bench(args = curves())]
fn verify_warm_key(bencher: Bencher<'_, '_>, curve: Curve) {
    let sample = Sample::new(curve);
    let key = sample.public_key().prepare();
    bencher.bench(|| key.verify(black_box(&sample.digest), sample.signature.as_ref()));
}

#[divan::bench(args = curves())]
fn prepare_key(bencher: Bencher<'_, '_>, curve: Curve) {
    let sample = Sample::new(curve);
    bencher.bench(|| black_box(sample.public_key()).prepare());
}

/// Ours and the engine's figures, measured in turn so that both see the same machine.
fn compare() {
    let engine = engine::Engine::build();
    match &engine {
        Ok(_) => println!("\nper second, beside OpenSSL's gost engine (best of {ROUNDS} rounds in turn)\n"),
        Err(reason) => println!("\nper second (SKIPPED: no comparison with OpenSSL's gost engine: {reason})\n"),
    }
    println!(
        "{:<14}{:>10}{:>10}{:>8}{:>12}{:>12}{:>10}{:>8}{:>8}",
        "", "sign", "engine", "ratio", "verify cold", "verify warm", "engine", "cold", "warm"
    );
    for &(curve, algorithm, set) in SETS {
        let sample = Sample::new(curve);
        let warm = sample.public_key().prepare();
        let (mut sign, mut cold_verify, mut warm_verify) = (0.0f64, 0.0f64, 0.0f64);
        let (mut engine_sign, mut engine_verify) = (f64::NAN, f64::NAN);
        for _ in 0..ROUNDS {
            sign = sign.max(per_second(|| sample.key.sign(&sample.digest).is_ok()));
            cold_verify = cold_verify.max(per_second(|| {
                sample
                    .public_key()
                    .verify(&sample.digest, sample.signature.as_ref())
                    .is_ok()
            }));
            warm_verify = warm_verify.max(per_second(|| {
                warm.verify(&sample.digest, sample.signature.as_ref()).is_ok()
            }));
            if let Ok(engine) = &engine {
                let (signed, verified) = engine.per_second(algorithm, set, ROUND);
                engine_sign = engine_sign.max(signed);
                engine_verify = engine_verify.max(verified);
            }
        }
        println!(
            "{:<14}{sign:>10.0}{engine_sign:>10.0}{:>7.2}x{cold_verify:>12.0}{warm_verify:>12.0}{engine_verify:>10.0}{:>7.2}x{:>7.2}x",
            curve.name(),
            sign / engine_sign,
            cold_verify / engine_verify,
            warm_verify / engine_verify,
        );
    }
}

fn per_second(mut operation: impl FnMut() -> bool) -> f64 {
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < ROUND {
        for _ in 0..16 {
            assert!(black_box(operation()));
        }
        count += 16;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}
