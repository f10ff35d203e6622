//! From the reasons of signature check and engine to faults, in the callers' language.

use engine::command::{AttachmentFault, NoRecipient, Refusal};
use xmldsig::{Cause, SignatureRefusal};

use super::{Detail, Fault, FaultName, SignatureCause};
use crate::wording;

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        use FaultName as N;
        let reason = refusal.reason();
        let plain = |name, text: String| Self::new(name, reason, text);
        match refusal {
            Refusal::AlreadySent(id) => plain(
                N::MessageIsAlreadySent,
                format!("Сообщение с идентификатором {id} уже было отправлено."),
            ),
            Refusal::ForeignId(id) => plain(
                N::InvalidMessageIdFormat,
                format!("Идентификатор {id} не принадлежит отправителю. Создайте новый по варианту 1 RFC-4122."),
            ),
            Refusal::StaleMessageId { id, time } => plain(
                N::StaleMessageId,
                format!(
                    "Идентификатор {id} создан {time}, это вне допустимого срока. Создайте новый и проверьте часы."
                ),
            ),
            Refusal::UnknownKind { namespace, local } => Self {
                text: format!("Вид сведений {{{namespace}}}{local} не зарегистрирован."),
                detail: Detail::Root { namespace, local },
                ..plain(N::BusinessDataTypeIsNotSupported, String::new())
            },
            Refusal::IncorrectResponse { namespace, local } => plain(
                N::IncorrectResponseContentType,
                format!("{{{namespace}}}{local} не является ответом на этот запрос."),
            ),
            Refusal::AccessDenied { party, kind, .. } => plain(
                N::AccessDenied,
                format!("У {party} нет доступа к виду сведений {kind}."),
            ),
            Refusal::RecipientNotFound(why) => plain(
                N::RecipientIsNotFound,
                format!("Получатель не найден: {}.", nobody(&why)),
            ),
            Refusal::Attachments(fault) => fault.into(),
            Refusal::FileReferences => plain(
                N::AttachmentContentMiscoordination,
                "Файлы из файлового хранилища внутри региона пока не передаются: вложите файлы в сообщение.".to_owned(),
            ),
            Refusal::EndOfLife(at) => plain(N::EndOfLifeReached, format!("Срок жизни сообщения истёк: {at}.")),
            Refusal::Overflow { queue, .. } => Self {
                detail: Detail::Destination(queue.to_string()),
                ..plain(
                    N::DestinationOverflow,
                    "Очередь, в которую должно быть отправлено сообщение, переполнена.".to_owned(),
                )
            },
            Refusal::UnknownMessageType {
                namespace,
                local,
                participant,
            } => plain(
                N::UnknownMessageType,
                format!(
                    "Входящая очередь запрошенного типа сообщений {{{namespace}}}{local}, принадлежащая {participant}, \
                     не зарегистрирована."
                ),
            ),
            Refusal::TargetNotFound(id) => plain(
                N::TargetMessageIsNotFound,
                format!("Сообщение {id} не найдено среди неподтверждённых."),
            ),
            Refusal::Suspended(participant) => plain(
                N::SenderIsNotRegistered,
                format!("Обмен участника {participant} приостановлен оператором шлюза: обратитесь к нему."),
            ),
            // The last four are for operators and `forward`: no call leads there.
            Refusal::Unavailable(_)
            | Refusal::Standing { .. }
            | Refusal::NoCut
            | Refusal::NotDone(_)
            | Refusal::Unplaced(_) => Self::failure(),
        }
    }
}

fn nobody(why: &NoRecipient) -> String {
    match why {
        NoRecipient::NoRoute(kind) => format!("для вида сведений {kind} нет подходящего маршрута"),
        NoRecipient::NotRegistered(participant) => format!("участник {participant} не зарегистрирован"),
        NoRecipient::LocalKind(kind) => format!("вид сведений {kind} не передаётся за пределы региона"),
        NoRecipient::Gateway(kind) => format!("шлюз не принимает запросы вида сведений {kind}"),
        NoRecipient::UnknownToken => "значение To не указывает на запрос, выданный отправителю".to_owned(),
        NoRecipient::Answered => "на запрос уже отправлен ответ".to_owned(),
        NoRecipient::Notice => "AsyncProcessingStatus отправляет только СМЭВ".to_owned(),
    }
}

