//! Signed calls as clients write them.

use engine::clock::Clock as _;
use smev3::Version;
use xmldsig::{Document, Limits};

use crate::region::{Region, System};

/// Signs the element whose text is given and wraps it into a call.
pub(crate) fn signed(system: &System, version: Version, operation: &str, target: &str, tail: &str) -> String {
    let signature = signature(system, version, target);
    wrapped(
        version,
        operation,
        target,
        &format!("{tail}<t:CallerInformationSystemSignature>{signature}</t:CallerInformationSystemSignature>"),
    )
}

pub(crate) fn wrapped(version: Version, operation: &str, target: &str, rest: &str) -> String {
    format!(
        r#"<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Header/><S:Body><t:{operation}Request{}>
        {target}
        {rest}</t:{operation}Request></S:Body></S:Envelope>"#,
        declarations(version)
    )
}

pub(crate) fn signature(system: &System, version: Version, target: &str) -> String {
    let text = format!("<t:R{}>{target}</t:R>", declarations(version));
    let document = Document::parse(text.as_bytes(), &Limits::of_accepted()).unwrap();
    xmldsig::sign(
        document.root().children().next().unwrap(),
        &system.key,
        &system.certificate,
    )
    .unwrap()
}

fn declarations(version: Version) -> String {
    format!(r#" xmlns:t="{}" xmlns:b="{}""#, version.types(), version.basic())
}

/// The data of a request.
pub(crate) fn request_data(id: &str, payload: &str, more: &str) -> String {
    format!(
        r#"<t:SenderProvidedRequestData Id="SIGNED_BY_CALLER"><t:MessageID>{id}</t:MessageID><b:MessagePrimaryContent>{payload}</b:MessagePrimaryContent>{more}</t:SenderProvidedRequestData>"#
    )
}

pub(crate) fn response_data(id: &str, to: &str, inside: &str) -> String {
    format!(
        r#"<t:SenderProvidedResponseData Id="SIGNED_BY_PROVIDER"><t:MessageID>{id}</t:MessageID><t:To>{to}</t:To>{inside}</t:SenderProvidedResponseData>"#
    )
}

pub(crate) fn payload(namespace: &str, root: &str, inside: &str) -> String {
    format!(r#"<p:{root} xmlns:p="{namespace}">{inside}</p:{root}>"#)
}

impl Region {
    pub(crate) fn get(&self, system: &System, version: Version, operation: &str, inside: &str) -> String {
        let now = self.time.now();
        let target = format!(
            r#"<b:MessageTypeSelector Id="SIGNED_BY_CALLER"><b:Timestamp>{now}</b:Timestamp>{inside}</b:MessageTypeSelector>"#
        );
        signed(system, version, operation, &target, "")
    }

    pub(crate) fn stamped(&self, system: &System, version: Version, operation: &str) -> String {
        let target = format!(r#"<b:Timestamp Id="T">{}</b:Timestamp>"#, self.time.now());
        signed(system, version, operation, &target, "")
    }
}

pub(crate) fn ack(system: &System, version: Version, id: &str, attributes: &str) -> String {
    let target = format!(r#"<b:AckTargetMessage Id="SIGNED_BY_CALLER"{attributes}>{id}</b:AckTargetMessage>"#);
    signed(system, version, "Ack", &target, "")
}
