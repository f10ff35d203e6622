//! What went wrong with a call, in words: what it means, who must act, what they do.

use std::io::ErrorKind;

use emulator::{CallError, Fault, Operation};
use serde::Serialize;
use smev3::client::{NoAnswer, NoConnection};
use smev3::fault::FaultName;
use smev3::fault::meaning::{Meaning, Who};

use super::caller::Signer;
use super::report::Sheet;
use super::trouble_tls;
use crate::output::Out;

/// A call that was not done.
#[derive(Debug, Serialize)]
pub(super) struct Trouble {
    /// Which, in a word for programs: `fault`, `name`, `connection`, `tls`, `timeout`, `broken`, `redirect`, `status`, `not_soap`,
    /// `malformed`, `signature`.
    kind: &'static str,
    /// Which, for a person.
    title: String,
    means: String,
    /// Who must act, the one to ask first first.
    who: Vec<&'static str>,
    remedy: String,
    /// Whether the message may have been accepted all the same.
    maybe_done: bool,
    /// Whether the message may be sent again.
    again: Option<&'static str>,
    /// What the other side says.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<Said>,
}

/// A fault as received.
#[derive(Debug, Serialize)]
struct Said {
    fault: String,
    text: String,
    code: Option<String>,
    description: Option<String>,
    fields: Vec<(String, String)>,
}

/// Who must act: names in the order of asking.
const CALLER: &[Who] = &[Who::Participant];
const BOTH: &[Who] = &[Who::Participant, Who::Operator];
const OTHER_SIDE: &[Who] = &[Who::Operator, Who::Bus];

