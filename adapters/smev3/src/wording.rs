//! What participants are told where a reader of octets refuses: people at the other end read Russian.
//!
//! A sentence says what is wrong. What the parser or the schema validator says itself follows in parentheses where it
//! names a place (a line, an element). Content of a message never stands in a text: texts go through logs and mail.

use std::borrow::Cow;

use uppsala::error::ValidationError;
use xmldsig::{ParseError, SignatureRefusal, TransformError};

use crate::answer::HandoverError;
use crate::attachments::MAX_ATTACHMENTS;
use crate::envelope::EnvelopeError;
use crate::fault::Fault;
use crate::mime::MimeError;

impl From<ParseError> for Fault {
    fn from(error: ParseError) -> Self {
        Self::invalid(format!("Сообщение не читается как XML: {}", document(error)))
    }
}

impl From<MimeError> for Fault {
    fn from(error: MimeError) -> Self {
        let what = match error {
            MimeError::Boundary => "граница частей (boundary) не указана или непригодна".to_owned(),
            MimeError::Framing => "оно обрывается, или указанной границы частей в нём нет".to_owned(),
            MimeError::Limit => {
                format!("в нём слишком длинные заголовки или больше {MAX_ATTACHMENTS} частей с вложениями")
            }
            MimeError::Root => "нельзя однозначно определить часть с конвертом SOAP".to_owned(),
            MimeError::Encoding => {
                "Content-Transfer-Encoding должен быть binary, 8bit, 7bit или base64, и содержимое ему соответствовать"
                    .to_owned()
            }
            MimeError::RootEncoding => {
                "часть с конвертом SOAP должна быть передана как есть (binary, 8bit или 7bit), а не в base64".to_owned()
            }
        };
        Self::invalid(format!("Сообщение не читается как multipart/related: {what}."))
    }
}

impl From<EnvelopeError> for Fault {
    fn from(error: EnvelopeError) -> Self {
        let what = match error {
            EnvelopeError::NotSoap => "документ не является конвертом SOAP 1.1",
            EnvelopeError::Body => "в конверте должен быть один Body, и в нём ровно один элемент",
            EnvelopeError::Unknown(_) => "в Body нет операции версий 1.1, 1.2 или 1.3",
        };
        Self::invalid(format!("Сообщение не является вызовом СМЭВ 3: {what}."))
    }
}

impl From<HandoverError> for Fault {
    fn from(error: HandoverError) -> Self {
        match error {
            HandoverError::OtherVersion(version) => Self {
                text: format!(
                    "Следующее сообщение очереди составлено в версии {version} и не переводится в другую: вызовите \
                     операцию в версии {version}."
                ),
                ..Self::failure()
            },
            _ => Self::failure(),
        }
    }
}

fn document(error: ParseError) -> String {
    match error {
        ParseError::TooLarge { limit } => format!("документ больше {limit} байт."),
        ParseError::Encoding => "кодировка должна быть UTF-8.".to_owned(),
        ParseError::Version => "версия XML должна быть 1.0.".to_owned(),
        ParseError::Dtd => "объявления DTD не допускаются.".to_owned(),
        ParseError::TooDeep { limit } => format!("вложенность элементов больше {limit}."),
        ParseError::TooManyAttributes { limit } => format!("у элемента больше {limit} атрибутов."),
        ParseError::TooManyNamespaces { limit } => {
            format!("одновременно действует больше {limit} объявлений пространств имён.")
        }
        ParseError::TooManyNodes { limit } => {
            format!("элементов, атрибутов и текстов в документе больше {limit}.")
        }
        ParseError::Wasteful => "пространства имён объявляются слишком расточительно.".to_owned(),
        ParseError::NotWellFormed { line, column, what } => {
            format!("нарушены правила XML, строка {line}, столбец {column} ({what}).")
        }
        _ => "документ не принят.".to_owned(),
    }
}

