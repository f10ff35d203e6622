//! Who is calling: the certificate in the signature is a key into the registry and nothing more (PROTOCOL §4, §6.1).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use engine::registry::{Participant, Registry};
use gost::{Certificate, CertificateId, VerifyingKey, VerifyingKeys};
use jiff::Timestamp;
use xmldsig::Cause;

use crate::fault::{Fault, FaultName, SignatureCause};
use crate::mime::decode_base64;
use crate::request::MOSCOW;

/// Certificates kept parsed, and keys kept with their tables.
const KEPT: usize = 512;

/// Recognises certificates. Only registered ones are kept, so a stranger's cannot push them out.
pub(super) struct Recognition {
    parsed: Mutex<HashMap<Vec<u8>, Certificate>>,
    keys: VerifyingKeys,
}

/// A registered caller.
pub(super) struct Recognised<'r> {
    pub(super) participant: &'r Participant,
    pub(super) certificate: CertificateId,
    pub(super) key: Arc<VerifyingKey>,
}

impl Recognition {
    pub(super) fn new() -> Self {
        Self {
            parsed: Mutex::default(),
            keys: VerifyingKeys::new(KEPT),
        }
    }

    /// Looks a certificate up.
    pub(super) fn recognise<'r>(
        &self,
        der: &[u8],
        registry: &'r Registry,
    ) -> Result<(Recognised<'r>, Certificate), Fault> {
        let certificate = self.parsed(der, registry)?;
        let id = certificate.id();
        let participant = registry
            .participant_by_certificate(&id)
            .ok_or_else(|| unregistered(&id))?;
        let key = self.keys.get(certificate.public_key());
        Ok((
            Recognised {
                participant,
                certificate: id,
                key,
            },
            certificate,
        ))
    }

    fn parsed(&self, der: &[u8], registry: &Registry) -> Result<Certificate, Fault> {
        if let Some(known) = self.lock().get(der) {
            return Ok(known.clone());
        }
        let id = CertificateId::of_der(der);
        if registry.participant_by_certificate(&id).is_none() {
            return Err(unregistered(&id));
        }
        let certificate = Certificate::from_der(der).map_err(|_| {
            let cause = SignatureCause::Signature(Cause::CertificateIsNotFound);
            Fault::signature(cause, "Сертификат ЭП-ОВ не читается.")
        })?;
        let mut parsed = self.lock();
        if parsed.len() >= KEPT {
            parsed.clear();
        }
        parsed.insert(der.to_vec(), certificate.clone());
        Ok(certificate)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, Certificate>> {
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the text of a call names a registered certificate whose owner may call from the address, wherever it stands.
/// Told without parsing and verifying, which is dear for a large call: what names none cannot be accepted.
pub(super) fn names_registered(text: &[u8], registry: &Registry, address: IpAddr) -> bool {
    /// Tags looked at: those of the signatures over and inside the data.
    const TAGS: usize = 64;
    /// Octets of a certificate in base64 at most.
    const LONGEST: usize = 16 << 10;
    let registered = |at: usize| {
        let rest = &text[at..text.len().min(at + LONGEST)];
        let begin = memchr::memchr(b'>', rest)? + 1;
        let length = memchr::memchr(b'<', &rest[begin..])?;
        // Some libraries write their line breaks as references.
        let content = std::str::from_utf8(&rest[begin..begin + length]).ok()?;
        let content = content.replace("&#13;", "").replace("&#xD;", "");
        let certificate = CertificateId::of_der(&decode_base64(content.as_bytes())?);
        let participant = registry.participant_by_certificate(&certificate)?;
        check_address(participant, address).ok()
    };
    memchr::memmem::find_iter(text, "X509Certificate")
        .take(TAGS)
        .any(|at| registered(at).is_some())
}

/// The refusal of a call that names no registered certificate.
pub(super) fn unknown() -> Fault {
    Fault::new(
        FaultName::SenderIsNotRegistered,
        "certificate_unknown",
        "В сообщении нет сертификата ЭП-ОВ, зарегистрированного для этого адреса.",
    )
}

/// Whether the certificate's time is now.
pub(super) fn check_validity(certificate: &Certificate, now: Timestamp) -> Result<(), Fault> {
    let minute = |seconds: i64| match Timestamp::from_second(seconds) {
        Ok(at) => MOSCOW.to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => "?".to_owned(),
    };
    let cause = SignatureCause::CertificateIsExpired;
    if now.as_second() > certificate.not_after() {
        let until = minute(certificate.not_after());
        let text = format!("Срок действия сертификата ЭП-ОВ истёк. Сертификат действителен до {until}");
        return Err(Fault::signature(cause, text));
    }
    if now.as_second() < certificate.not_before() {
        let from = minute(certificate.not_before());
        let text = format!("Срок действия сертификата ЭП-ОВ не наступил. Сертификат действителен с {from}");
        return Err(Fault::signature(cause, text));
    }
    Ok(())
}

/// Whether a participant may call from an address. An entry that is no network allows nothing.
pub(super) fn check_address(participant: &Participant, address: IpAddr) -> Result<(), Fault> {
    if participant.addresses.is_empty() || participant.addresses.iter().any(|network| contains(network, address)) {
        return Ok(());
    }
    let text = format!("Вызовы {} с адреса {address} не разрешены.", participant.mnemonic);
    Err(Fault::new(FaultName::SenderIsNotRegistered, "address", text))
}

fn unregistered(id: &CertificateId) -> Fault {
    Fault::new(
        FaultName::SenderIsNotRegistered,
        "certificate_unknown",
        format!("Сертификат ЭП-ОВ {id} не зарегистрирован."),
    )
}

fn contains(network: &str, address: IpAddr) -> bool {
    let (base, length) = match network.split_once('/') {
        Some((base, length)) => (base, length.parse::<u32>().ok()),
        None => (network, Some(128)),
    };
    let (Ok(base), Some(length)) = (base.parse::<IpAddr>(), length) else {
        return false;
    };
    match (base, address.to_canonical()) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            let shift = 32_u32.saturating_sub(length);
            u64::from(base.to_bits()) >> shift == u64::from(address.to_bits()) >> shift
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            let shift = 128_u32.saturating_sub(length);
            base.to_bits().checked_shr(shift).unwrap_or(0) == address.to_bits().checked_shr(shift).unwrap_or(0)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registered_certificate_is_found_in_a_text_however_it_is_written() {
        use base64::Engine as _;
        use engine::registry::{CertificateRef, RegistryContent};
        let der = [7; 700];
        let participant = Participant {
            mnemonic: "MUN001".parse().unwrap(),
            name: String::new(),
            oktmo: None,
            certificates: vec![CertificateRef(CertificateId::of_der(&der))],
            addresses: vec!["10.0.0.0/8".into()],
        };
        let registry = Registry::new(RegistryContent {
            participants: [(participant.mnemonic.clone(), participant)].into(),
            ..RegistryContent::default()
        });
        let named =
            |text: String, address: &str| names_registered(text.as_bytes(), &registry, address.parse().unwrap());
        let base64 = base64::engine::general_purpose::STANDARD.encode(der);
        let (first, second) = base64.split_at(76);
        for lines in ["", "\n", "&#13;\n", "\r\n "] {
            let text =
                format!("<a><X509Certificate/><ds:X509Certificate x=''>{first}{lines}{second}</ds:X509Certificate>");
            assert!(named(text.clone(), "10.1.2.3"), "{lines:?}");
            assert!(!named(text.clone(), "192.0.2.1"), "from elsewhere");
            assert!(!named(text.replace("BwcHBw", "BwcHCA"), "10.1.2.3"), "another");
        }
        assert!(!named("<a>X509Certificate>".to_owned(), "10.1.2.3"));
    }

    #[test]
    fn networks_contain_their_addresses_only() {
        let holds = |network: &str, address: &str| contains(network, address.parse().unwrap());
        assert!(holds("10.1.0.0/16", "10.1.255.3"));
        assert!(holds("10.1.0.0/16", "::ffff:10.1.2.3"));
        assert!(!holds("10.1.0.0/16", "10.2.0.1"));
        assert!(holds("10.1.2.3", "10.1.2.3") && !holds("10.1.2.3", "10.1.2.4"));
        assert!(holds("0.0.0.0/0", "8.8.8.8") && holds("::/0", "::1") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("fd00::/8", "fd12::1") && !holds("fd00::/8", "fe80::1"));
        assert!(!holds("nonsense", "10.0.0.1") && !holds("10.0.0.0/x", "10.0.0.1"));
    }
}