impl Trouble {
    pub(super) fn new(
        kind: &'static str,
        title: impl Into<String>,
        means: impl Into<String>,
        who: &[Who],
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            title: title.into(),
            means: means.into(),
            who: who.iter().map(|who| who.en()).collect(),
            remedy: remedy.into(),
            maybe_done: false,
            again: None,
            said: None,
        }
    }

    /// There is no address.
    pub(super) fn nowhere() -> Self {
        Self::new(
            "name",
            "no address",
            "There is nowhere to call.",
            CALLER,
            "Name it with --url.",
        )
    }

    /// The call may have taken effect.
    fn unclear(self) -> Self {
        Self {
            maybe_done: true,
            again: Some(
                "yes, the same message under the same MessageID: MessageIsAlreadySent then says that it was accepted",
            ),
            ..self
        }
    }

    /// The same, without a word on sending again for a call that sends no message.
    pub(super) fn of_operation(self, operation: Operation) -> Self {
        match operation {
            Operation::SendRequest | Operation::SendResponse => self,
            _ => Self { again: None, ..self },
        }
    }

    /// The way there or back failed.
    pub(super) fn of_way(error: &NoAnswer) -> Self {
        let told = error.to_string();
        let trouble = match error {
            _ if let Some(tls) = error.tls() => trouble_tls::of_tls(tls),
            NoAnswer::NoConnection(cause) => no_connection(cause),
            NoAnswer::Broken(_) | NoAnswer::Unreadable(_) => Self::new(
                "broken",
                format!("the connection broke off: {told}"),
                "Something took the call and gave no whole answer: it is no HTTP server, speaks TLS only, was stopped, or something \
                 between cut the connection.",
                BOTH,
                "Check http or https in --url, then the called side's log and what lies between.",
            ),
            NoAnswer::Late(_) => Self::new(
                "timeout",
                told,
                "The call was taken and not answered in time.",
                OTHER_SIDE,
                "The operator looks at /ready and the load; --timeout waits longer.",
            ),
        };
        match error {
            NoAnswer::NoConnection(_) => trouble,
            _ => trouble.unclear(),
        }
    }

    /// The server sends elsewhere.
    pub(super) fn redirected(status: u16, location: Option<&str>) -> Self {
        let place = location.unwrap_or("nowhere");
        Self::new(
            "redirect",
            format!("redirected to {place} (HTTP status {status})"),
            "The address belongs to something that sends elsewhere, such as a proxy or a web page; SMEV 3 has no redirections.",
            BOTH,
            "If the new address is the right one, name it with --url; clients must be given it as well.",
        )
    }

    /// The answer is not what it should be; `signer` is who signed it, as far as that is known.
    pub(super) fn of_call(error: CallError, signer: Option<&Signer>) -> Self {
        match error {
            CallError::Fault(fault) => Self::of_fault(*fault),
            CallError::Status { status, body } => no_soap(status, &body),
            CallError::Signature(cause) => {
                let whose = signer.map_or_else(String::new, |signer| {
                    format!(
                        " It names the certificate {} of {}.",
                        signer.certificate, signer.subject
                    )
                });
                Self::new(
                    "signature",
                    format!("the answer's signature is not accepted: {cause}"),
                    format!("Who answered cannot be proven to be whom --trusted names.{whose}"),
                    BOTH,
                    "Get the certificate that gateway or bus signs with from its operator by a way that you trust, and compare. If \
                     it is not that one, somebody else answers at this address.",
                )
                .unclear()
            }
            CallError::Malformed(what) => Self::new(
                "malformed",
                format!("the answer is not that of the operation: {what}"),
                "Something answers SOAP, but not as SMEV 3 does in this version.",
                BOTH,
                "Check that the URL is that of the service, and --from-version.",
            )
            .unclear(),
            CallError::Transport(error) => {
                Self::new("broken", error.to_string(), "No answer came.", BOTH, "Try again.").unclear()
            }
            CallError::Sign(error) => Self::new(
                "key",
                error.to_string(),
                "The key did not sign; nothing was sent.",
                CALLER,
                "Check the key file.",
            ),
        }
    }

    fn of_fault(fault: Fault) -> Self {
        let cause = fault.field_text("SignatureVerificationFault");
        let row = Meaning::of(&fault.element, cause);
        let mut trouble = match row {
            Some(row) => Self::new("fault", row.title(), row.means.en, row.who, row.remedy.en),
            None => Self::new(
                "fault",
                match fault.element.as_str() {
                    "" => "a fault without a name".to_owned(),
                    element => element.to_owned(),
                },
                "The other side refuses with a fault that the protocol's description does not have.",
                OTHER_SIDE,
                "Its text says more; ask the called side's support with its code.",
            ),
        };
        // All others refuse for certain; a side that failed may have failed after it took the message.
        trouble.maybe_done = row.is_some_and(|row| row.fault == FaultName::SMEVFailure);
        trouble.again = row.map(|row| row.again.words().en);
        trouble.said = Some(Said {
            fault: fault.element,
            text: fault.text,
            code: fault.code,
            description: fault.description,
            fields: fault.fields,
        });
        trouble
    }

    /// Tells a person. `message` is what was sent.
    pub(super) fn show(&self, message: Option<&str>, out: &mut Out) -> std::io::Result<()> {
        let heading = if self.kind == "fault" { "REFUSED" } else { "FAILED" };
        let mut sheet = Sheet::new(format!("{heading}  {}", self.title));
        sheet.line("means", &*self.means);
        sheet.line("who acts", self.who.join(", "));
        sheet.line("to do", &*self.remedy);
        if self.maybe_done {
            sheet.line("note", "it is not known whether the call took effect");
        }
        sheet.some("send again", self.again);
        sheet.some("message", message);
        if let Some(said) = &self.said {
            sheet.line("said", &*said.text);
            for (name, text) in &said.fields {
                sheet.line("", format!("{name}: {text}"));
            }
            let number = said.description.as_deref().and_then(|text| text.split_once(':'));
            let number = number.map(|(number, _)| number);
            let code: Vec<_> = said.code.as_deref().into_iter().chain(number).collect();
            sheet.some("code", Some(code.join(", ")).filter(|code| !code.is_empty()));
        }
        sheet.show(out)
    }
}

fn no_connection(cause: &NoConnection) -> Trouble {
    match cause {
        NoConnection::Name(error) => Trouble::new(
            "name",
            format!("the host's name is not known: {error}"),
            "No address was found for the host in --url; nothing was sent.",
            CALLER,
            "Check the spelling, and this machine's name service (`getent hosts HOST`).",
        ),
        NoConnection::Refused(error) if error.kind() == ErrorKind::ConnectionRefused => Trouble::new(
            "connection",
            format!("nobody listens there: {error}"),
            "The machine answers, and the port is closed: the gateway does not run, or listens on another address or port.",
            &[Who::Operator, Who::Participant],
            "Operator: `systemctl status rsmev`, `smev3.listen`. Participant: check host and port in --url.",
        ),
        NoConnection::Refused(error) => Trouble::new(
            "connection",
            format!("no connection: {error}"),
            "The network does not lead there; nothing was sent.",
            BOTH,
            "Check routes, VPN and firewalls between the two machines.",
        ),
        NoConnection::Late(_) => Trouble::new(
            "timeout",
            format!("no connection {cause}"),
            "Nothing answers at this address; mostly a firewall that drops, or a VPN that is down. Nothing was sent.",
            BOTH,
            "Check routes, VPN and firewalls between the two machines.",
        ),
        NoConnection::Tls(_) => trouble_tls::unexplained(&cause.to_string()),
        NoConnection::Http(_) => Trouble::new(
            "broken",
            cause.to_string(),
            "The connection was taken and does not work.",
            BOTH,
            "Check that the address is that of an HTTP server.",
        ),
    }
}