/// Why a signature is not accepted.
pub(crate) fn signature(refusal: &SignatureRefusal) -> String {
    use SignatureRefusal as R;
    match refusal {
        R::NotASignature => "нет элемента ds:Signature".to_owned(),
        R::Missing(what) => format!("отсутствует {what}"),
        R::Unexpected(what) => format!("недопустимое содержимое {what}"),
        R::UnknownAlgorithm(of) => format!("алгоритм {of} не поддерживается"),
        R::AlgorithmsDisagree => "DigestMethod не соответствует SignatureMethod".to_owned(),
        R::NotOneReference(count) => format!("в SignedInfo должна быть одна ссылка Reference, а не {count}"),
        R::ReferenceUri => "Reference должна указывать на элемент этого документа по его Id".to_owned(),
        R::TooManyTransforms => "у Reference больше четырёх преобразований".to_owned(),
        R::TransformOrder(_) => "преобразования указаны в недопустимом порядке".to_owned(),
        R::Base64(what) => format!("{what} не в base64"),
        R::Length(what) => format!("{what} неверной длины"),
        R::NoCertificate => "в KeyInfo нет X509Certificate".to_owned(),
        R::AmbiguousCertificate => "в KeyInfo больше одного X509Certificate".to_owned(),
        R::TargetMissing => "элемента с указанным Id нет".to_owned(),
        R::DuplicateId => "указанный Id встречается в документе не один раз".to_owned(),
        R::WrongTarget => "подписан другой элемент".to_owned(),
        R::Transform(TransformError::NoNamespace { at }) => {
            format!("преобразование невозможно: элемент без пространства имён, байт {at}")
        }
        R::Transform(TransformError::XmlAttribute { at }) => {
            format!("преобразование невозможно: атрибут с префиксом xml, байт {at}")
        }
        R::Transform(TransformError::Parse(error)) => format!("преобразование невозможно: {}", document(*error)),
        R::DigestMismatch { .. } => "подписанный элемент изменён: хэш не совпадает".to_owned(),
        R::KeyAlgorithm => "ключ сертификата не того алгоритма, что указан в SignatureMethod".to_owned(),
        R::SignatureMismatch => "значение подписи не соответствует ключу сертификата".to_owned(),
        _ => "не соответствует профилю".to_owned(),
    }
}

/// What a schema's validator found, without the values it found wrong; the line is that of the payload by itself.
pub(crate) fn schema(error: &ValidationError) -> String {
    let place = error.line.map(|line| format!(", строка {line}")).unwrap_or_default();
    format!(
        "Содержимое не соответствует схеме{place} ({}).",
        without_values(&error.message)
    )
}

/// A payload that the schema's validator does not even read.
pub(crate) fn unreadable_for_schema() -> String {
    "Содержимое не удалось прочитать для проверки по схеме.".to_owned()
}

