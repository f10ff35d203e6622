//! Signing takes the same instructions whatever the secret, the digest and the nonce are.
//!
//! A compiler may turn masks back into branches, so this is looked at in what it made: valgrind counts the instructions
//! and the conditional branches within `SoftwareKey::sign`, for random keys and digests of every parameter set, and all
//! counts of a set must be equal. That tables are read as a whole is a property of the source (`comb.rs`).
//!
//! Needs Debian's `valgrind`. Without it the test says so and passes, unless `RSMEV_REQUIRE_VALGRIND=1` is set: then it
//! fails. The program that is watched is this one, called anew with `sign CURVE`.

#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program of its own that reports"
)]

use gost::{Curve, KeyAlgorithm, Signer, SoftwareKey};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Random keys for each parameter set, each in a process of its own.
const KEYS: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [verb, curve] if verb == "sign" => {
            sign(
                Curve::ALL
                    .iter()
                    .find(|known| known.name() == curve)
                    .expect("a known curve"),
            );
            ExitCode::SUCCESS
        }
        // As other test programs: nothing to list, and nothing but this to choose.
        [list, ..] if list == "--list" => ExitCode::SUCCESS,
        _ => check(),
    }
}

/// What is watched: one signature under a random key.
fn sign(curve: &Curve) {
    let algorithm = [KeyAlgorithm::Gost2012_256, KeyAlgorithm::Gost2012_512]
        .into_iter()
        .find(|algorithm| algorithm.allows(*curve))
        .expect("each curve goes with one of them");
    let key = SoftwareKey::generate(*curve, algorithm).expect("a key");
    let mut digest = vec![0; algorithm.digest().len()];
    getrandom::fill(&mut digest).expect("randomness");
    key.sign(&digest).expect("a signature");
}

fn check() -> ExitCode {
    if !Command::new("valgrind")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        eprintln!("SKIPPED: signing in constant time is not checked, there is no valgrind (apt-get install valgrind)");
        return match std::env::var_os("RSMEV_REQUIRE_VALGRIND") {
            Some(value) if value == "1" => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        };
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut constant = true;
    for curve in Curve::ALL {
        let counts: BTreeSet<String> = (0..KEYS).map(|_| count(*curve, folder.path())).collect();
        let same = counts.len() == 1;
        constant &= same;
        println!("{:<24} {}", curve.name(), if same { "constant" } else { "DIFFERS" });
        if !same {
            println!("  instructions and conditional branches: {counts:?}");
        }
    }
    if constant { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Instructions and conditional branches of one signature.
fn count(curve: Curve, folder: &Path) -> String {
    let counted = folder.join("counted");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--branch-sim=yes", "--collect-atstart=no"])
        .arg("--toggle-collect=*SoftwareKey*sign*")
        .arg(format!("--callgrind-out-file={}", counted.display()))
        .arg(std::env::current_exe().expect("this program"))
        .args(["sign", curve.name()])
        .output()
        .expect("valgrind");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let counted = std::fs::read_to_string(&counted).expect("what valgrind counted");
    // "events: Ir Bc Bcm Bi Bim", and "totals:" in this order. How branches were predicted depends on the ones before.
    let totals = counted
        .lines()
        .find_map(|line| line.strip_prefix("totals: "))
        .expect("totals");
    let taken: Vec<&str> = totals.split(' ').take(2).collect();
    assert!(
        taken[0].parse::<u64>().is_ok_and(|n| n > 100_000),
        "nothing was watched: {totals}"
    );
    taken.join(" ")
}
