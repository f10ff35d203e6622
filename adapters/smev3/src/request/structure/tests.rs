use super::*;
use crate::fault::FaultName;
use xmldsig::{Document, Limits};

const ID: &str = "<t:MessageID>db0486d0-3c08-11e5-95e2-d4c9eff07b77</t:MessageID>";
const PAYLOAD: &str = r#"<MessagePrimaryContent><p xmlns="urn:p"/></MessagePrimaryContent>"#;
const SIGNATURE: &str =
    r#"<t:PersonalSignature><ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/></t:PersonalSignature>"#;
const HEADERS: &str = "<AttachmentHeaderList><AttachmentHeader><contentId>1.zip</contentId><MimeType>application/zip</MimeType>\
                       <SignaturePKCS7>QQ==</SignaturePKCS7></AttachmentHeader></AttachmentHeaderList>";
const FILES: &str = "<RefAttachmentHeaderList><RefAttachmentHeader><uuid>u</uuid><Hash>h</Hash><MimeType>image/jpeg</MimeType>\
                     </RefAttachmentHeader></RefAttachmentHeaderList>";
const METADATA: &str = r#"<t:BusinessProcessMetadata><m:frgu xmlns:m="urn:m">1</m:frgu></t:BusinessProcessMetadata>"#;
const TEST: &str = "<t:TestMessage/>";
const TO: &str = "<t:To>token</t:To>";
const REJECTION: &str = "<t:RequestRejected><t:RejectionReasonCode>NO_DATA</t:RejectionReasonCode>\
                         <t:RejectionReasonDescription>нет</t:RejectionReasonDescription></t:RequestRejected>";
const PROGRESS: &str = "<t:RequestStatus><t:StatusCode>7</t:StatusCode>\
                        <t:StatusParameter><t:Key>k</t:Key><t:Value>v</t:Value></t:StatusParameter>\
                        <t:StatusParameter><t:Key>k</t:Key><t:Value/></t:StatusParameter>\
                        <t:StatusDescription>в работе</t:StatusDescription></t:RequestStatus>";

type Check = fn(Element<'_, '_>, Version) -> Result<(), Fault>;

fn check(check: Check, name: &str, inside: &str, version: Version) -> Result<(), String> {
    let xml = format!(
        r#"<t:{name} xmlns:t="{}" xmlns="{}" Id="I">{inside}</t:{name}>"#,
        version.types(),
        version.basic()
    );
    let document = Document::parse(xml.as_bytes(), &Limits::default()).unwrap();
    check(document.root(), version).map_err(|fault| {
        assert_eq!(fault.name, FaultName::InvalidContent);
        fault.text
    })
}

fn request(inside: &str, version: Version) -> Result<(), String> {
    check(request_data, "SenderProvidedRequestData", inside, version)
}

fn response(inside: &str, version: Version) -> Result<(), String> {
    check(response_data, "SenderProvidedResponseData", inside, version)
}

fn whole_request() -> Vec<String> {
    [
        ID,
        "<t:ReferenceMessageID>db0486d0-3c08-11e5-95e2-d4c9eff07b77</t:ReferenceMessageID>",
        "<t:TransactionCode>t</t:TransactionCode>",
        "<t:NodeID>n</t:NodeID>",
        "<t:EOL>2030-01-01T00:00:00+03:00</t:EOL>",
        PAYLOAD,
        SIGNATURE,
        HEADERS,
        FILES,
        METADATA,
        TEST,
    ]
    .map(str::to_owned)
    .to_vec()
}

#[test]
fn every_element_of_a_request_has_its_place_in_every_version() {
    for version in Version::ALL {
        let whole = whole_request();
        assert_eq!(request(&whole.concat(), version), Ok(()));
        for moved in 0..whole.len() - 1 {
            let mut swapped = whole.clone();
            swapped.swap(moved, moved + 1);
            let text = request(&swapped.concat(), version).unwrap_err();
            assert!(text.contains("не на своём месте"), "{version} {moved}: {text}");
        }
        for doubled in 0..whole.len() {
            let mut twice = whole.clone();
            twice.insert(doubled, whole[doubled].clone());
            let text = request(&twice.concat(), version).unwrap_err();
            assert!(text.contains("более одного раза"), "{version} {doubled}: {text}");
        }
        for left_out in 0..whole.len() {
            let mut without = whole.clone();
            let absent = without.remove(left_out);
            let required = absent == ID || absent == PAYLOAD;
            assert_eq!(
                request(&without.concat(), version).is_err(),
                required,
                "{version} {absent}"
            );
        }
    }
}

