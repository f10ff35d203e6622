//! Certificates: real ones, ones of our own, and broken ones.

#![expect(clippy::print_stderr, reason = "a skipped test must be seen")]

use gost::{
    Certificate, CertificateError, CertificateId, Curve, KeyAlgorithm, Signer, SoftwareKey, SubjectName, self_signed,
};
use proptest::prelude::*;
use std::path::Path;

const PUBLIC_CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/public/certs");

fn new_key(curve: Curve) -> SoftwareKey {
    SoftwareKey::generate(curve, KeyAlgorithm::Gost2012_256).expect("a new key")
}

fn our_certificate() -> Certificate {
    let name = "CN=Проба,C=RU".parse().expect("a name");
    self_signed(&new_key(Curve::CryptoProA), &name, 1_700_000_000, 1_800_000_000).expect("a certificate")
}

/// The real certificates, by file name; empty, with a word, where the data are not at hand.
fn real_certificates() -> Vec<(String, Vec<u8>)> {
    let Ok(folder) = std::fs::read_dir(Path::new(PUBLIC_CERTIFICATES)) else {
        eprintln!("SKIPPED: no real certificates at {PUBLIC_CERTIFICATES}");
        return Vec::new();
    };
    let files = folder.map(|entry| entry.expect("a folder entry").path());
    files
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("a readable file"))
        })
        .collect()
}

#[test]
fn real_certificates_are_read_and_the_self_signed_verify() {
    let certificates = real_certificates();
    let mut self_signed = 0;
    for (file, der) in &certificates {
        let certificate = Certificate::from_der(der).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(certificate.der(), der);
        assert!(certificate.not_before() < certificate.not_after(), "{file}");
        assert!(
            certificate.subject().contains("C=RU"),
            "{file}: {}",
            certificate.subject()
        );
        assert!(
            !certificate.subject().contains("=#"),
            "{file}: {}",
            certificate.subject()
        );
        if certificate.subject() == certificate.issuer() {
            assert_eq!(certificate.verify(certificate.public_key()), Ok(()), "{file}");
            self_signed += 1;
        } else {
            assert!(certificate.verify(certificate.public_key()).is_err(), "{file}");
        }
    }
    assert!(
        certificates.is_empty() || self_signed == 3,
        "{self_signed} of {}",
        certificates.len()
    );
}

#[test]
fn the_fields_of_a_real_certificate_are_what_openssl_says() {
    let certificates = real_certificates();
    let Some((_, der)) = certificates.iter().find(|(file, _)| file == "5aed5a004d4c.cer") else {
        assert!(certificates.is_empty(), "the certificate is missing");
        return;
    };
    let certificate = Certificate::from_der(der).expect("a certificate");
    assert_eq!(
        certificate.subject(),
        "CN=ФНС России,O=ФНС России,STREET=Неглинная\\, дом 23,L=г. Москва,ST=г. Москва,C=RU,E=mns10613@nalog.ru,\
         INN=007707329152,OGRN=1047707030513"
    );
    assert_eq!(certificate.common_name(), Some("ФНС России"));
    assert_eq!(certificate.public_key().algorithm(), KeyAlgorithm::Gost2001);
}

#[test]
fn a_certificate_of_our_own_says_what_it_was_made_for() {
    let key = new_key(Curve::CryptoProXchA);
    let name: SubjectName = "CN=Администрация,O=МО \\\"Город\\\",C=RU".parse().expect("a name");
    // The last second of 2049 is the last in the short form of time.
    let certificate = self_signed(&key, &name, 0, 2_524_607_999).expect("a certificate");
    assert_eq!(certificate.subject(), "CN=Администрация,O=МО \\\"Город\\\",C=RU");
    assert_eq!(certificate.subject(), name.to_string());
    assert_eq!(certificate.issuer(), certificate.subject());
    assert_eq!(certificate.common_name(), Some("Администрация"));
    assert_eq!((certificate.not_before(), certificate.not_after()), (0, 2_524_607_999));
    assert_eq!(certificate.public_key(), key.public_key());
    assert_eq!(certificate.key_identifier().map(<[u8]>::len), Some(20));
    assert_eq!(certificate.serial().len(), 32);
    assert_eq!(certificate.verify(key.public_key()), Ok(()));
    let stranger = new_key(Curve::CryptoProXchA);
    assert!(matches!(
        certificate.verify(stranger.public_key()),
        Err(CertificateError::Signature(_))
    ));
}