/// Something that is no SOAP came with this status.
fn no_soap(status: u16, body: &str) -> Trouble {
    let (kind, who, means, remedy) = match status {
        200..=299 => (
            "not_soap",
            BOTH,
            "A web server answers there, but no SMEV 3 service.",
            "Check host, port and path of --url; the path of the door is /smev/v1.2/ws.",
        ),
        401 | 403 | 407 => (
            "status",
            BOTH,
            "Something before the service, such as a proxy, does not let the call through.",
            "Have the proxy's rules changed, or go around it; the service itself asks for no passwords.",
        ),
        404 | 405 => (
            "status",
            CALLER,
            "The server is there, and has no SMEV 3 service under this path.",
            "Check the path of --url; the door's is /smev/v1.2/ws.",
        ),
        _ => (
            "status",
            OTHER_SIDE,
            "The server, or something before it, failed without a SOAP answer.",
            "Look at the log of the called side, and of proxies between.",
        ),
    };
    let title = format!("HTTP status {status} without a SOAP answer: {}", body.trim());
    let trouble = Trouble::new(kind, title, means, who, remedy);
    // Only a refusal of the call as such says that nobody took it.
    match status {
        400..=499 => trouble,
        _ => trouble.unclear(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_fault_is_told_with_who_must_act_and_its_own_text() {
        for &name in FaultName::ALL {
            let trouble = Trouble::of_fault(Fault::new(name.as_str()).text("свой текст"));
            assert!(
                trouble.title.starts_with(name.as_str()) && !trouble.who.is_empty(),
                "{name}"
            );
            assert_eq!(trouble.said.as_ref().unwrap().text, "свой текст");
            assert!(trouble.again.is_some(), "{name}");
            assert_eq!(trouble.maybe_done, name == FaultName::SMEVFailure, "{name}");
        }
        let expired = Trouble::of_fault(Fault::signature("CertificateIsExpired"));
        assert!(expired.means.contains("time of the certificate"), "{}", expired.means);
        let unknown = Trouble::of_fault(Fault::new("SomethingNew"));
        assert_eq!((unknown.title.as_str(), unknown.again), ("SomethingNew", None));
    }

    #[test]
    fn a_failed_way_is_told_apart_and_whether_the_message_may_have_arrived() {
        let way = |error: NoAnswer| {
            let trouble = Trouble::of_way(&error);
            (trouble.kind, trouble.maybe_done)
        };
        let refused = |kind| NoConnection::Refused(io::Error::from(kind));
        assert_eq!(way(refused(ErrorKind::ConnectionRefused).into()), ("connection", false));
        assert_eq!(
            way(NoConnection::Late(Duration::from_secs(1)).into()),
            ("timeout", false)
        );
        assert_eq!(way(NoConnection::Name(io::Error::other("x")).into()), ("name", false));
        assert_eq!(way(NoAnswer::Late(Duration::from_secs(1))), ("timeout", true));
        assert_eq!(way(NoAnswer::Unreadable("cut".to_owned())), ("broken", true));
        let closed = Trouble::of_way(&refused(ErrorKind::ConnectionRefused).into());
        assert_eq!(closed.who.first(), Some(&Who::Operator.en()));
    }

    #[test]
    fn an_answer_that_is_no_soap_is_told_by_its_status() {
        let told = |status| {
            let body = "x".to_owned();
            let trouble = Trouble::of_call(CallError::Status { status, body }, None);
            (trouble.kind, trouble.maybe_done)
        };
        assert_eq!(told(200), ("not_soap", true));
        assert_eq!(told(404), ("status", false));
        assert_eq!(told(502), ("status", true));
        let moved = Trouble::redirected(302, Some("http://elsewhere/"));
        assert!(moved.title.contains("http://elsewhere/"));
    }
}