#[test]
fn what_real_clients_send_is_taken_in_every_version() {
    let spaced = ID
        .replace("<t:MessageID>", "<t:MessageID>\n  <!-- id -->")
        .replace("</", "\n</");
    for version in Version::ALL {
        for inside in [
            format!("{ID}{PAYLOAD}"),
            format!("\n {spaced}<!-- c -->\n{PAYLOAD} "),
            format!("{ID}<t:NodeID/>{PAYLOAD}<t:BusinessProcessMetadata/>"),
            format!("{ID}<t:TransactionCode/>{PAYLOAD}<t:TestMessage> </t:TestMessage>"),
            format!("{ID}<t:ReferenceMessageID/><t:TransactionCode/>{PAYLOAD}"),
            format!("{ID}{PAYLOAD}{}", HEADERS.replace("1.zip", "1d0a954e.zip")),
            format!("{ID}{PAYLOAD}{}", HEADERS.replace("QQ==", "\n QUFB\n QQ== ")),
            format!("{ID}<t:EOL> 2030-01-01T00:00:00 </t:EOL>{PAYLOAD}"),
        ] {
            assert_eq!(request(&inside, version), Ok(()), "{version} {inside}");
        }
    }
}

#[test]
fn what_a_request_must_not_have_is_named_with_what_was_expected() {
    let with = |extra: &str| format!("{ID}{extra}{PAYLOAD}");
    let after = |extra: &str| format!("{ID}{PAYLOAD}{extra}");
    let cases = [
        (String::new(), "Блок MessageID отсутствует либо пуст"),
        (PAYLOAD.to_owned(), "Блок MessageID отсутствует либо пуст"),
        (ID.to_owned(), "Блок MessagePrimaryContent отсутствует либо пуст"),
        (
            with("text"),
            "В элементе SenderProvidedRequestData не может быть текста",
        ),
        (
            with("<t:Unknown/>"),
            "Элемент Unknown в SenderProvidedRequestData не предусмотрен",
        ),
        (
            with("<t:Unknown/>"),
            "ожидается ReferenceMessageID, TransactionCode, NodeID, EOL или MessagePrimaryContent.",
        ),
        (
            after("<t:To>x</t:To>"),
            "Элемент To в SenderProvidedRequestData не предусмотрен",
        ),
        (
            after(&format!("{TEST}<t:Later/>")),
            "элемент SenderProvidedRequestData на этом заканчивается",
        ),
        (
            with("<NodeID>n</NodeID>"),
            "Элемент NodeID в SenderProvidedRequestData относится к другому пространству",
        ),
        (with("<t:EOL/>"), "Элемент EOL пуст: ожидается значение типа dateTime."),
        (with("<t:EOL>завтра</t:EOL>"), "Недопустимое значение EOL: ожидается"),
        (
            after("").replace("<MessagePrimaryContent>", "<MessagePrimaryContent>text"),
            "В MessagePrimaryContent не может быть текста рядом с элементом.",
        ),
        (
            with("<t:ReferenceMessageID>DB0486D0-3C08-11E5-95E2-D4C9EFF07B77</t:ReferenceMessageID>"),
            "Недопустимое значение ReferenceMessageID: ожидается UUID в нижнем регистре.",
        ),
        (
            with("<t:NodeID><t:x/></t:NodeID>"),
            "В элементе NodeID не может быть вложенных элементов",
        ),
        (
            after("<t:PersonalSignature/>"),
            "В PersonalSignature должна быть ровно одна ds:Signature.",
        ),
        (
            after("<AttachmentHeaderList/>"),
            "Блок AttachmentHeader отсутствует либо пуст",
        ),
        (
            after("<RefAttachmentHeaderList><!-- --></RefAttachmentHeaderList>"),
            "Блок RefAttachmentHeader отсутствует",
        ),
        (
            after(&HEADERS.replace("application/zip", "zip")),
            "Недопустимое значение MimeType: ожидается тип вида",
        ),
        (
            after(&HEADERS.replace("QQ==", "-")),
            "Недопустимое значение SignaturePKCS7: ожидается base64.",
        ),
        (
            after(&HEADERS.replace("<contentId>1.zip</contentId>", "")),
            "Блок contentId отсутствует либо пуст",
        ),
        (
            after(&HEADERS.replace("<AttachmentHeader>", "<AttachmentHeader><Name/>")),
            "Элемент Name в AttachmentHeader не предусмотрен",
        ),
        (
            after(&FILES.replace("<Hash>h</Hash>", "")),
            "Блок Hash отсутствует либо пуст",
        ),
        (
            after("<t:BusinessProcessMetadata><t:x/></t:BusinessProcessMetadata>"),
            "В BusinessProcessMetadata могут быть только элементы других пространств имён.",
        ),
        (
            after("<t:TestMessage>true</t:TestMessage>"),
            "Элемент TestMessage должен быть пустым.",
        ),
    ];
    for version in Version::ALL {
        for (inside, expected) in &cases {
            let text = request(inside, version).expect_err(inside);
            assert!(text.contains(expected), "{version} {inside}\n{text}");
        }
    }
}