impl From<AttachmentFault> for Fault {
    fn from(fault: AttachmentFault) -> Self {
        let unpaired = |text: String| Self::new(FaultName::AttachmentContentMiscoordination, fault.reason(), text);
        let unreadable = |text: String| Self::invalid(text).because(fault.reason());
        match fault {
            AttachmentFault::TooMany { permitted } => unreadable(format!("Вложений больше допустимых {permitted}.")),
            AttachmentFault::ManyLists => unpaired("AttachmentContentList встречается более одного раза.".to_owned()),
            AttachmentFault::Count { announced, present } => {
                unpaired(format!("Заголовков вложений {announced}, содержимых {present}."))
            }
            AttachmentFault::Unnamed => unpaired("У AttachmentContent нет Id.".to_owned()),
            AttachmentFault::Mismatch => unpaired("Идентификаторы заголовков и содержимых не совпадают.".to_owned()),
            AttachmentFault::Empty => unpaired("У AttachmentContent нет Content.".to_owned()),
            AttachmentFault::PartMissing => {
                unreadable("xop:Include ссылается на отсутствующую часть сообщения.".to_owned())
            }
            AttachmentFault::PartRepeated => {
                unreadable("На одну часть сообщения ссылаются два xop:Include.".to_owned())
            }
            AttachmentFault::Encoding => {
                unreadable("Содержимое вложения должно быть в base64 или одним xop:Include.".to_owned())
            }
            AttachmentFault::TooLarge { permitted, real } => Self {
                name: FaultName::AttachmentSizeLimitExceeded,
                reason: fault.reason(),
                text: format!("Общий размер вложений {real} байт больше допустимых {permitted} байт."),
                detail: Detail::Sizes { permitted, real },
            },
        }
    }
}

impl From<SignatureRefusal> for Fault {
    fn from(refusal: SignatureRefusal) -> Self {
        let (cause, why) = (refusal.cause(), wording::signature(&refusal));
        let text = match cause {
            Cause::NoSignatureFound => "Отсутствует ЭП-ОВ".to_owned(),
            Cause::CertificateIsNotFound => format!("Не найден сертификат ЭП-ОВ: {why}"),
            Cause::IncorrectSignatureTarget => format!("ЭП-ОВ относится не к тому элементу: {why}"),
            Cause::SignatureIsInvalid => format!("ЭП-ОВ недействительна: {why}"),
            Cause::PoorSOAPEnvelopeFormat => format!("Неверная структура ЭП-ОВ: {why}"),
        };
        Self::signature(SignatureCause::Signature(cause), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_told_in_their_language_why_there_is_no_recipient() {
        let plan = || "plan".parse().unwrap();
        for (why, told) in [
            (NoRecipient::UnknownToken, "значение To не указывает"),
            (NoRecipient::Answered, "уже отправлен ответ"),
            (NoRecipient::NoRoute(plan()), "для вида сведений plan нет"),
            (
                NoRecipient::NotRegistered("LAND".parse().unwrap()),
                "участник LAND не зарегистрирован",
            ),
            (NoRecipient::LocalKind(plan()), "вид сведений plan не передаётся"),
        ] {
            let words = why.to_string();
            let fault = Fault::from(Refusal::from(why));
            assert_eq!(fault.name, FaultName::RecipientIsNotFound);
            assert!(fault.text.contains(told) && !fault.text.contains(&words), "{fault}");
        }
    }

    #[test]
    fn every_reason_is_in_the_table_for_operators() {
        let table = include_str!("../../../../docs/refusals.md");
        let plan = || "plan".parse().unwrap();
        let size = AttachmentFault::TooLarge { permitted: 1, real: 2 };
        let count = AttachmentFault::Count {
            announced: 1,
            present: 2,
        };
        let engine = [
            NoRecipient::NoRoute(plan()),
            NoRecipient::NotRegistered("LAND".parse().unwrap()),
            NoRecipient::LocalKind(plan()),
            NoRecipient::Gateway(plan()),
            NoRecipient::UnknownToken,
            NoRecipient::Answered,
            NoRecipient::Notice,
        ];
        let engine = engine.map(|why| Fault::from(Refusal::from(why)));
        let attachments = [
            AttachmentFault::TooMany { permitted: 1 },
            AttachmentFault::ManyLists,
            count,
            AttachmentFault::Unnamed,
            AttachmentFault::Mismatch,
            AttachmentFault::Empty,
            AttachmentFault::PartMissing,
            AttachmentFault::PartRepeated,
            AttachmentFault::Encoding,
            size,
        ]
        .map(|attachment| {
            let fault = Fault::from(attachment);
            assert_eq!(fault.reason, attachment.reason());
            fault
        });
        let signatures = [
            Cause::NoSignatureFound,
            Cause::IncorrectSignatureTarget,
            Cause::SignatureIsInvalid,
            Cause::CertificateIsNotFound,
            Cause::PoorSOAPEnvelopeFormat,
        ]
        .map(|cause| Fault::signature(SignatureCause::Signature(cause), ""));
        let all = engine.into_iter().chain(attachments).chain(signatures);
        let suspended = Fault::from(Refusal::Suspended("LAND".parse().unwrap()));
        for Fault { name, reason, .. } in all.chain([Fault::invalid(""), suspended]) {
            assert!(table.contains(&format!("| `{reason}` | {name} |")), "{reason} {name}");
        }
    }

    #[test]
    fn a_refusal_keeps_its_reason() {
        for refusal in [
            Refusal::Attachments(AttachmentFault::Encoding),
            Refusal::from(NoRecipient::Answered),
            Refusal::FileReferences,
        ] {
            let reason = refusal.reason();
            assert_eq!(Fault::from(refusal).reason, reason);
        }
    }
}