/// A validator's message in which only names of elements, attributes and constraints are left between quotation marks.
/// Values may hold quotation marks of their own: from the first value on, everything to the last mark goes. Between
/// double marks there are only values, in a list; nothing that follows one is worth the risk.
fn without_values(message: &str) -> Cow<'_, str> {
    if let Some((before, _)) = message.split_once(['"', '[']) {
        return format!("{}…", without_values(before)).into();
    }
    let mut at = 0;
    while let Some(opening) = message[at..].find('\'').map(|found| at + found) {
        let before = message[..opening].trim_end();
        let named = |known: &str| {
            before.len() >= known.len()
                && before.is_char_boundary(before.len() - known.len())
                && before[before.len() - known.len()..].eq_ignore_ascii_case(known)
        };
        let closing = message[opening + 1..].find('\'').map(|found| opening + 1 + found);
        match closing {
            Some(closing)
                if [
                    "element",
                    "attribute",
                    "declaration found for",
                    "unique",
                    "key",
                    "keyref",
                ]
                .iter()
                .any(|known| named(known)) =>
            {
                at = closing + 1;
            }
            _ => {
                // A mark that is alone has no end to go on from.
                let last = message.rfind('\'').filter(|&last| last > opening);
                let rest = last.map_or("", |last| &message[last + 1..]);
                return format!("{}…{rest}", &message[..opening]).into();
            }
        }
    }
    message.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultName;
    use crate::mime::Multipart;
    use crate::version::Version;

    fn is_told_in_russian(text: &str) {
        let begins = text.chars().next().is_some_and(|first| ('А'..='Я').contains(&first));
        assert!(begins && text.ends_with('.'), "{text}");
        let (told, _) = text.split_once('(').unwrap_or((text, ""));
        for english in [" the ", " is ", " has ", " not "] {
            assert!(!told.contains(english), "{text}");
        }
    }

    #[test]
    fn every_error_of_a_reader_is_told_in_russian() {
        let place = ParseError::NotWellFormed {
            line: 7,
            column: 5,
            what: "the syntax is broken",
        };
        for error in [
            ParseError::TooLarge { limit: 5 },
            ParseError::Encoding,
            ParseError::Version,
            ParseError::Dtd,
            ParseError::TooDeep { limit: 5 },
            ParseError::TooManyAttributes { limit: 5 },
            ParseError::TooManyNamespaces { limit: 5 },
            ParseError::TooManyNodes { limit: 5 },
            ParseError::Wasteful,
            place,
        ] {
            let fault = Fault::from(error);
            is_told_in_russian(&fault.text);
            assert_eq!(fault.name, FaultName::InvalidContent);
        }
        assert!(
            Fault::from(place)
                .text
                .contains("строка 7, столбец 5 (the syntax is broken)")
        );
        for error in [
            MimeError::Boundary,
            MimeError::Framing,
            MimeError::Limit,
            MimeError::Root,
            MimeError::Encoding,
            MimeError::RootEncoding,
        ] {
            is_told_in_russian(&Fault::from(error).text);
        }
        for error in [
            EnvelopeError::NotSoap,
            EnvelopeError::Body,
            EnvelopeError::Unknown(None),
        ] {
            is_told_in_russian(&Fault::from(error).text);
        }
    }

    #[test]
    fn every_refusal_of_a_signature_is_told_in_russian() {
        use SignatureRefusal as R;
        for refusal in [
            R::NotASignature,
            R::Missing("KeyInfo"),
            R::Unexpected("Transforms"),
            R::UnknownAlgorithm("DigestMethod"),
            R::AlgorithmsDisagree,
            R::NotOneReference(2),
            R::ReferenceUri,
            R::TooManyTransforms,
            R::TransformOrder("the SMEV transform comes twice"),
            R::Base64("DigestValue"),
            R::Length("DigestValue"),
            R::NoCertificate,
            R::AmbiguousCertificate,
            R::TargetMissing,
            R::DuplicateId,
            R::WrongTarget,
            R::Transform(TransformError::NoNamespace { at: 3 }),
            R::Transform(TransformError::XmlAttribute { at: 3 }),
            R::Transform(TransformError::Parse(ParseError::Encoding)),
            R::KeyAlgorithm,
            R::SignatureMismatch,
        ] {
            let english = refusal.to_string();
            let fault = Fault::from(refusal);
            assert!(fault.text.starts_with(|first| ('А'..='Я').contains(&first)), "{fault}");
            assert!(!fault.text.contains(&english), "{fault}");
            assert!(!fault.text.contains("не соответствует профилю"), "{fault}");
        }
    }

    #[test]
    fn a_schemas_message_keeps_names_and_places_and_loses_values() {
        let error = |message: &str| ValidationError {
            message: message.to_owned(),
            line: Some(3),
            column: Some(9),
        };
        for (message, told) in [
            (
                "Unexpected element '{urn:x}Secret' in sequence",
                "Unexpected element '{urn:x}Secret' in sequence",
            ),
            ("'O'Hara' is not a valid int", "… is not a valid int"),
            (
                "Element 'a' has fixed value 'x' but content is 'Smith'",
                "Element 'a' has fixed value …",
            ),
            (
                "Value length 7 exceeds maxLength 5",
                "Value length 7 exceeds maxLength 5",
            ),
            ("an open 'quotation", "an open …"),
            (
                "Unique 'u': duplicate value [\"O'Hara\", \"1, Main St\"]",
                "Unique 'u': duplicate value …",
            ),
            (
                "KeyRef 'k': no matching key value [\"Smith's\"] in referred constraint 'c'",
                "KeyRef 'k': no matching key value …",
            ),
        ] {
            let text = schema(&error(message));
            is_told_in_russian(&text);
            assert!(text.contains(&format!(", строка 3 ({told}).")), "{text}");
        }
    }

    #[test]
    fn who_may_not_have_a_translation_is_told_the_version_to_call_in() {
        let fault = Fault::from(HandoverError::OtherVersion(Version::V1_3));
        is_told_in_russian(&fault.text);
        assert!(fault.text.contains("в версии 1.3"));
        assert_eq!(Fault::from(HandoverError::Format(String::new())), Fault::failure());
    }

    #[test]
    fn what_cannot_be_read_as_multipart_is_told_by_its_reader() {
        let error = Multipart::parse("multipart/related; boundary=b", b"--b").unwrap_err();
        assert!(
            Fault::from(error)
                .text
                .starts_with("Сообщение не читается как multipart")
        );
    }
}
