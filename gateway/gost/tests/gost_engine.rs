//! Interoperability with OpenSSL's gost engine, in both directions, for every parameter set, with random messages.
//!
//! Needs the `openssl` command and Debian's `libengine-gost-openssl`. Without them the tests say so and pass, unless
//! `RSMEV_REQUIRE_GOST_ENGINE=1` is set: then they fail.

#![expect(clippy::print_stderr, reason = "a skipped test must be seen")]

use gost::{Certificate, Curve, DigestAlgorithm, KeyAlgorithm, PublicKey, Signer, SoftwareKey, SubjectName};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const CONFIGURATION: &str = include_str!("gost_engine.cnf");

/// The engine's names of the parameter sets.
const SETS: &[(Curve, &str)] = &[
    (Curve::CryptoProA, "A"),
    (Curve::CryptoProB, "B"),
    (Curve::CryptoProC, "C"),
    (Curve::CryptoProXchA, "XA"),
    (Curve::CryptoProXchB, "XB"),
    (Curve::Tc26A256, "TCA"),
    (Curve::Tc26B256, "TCB"),
    (Curve::Tc26C256, "TCC"),
    (Curve::Tc26D256, "TCD"),
    (Curve::Tc26A512, "A"),
    (Curve::Tc26B512, "B"),
    (Curve::Tc26C512, "C"),
];

const MESSAGES: usize = 4;

/// The openssl command with the engine, and a folder for its files.
struct Engine(tempfile::TempDir);

impl Engine {
    fn find() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("openssl.cnf"), CONFIGURATION).expect("the configuration");
        let engine = Self(folder);
        let found = engine.command(&["engine", "gost"]).output();
        if found
            .is_ok_and(|output| output.status.success() && String::from_utf8_lossy(&output.stdout).contains("(gost)"))
        {
            return Some(engine);
        }
        assert!(
            std::env::var_os("RSMEV_REQUIRE_GOST_ENGINE").is_none_or(|value| value != "1"),
            "the openssl command with gost engine is required (apt-get install openssl libengine-gost-openssl)"
        );
        eprintln!("SKIPPED: no openssl command with gost engine (apt-get install openssl libengine-gost-openssl)");
        None
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("openssl");
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("OPENSSL_CONF", self.path("openssl.cnf"));
        command
    }

    fn try_run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the openssl command starts")
    }

    fn run(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.try_run(arguments);
        assert!(
            output.status.success(),
            "openssl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, octets: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), octets).expect("a file in the temporary folder");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        read(&self.path(name))
    }

    /// A new key of the engine's, as PEM.
    fn new_key(&self, algorithm: &str, set: &str) -> String {
        self.run(&[
            "genpkey",
            "-algorithm",
            algorithm,
            "-pkeyopt",
            &format!("paramset:{set}"),
            "-out",
            "key.pem",
        ]);
        String::from_utf8(self.read("key.pem")).expect("PEM is text")
    }

    /// The engine's signature of a message with `key.pem`.
    fn sign(&self, digest: DigestAlgorithm, message: &[u8]) -> Vec<u8> {
        self.write("message", message);
        self.run(&[
            "dgst",
            digest_option(digest),
            "-sign",
            "key.pem",
            "-out",
            "signature",
            "message",
        ]);
        self.read("signature")
    }

    /// Whether the engine takes the signature of a message for one of the key in `public.der`.
    fn verifies(&self, digest: DigestAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        self.write("message", message);
        self.write("signature", signature);
        let option = digest_option(digest);
        let output = self.try_run(&[
            "dgst",
            option,
            "-keyform",
            "DER",
            "-verify",
            "public.der",
            "-signature",
            "signature",
            "message",
        ]);
        output.status.success()
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("a file that openssl wrote")
}

fn digest_option(digest: DigestAlgorithm) -> &'static str {
    match digest {
        DigestAlgorithm::Gost94CryptoPro => "-md_gost94",
        DigestAlgorithm::Streebog256 => "-md_gost12_256",
        DigestAlgorithm::Streebog512 => "-md_gost12_512",
    }
}

fn algorithm_of(curve: Curve) -> (KeyAlgorithm, &'static str) {
    if curve.coordinate_len() == 64 {
        (KeyAlgorithm::Gost2012_512, "gost2012_512")
    } else {
        (KeyAlgorithm::Gost2012_256, "gost2012_256")
    }
}

/// Random messages of random length up to 4 KB.
fn random_messages() -> Vec<Vec<u8>> {
    let message = || {
        let mut length = [0; 2];
        getrandom::fill(&mut length).expect("randomness");
        let mut message = vec![0; usize::from(u16::from_le_bytes(length)) % 4096];
        getrandom::fill(&mut message).expect("randomness");
        message
    };
    (0..MESSAGES).map(|_| message()).collect()
}

#[test]
fn digests_are_the_engine_s() {
    let Some(engine) = Engine::find() else { return };
    for digest in [
        DigestAlgorithm::Gost94CryptoPro,
        DigestAlgorithm::Streebog256,
        DigestAlgorithm::Streebog512,
    ] {
        for message in random_messages() {
            engine.write("message", &message);
            let theirs = engine.run(&["dgst", digest_option(digest), "-binary", "message"]);
            assert_eq!(digest.hash(&message).as_ref(), theirs, "{digest:?} of {message:02x?}");
        }
    }
}