#[test]
fn pem_and_der_are_read_alike() {
    let certificate = our_certificate();
    let pem = certificate.to_pem();
    let with_noise = format!(
        "subject=CN = x\r\n\r\n{}{}",
        pem.replace('\n', "\r\n"),
        our_certificate().to_pem()
    );
    for octets in [certificate.der(), pem.as_bytes(), with_noise.as_bytes()] {
        assert_eq!(Certificate::from_pem_or_der(octets).as_ref(), Ok(&certificate));
    }
    let other = pem.replace("CERTIFICATE", "PUBLIC KEY");
    assert!(matches!(
        Certificate::from_pem_or_der(other.as_bytes()),
        Err(CertificateError::Pem(_))
    ));
    assert!(matches!(
        Certificate::from_pem_or_der(b""),
        Err(CertificateError::Encoding(_))
    ));
}

#[test]
fn the_id_is_the_digest_and_survives_its_text() {
    let certificate = our_certificate();
    let id = certificate.id();
    assert_eq!(id, CertificateId::of_der(certificate.der()));
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(id.to_string().len(), 64);
    for text in ["", "00", &"g".repeat(64), &"+".repeat(64), &"é".repeat(32)] {
        assert_eq!(
            text.parse::<CertificateId>(),
            Err(CertificateError::Id(text.to_owned()))
        );
    }
}

#[test]
fn impossible_validity_is_refused() {
    let name = SubjectName::new("x").expect("a name");
    let key = new_key(Curve::CryptoProA);
    for (not_before, not_after) in [(2, 1), (-1, 1), (0, 253_402_300_800), (0, i64::MAX)] {
        let expected = CertificateError::Validity { not_before, not_after };
        assert_eq!(self_signed(&key, &name, not_before, not_after), Err(expected));
    }
}

#[test]
fn names_that_no_certificate_can_have_are_refused() {
    let long = format!("CN={}", "x".repeat(257));
    for text in [
        "",
        "CN",
        "CN=",
        "=x",
        "C=ru",
        "C=RUS",
        "INN=123",
        "OGRN=102770013391a",
        "XX=1",
        "CN=a,",
        "CN=a\\",
        "CN=\\g\\0",
        "CN=a\u{7}",
        "E=почта",
        &long,
    ] {
        assert!(
            matches!(text.parse::<SubjectName>(), Err(CertificateError::Name { .. })),
            "{text:?}"
        );
    }
}

#[test]
fn names_can_be_put_together() {
    let name = SubjectName::new("A, B")
        .and_then(|name| name.with_organization(" O "))
        .and_then(|name| name.with_country("RU"));
    let name = name.expect("a name");
    assert_eq!(name.to_string(), "CN=A\\, B,O=\\ O\\ ,C=RU");
    assert_eq!(name.to_string().parse().as_ref(), Ok(&name));
    assert_eq!(
        (name.get("cn"), name.get("O"), name.get("OU")),
        (Some("A, B"), Some(" O "), None)
    );
}

proptest! {
    #[test]
    fn any_name_survives_text_and_certificate(common_name in "[^\\p{Cc}]{1,60}", organization in "[ ,+\"\\\\<>;#=a-zа-я]{1,20}") {
        let name = SubjectName::new(&common_name).and_then(|name| name.with_organization(&organization)).expect("a name");
        let read = name.to_string().parse::<SubjectName>();
        prop_assert_eq!(read.as_ref(), Ok(&name));
        let certificate = self_signed(&new_key(Curve::CryptoProA), &name, 0, 1).expect("a certificate");
        prop_assert_eq!(certificate.subject(), name.to_string());
        prop_assert_eq!(certificate.common_name(), Some(common_name.as_str()));
    }

    #[test]
    fn no_change_of_a_certificate_panics_or_goes_unnoticed(place in any::<prop::sample::Index>(), change in 1..=255u8, cut in any::<bool>()) {
        let original = our_certificate();
        let mut der = original.der().to_vec();
        let at = place.index(der.len());
        der[at] ^= change;
        if cut {
            der.truncate(at);
        }
        if let Ok(changed) = Certificate::from_der(&der) {
            prop_assert_ne!(changed.id(), original.id());
            prop_assert!(changed.verify(original.public_key()).is_err());
        }
    }

    #[test]
    fn random_octets_are_no_certificate(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Certificate::from_pem_or_der(&octets).is_err());
    }
}