#[test]
fn what_1_3_added_to_headers_is_unknown_before_it() {
    let archive = "<Archive><File><Name>a</Name><NamespaceUri>urn:a</NamespaceUri></File></Archive>";
    let header = HEADERS
        .replace("<MimeType>", "<NamespaceUri>urn:a</NamespaceUri><MimeType>")
        .replace("</AttachmentHeader>", &format!("{archive}</AttachmentHeader>"));
    let file = FILES.replace(
        "<Hash>",
        "<FileName>f</FileName><NamespaceUri>urn:a</NamespaceUri><Hash>",
    );
    for version in Version::ALL {
        for (list, added) in [(&header, "NamespaceUri"), (&file, "FileName")] {
            let read = request(&format!("{ID}{PAYLOAD}{list}"), version);
            match version {
                Version::V1_3 => assert_eq!(read, Ok(())),
                _ => assert!(read.unwrap_err().contains(&format!("Элемент {added} в")), "{version}"),
            }
        }
    }
    let archived = |count: usize| {
        let (before, after) = archive.split_at("<Archive>".len());
        let (one, after) = after.split_at(after.len() - "</Archive>".len());
        let many = header.replace(archive, &format!("{before}{}{after}", one.repeat(count)));
        request(&format!("{ID}{PAYLOAD}{many}"), Version::V1_3)
    };
    assert_eq!(archived(1000), Ok(()));
    assert!(
        archived(1001)
            .unwrap_err()
            .contains("Элементов File в Archive больше 1000.")
    );
    let misplaced = header.replace(
        "application/zip</MimeType>",
        "application/zip</MimeType><NamespaceUri/>",
    );
    assert!(request(&format!("{ID}{PAYLOAD}{misplaced}"), Version::V1_3).is_err());
}

#[test]
fn every_form_of_an_answer_has_its_order_in_every_version() {
    let status = "<t:AsyncProcessingStatus><t:anything/></t:AsyncProcessingStatus>";
    for version in Version::ALL {
        for form in [
            PAYLOAD.to_owned(),
            format!("{PAYLOAD}{SIGNATURE}{HEADERS}{FILES}"),
            REJECTION.to_owned(),
            REJECTION.repeat(2),
            PROGRESS.to_owned(),
            status.to_owned(),
        ] {
            assert_eq!(
                response(&format!("{ID}{TO}{form}"), version),
                Ok(()),
                "{version} {form}"
            );
            for misplaced in [format!("{TO}{ID}{form}"), format!("{ID}{form}{TO}")] {
                let text = response(&misplaced, version).unwrap_err();
                assert!(text.contains("не на своём месте"), "{version} {misplaced}: {text}");
            }
        }
        for (inside, expected) in [
            (format!("{ID}{TO}"), "Блок MessagePrimaryContent отсутствует либо пуст"),
            (format!("{ID}{PAYLOAD}"), "Блок To отсутствует либо пуст"),
            (
                format!("{ID}{TO}{TO}{PAYLOAD}"),
                "Элемент To встречается более одного раза",
            ),
            (format!("{ID}{TO}{PAYLOAD}{REJECTION}"), "исключают друг друга"),
            (
                format!("{ID}{TO}{PROGRESS}{PROGRESS}"),
                "Элемент RequestStatus встречается более одного раза",
            ),
            (
                format!("{ID}{TO}{REJECTION}{HEADERS}"),
                "Элемент AttachmentHeaderList в",
            ),
            (
                format!("{ID}{TO}{PAYLOAD}{TEST}"),
                "Элемент TestMessage в SenderProvidedResponseData не предусмотрен",
            ),
            (
                format!("{ID}{TO}{}", PROGRESS.replace("<t:Value/>", "")),
                "Блок Value отсутствует либо пуст",
            ),
            (
                format!(
                    "{ID}{TO}{}",
                    REJECTION.replace("</t:RequestRejected>", "<t:x/></t:RequestRejected>")
                ),
                "Элемент x в RequestRejected не предусмотрен",
            ),
        ] {
            let text = response(&inside, version).expect_err(&inside);
            assert!(text.contains(expected), "{version} {inside}\n{text}");
        }
    }
}

#[test]
fn a_name_from_outside_is_not_repeated_at_any_length() {
    let name = "x".repeat(5000);
    let text = request(&format!("{ID}<t:{name}/>{PAYLOAD}"), Version::V1_2).unwrap_err();
    assert!(text.chars().count() < 400, "{}", text.len());
}