#[test]
fn what_we_sign_the_engine_verifies() {
    let Some(engine) = Engine::find() else { return };
    for &(curve, _) in SETS {
        let (algorithm, _) = algorithm_of(curve);
        let key = SoftwareKey::generate(curve, algorithm).expect("a new key");
        engine.write("public.der", key.public_key().to_spki_der());
        for message in random_messages() {
            let digest = algorithm.digest().hash(&message);
            let signature = key.sign(digest.as_ref()).expect("a signature");
            assert!(
                engine.verifies(algorithm.digest(), &message, signature.as_ref()),
                "{curve}"
            );
            let other = [message.as_slice(), b"."].concat();
            assert!(
                !engine.verifies(algorithm.digest(), &other, signature.as_ref()),
                "{curve}"
            );
        }
    }
}

#[test]
fn what_the_engine_signs_we_verify_with_its_keys_and_with_ours() {
    let Some(engine) = Engine::find() else { return };
    for &(curve, set) in SETS {
        let (algorithm, name) = algorithm_of(curve);
        let theirs = engine.new_key(name, set);
        let ours = SoftwareKey::generate(curve, algorithm).expect("a new key").to_pem();
        for pem in [theirs.as_str(), ours.as_str()] {
            engine.write("key.pem", pem);
            let key = SoftwareKey::from_pem(pem).expect("a key in PEM");
            assert_eq!(key.public_key().curve(), curve);
            let prepared = key.public_key().prepare();
            for message in random_messages() {
                let signature = engine.sign(algorithm.digest(), &message);
                let digest = algorithm.digest().hash(&message);
                assert_eq!(key.public_key().verify(digest.as_ref(), &signature), Ok(()), "{curve}");
                assert_eq!(prepared.verify(digest.as_ref(), &signature), Ok(()), "{curve}");
            }
        }
    }
}

#[test]
fn keys_are_written_octet_for_octet_as_the_engine_writes_them() {
    let Some(engine) = Engine::find() else { return };
    for &(curve, set) in SETS {
        let pem = engine.new_key(algorithm_of(curve).1, set);
        let public = engine.run(&["pkey", "-in", "key.pem", "-pubout", "-outform", "DER"]);
        let key = SoftwareKey::from_pem(&pem).expect("PEM of the engine");
        assert_eq!(*key.to_pem(), pem, "{curve}");
        assert_eq!(key.public_key().to_spki_der(), public, "{curve}");
        assert_eq!(
            PublicKey::from_spki_der(&public).as_ref(),
            Ok(key.public_key()),
            "{curve}"
        );
    }
}

#[test]
fn signatures_of_2001_verify() {
    let Some(engine) = Engine::find() else { return };
    for &(curve, set) in SETS.iter().take(5) {
        engine.new_key("gost2001", set);
        let public = engine.run(&["pkey", "-in", "key.pem", "-pubout", "-outform", "DER"]);
        let key = PublicKey::from_spki_der(&public).expect("a key of 2001");
        assert_eq!((key.algorithm(), key.curve()), (KeyAlgorithm::Gost2001, curve));
        assert_eq!(key.to_spki_der(), public, "{curve}");
        for message in random_messages() {
            let signature = engine.sign(DigestAlgorithm::Gost94CryptoPro, &message);
            let digest = key.algorithm().digest().hash(&message);
            assert_eq!(key.verify(digest.as_ref(), &signature), Ok(()), "{curve}");
        }
    }
}

#[test]
fn certificates_and_requests_are_exchanged() {
    let Some(engine) = Engine::find() else { return };
    let name: SubjectName = "CN=Администрация г. Ульяновска,O=Ромашка\\, ООО,OGRN=1027700133911,C=RU"
        .parse()
        .expect("a name");
    for &(curve, set) in SETS {
        let (algorithm, engine_algorithm) = algorithm_of(curve);
        let key = SoftwareKey::generate(curve, algorithm).expect("a new key");
        // From 2000 to 2099: one time in each of the two forms.
        let ours = gost::self_signed(&key, &name, 946_684_800, 4_102_444_799).expect("a certificate");
        engine.write("ours.pem", ours.to_pem());
        engine.run(&[
            "verify",
            "-x509_strict",
            "-check_ss_sig",
            "-CAfile",
            "ours.pem",
            "ours.pem",
        ]);
        let public = engine.run(&["x509", "-in", "ours.pem", "-noout", "-pubkey"]);
        engine.write("public.pem", public);
        let public = engine.run(&["pkey", "-pubin", "-in", "public.pem", "-outform", "DER"]);
        assert_eq!(
            PublicKey::from_spki_der(&public).as_ref(),
            Ok(key.public_key()),
            "{curve}"
        );

        engine.write(
            "ours.csr",
            gost::certificate_request_pem(&key, &name).expect("a request"),
        );
        engine.run(&["req", "-in", "ours.csr", "-verify", "-noout"]);

        engine.new_key(engine_algorithm, set);
        let subject = "/C=RU/O=Ромашка, ООО/CN=Проба";
        engine.run(&[
            "req",
            "-x509",
            "-new",
            "-utf8",
            "-key",
            "key.pem",
            "-subj",
            subject,
            "-days",
            "9",
            "-out",
            "theirs.pem",
        ]);
        let theirs = Certificate::from_pem_or_der(&engine.read("theirs.pem")).expect("a certificate of the engine");
        assert_eq!(theirs.verify(theirs.public_key()), Ok(()), "{curve}");
        assert_eq!(theirs.subject(), "CN=Проба,O=Ромашка\\, ООО,C=RU");
        assert_eq!(theirs.not_after() - theirs.not_before(), 9 * 86_400);
        assert!(theirs.verify(key.public_key()).is_err());
    }
}
