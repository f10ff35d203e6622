//! What TLS says when it comes to nothing, in words.

use rustls::{AlertDescription, CertificateError, Error};
use smev3::fault::meaning::Who;

use super::trouble::Trouble;

/// An error of TLS, on this side or told by the other.
pub(super) fn of_tls(error: &Error) -> Trouble {
    let title = format!("TLS: {error}");
    let (means, who, remedy): (&str, &[Who], &str) = match error {
        Error::InvalidCertificate(cause) => match cause {
            CertificateError::UnknownIssuer => (
                "The server's certificate comes from an authority that is not trusted here.",
                &[Who::Participant],
                "Name the authority's certificate with --ca, and give it to the system that is to be connected. Ask the operator for it by \
                 a way that you trust.",
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
                "The time of the server's TLS certificate is over, or this machine's clock is wrong.",
                &[Who::Operator, Who::Participant],
                "Operator: replace the files of `smev3.tls`, they are read again by themselves. Participant: check the clock.",
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
                "The time of the server's TLS certificate has not begun, or this machine's clock is wrong.",
                &[Who::Operator, Who::Participant],
                "Compare the clocks of both machines.",
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
                "The server's TLS certificate is for another name than the host in --url.",
                &[Who::Operator, Who::Participant],
                "Call the server by a name that its certificate has, or have it issued for this name as well.",
            ),
            _ => (
                "The server's TLS certificate is not usable.",
                &[Who::Operator],
                "Have it issued anew.",
            ),
        },
        Error::AlertReceived(AlertDescription::CertificateRequired) => (
            "The server asks for a TLS certificate of the client (mutual TLS), and none was shown.",
            &[Who::Participant, Who::Operator],
            "Show one with --tls-certificate and --tls-key; the operator says which authority may issue it (`smev3.tls.client_ca`).",
        ),
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError,
        ) => (
            "The server does not accept the TLS certificate that was shown to it.",
            &[Who::Participant, Who::Operator],
            "Show one that the authority of `smev3.tls.client_ca` has issued and whose time is not over.",
        ),
        Error::InvalidMessage(_) => (
            "What answers there does not speak TLS.",
            &[Who::Participant],
            "Call it with http:// in --url, or the port where it speaks TLS.",
        ),
        _ => return unexplained(&title),
    };
    Trouble::new("tls", title, means, who, remedy)
}

/// Something else.
pub(super) fn unexplained(told: &str) -> Trouble {
    Trouble::new(
        "tls",
        told,
        "The two sides could not agree on TLS.",
        &[Who::Operator, Who::Participant],
        "Check that the port speaks TLS 1.2 or 1.3; the log of the called side may say more.",
    )
}
