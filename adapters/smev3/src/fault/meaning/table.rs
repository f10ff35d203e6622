//! The table itself, in the order in which the door checks.

use xmldsig::Cause;

use super::{Again, Meaning, Who, Words};
use crate::fault::{FaultName, SignatureCause};

/// Every fault.
pub(super) const TABLE: &[Meaning] = &[
    Meaning {
        fault: FaultName::SignatureVerificationFault,
        cause: Some(SignatureCause::Signature(Cause::NoSignatureFound)),
        means: Words {
            en: "The call has no signature of the system (ЭП-ОВ) where the operation needs one.",
            ru: "В вызове нет подписи информационной системы (ЭП-ОВ) там, где операция её требует.",
        },
        who: &[Who::Participant],
        remedy: Words {
            en: "Put ds:Signature alone into CallerInformationSystemSignature, beside the element that the operation signs. In 1.3 a request with Routing needs a RoutingSignature too.",
            ru: "Поместить ds:Signature в CallerInformationSystemSignature рядом с подписываемым элементом операции. В 1.3 запрос с Routing требует ещё RoutingSignature.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::SignatureVerificationFault,
        cause: Some(SignatureCause::Signature(Cause::PoorSOAPEnvelopeFormat)),
        means: Words {
            en: "The signature has another structure than the protocol's, or names algorithms that it does not have.",
            ru: "Структура подписи не та, что в протоколе, или в ней названы неизвестные алгоритмы.",
        },
        who: &[Who::Participant],
        remedy: Words {
            en: "Use exclusive canonicalization, the transform urn://smev-gov-ru/xmldsig/transform, one Reference by Id, and the algorithms of GOST R 34.10-2012.",
            ru: "Использовать exclusive canonicalization, преобразование urn://smev-gov-ru/xmldsig/transform, один Reference по Id и алгоритмы ГОСТ Р 34.10-2012.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::SignatureVerificationFault,
        cause: Some(SignatureCause::Signature(Cause::CertificateIsNotFound)),
        means: Words {
            en: "There is no certificate in the signature, or one that cannot be read.",
            ru: "В подписи нет сертификата или он не читается.",
        },
        who: &[Who::Participant],
        remedy: Words {
            en: "Put the system's certificate (base64 of DER) into KeyInfo/X509Data/X509Certificate.",
            ru: "Поместить сертификат системы (base64 от DER) в KeyInfo/X509Data/X509Certificate.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::SenderIsNotRegistered,
        cause: None,
        means: Words {
            en: "The certificate of the signature is registered for nobody, the participant may not call from this address, or the operator has suspended it.",
            ru: "Сертификат подписи ни за кем не зарегистрирован, участнику нельзя обращаться с этого адреса, или оператор приостановил его.",
        },
        who: &[Who::Registrar, Who::Participant],
        remedy: Words {
            en: "Registrar: pin the certificate that `--certificate` names to the participant, check its addresses, and `rsmev participant list`. Participant: sign with the certificate that was handed in.",
            ru: "Регистратору: закрепить сертификат за участником, проверить его адреса и `rsmev participant list`. Участнику: подписывать тем сертификатом, который был передан.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::SignatureVerificationFault,
        cause: Some(SignatureCause::CertificateIsExpired),
        means: Words {
            en: "The time of the certificate has not begun or is over.",
            ru: "Срок действия сертификата не начался или истёк.",
        },
        who: &[Who::Participant, Who::Registrar],
        remedy: Words {
            en: "Participant: sign with a valid certificate. Registrar: pin the new one beside the old one beforehand.",
            ru: "Участнику: подписывать действующим сертификатом. Регистратору: заранее закрепить новый рядом со старым.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::SignatureVerificationFault,
        cause: Some(SignatureCause::Signature(Cause::IncorrectSignatureTarget)),
        means: Words {
            en: "The signature is about another element than the operation demands.",
            ru: "Подписан не тот элемент, который требует операция.",
        },
        who: &[Who::Participant],
        remedy: Words {
            en: "Let the Reference name the Id of SenderProvidedRequestData, SenderProvidedResponseData, MessageTypeSelector, AckTargetMessage or Timestamp, as the operation has it.",
            ru: "Указать в Reference Id элемента SenderProvidedRequestData, SenderProvidedResponseData, MessageTypeSelector, AckTargetMessage или Timestamp, смотря по операции.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::SignatureVerificationFault,
        cause: Some(SignatureCause::Signature(Cause::SignatureIsInvalid)),
        means: Words {
            en: "What was signed was changed afterwards, or another key signed it than the certificate's; of a poll also: its Timestamp is outside the allowed window.",
            ru: "Подписанное изменено после подписания или подписано не ключом этого сертификата; при опросе также: Timestamp вне допустимого окна.",
        },
        who: &[Who::Participant],
        remedy: Words {
            en: "Let key and certificate belong together, change nothing after signing, and set the clock right.",
            ru: "Проверить, что ключ и сертификат составляют пару, ничего не менять после подписания, выставить часы.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::InvalidContent,
        cause: None,
        means: Words {
            en: "The envelope is malformed, incomplete, too large or without its signature block, or the payload does not fit the kind's schema.",
            ru: "Конверт неверен, неполон, слишком велик или без блока подписи, либо содержание не соответствует схеме вида сведений.",
        },
        who: &[Who::Participant],
        remedy: Words {
            en: "Correct what the fault's text and its ValidationError name.",
            ru: "Исправить то, что названо в тексте ошибки и в ValidationError.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::InvalidMessageIdFormat,
        cause: None,
        means: Words {
            en: "The MessageID is no UUID of version 1 in lower case, or it is that of somebody else's message.",
            ru: "MessageID не является UUID версии 1 в нижнем регистре или принадлежит чужому сообщению.",
        },
        who: &[Who::Participant],
        remedy: Words {
            en: "Make a new UUID of version 1 (RFC 4122).",
            ru: "Создать новый UUID версии 1 (RFC 4122).",
        },
        again: Again::UnderANewId,
    },
    Meaning {
        fault: FaultName::StaleMessageId,
        cause: None,
        means: Words {
            en: "The time inside the MessageID is too old, or lies in the future.",
            ru: "Время внутри MessageID слишком давнее или ещё не наступило.",
        },
        who: &[Who::Participant],
        remedy: Words {
            en: "Make the identifier when the message is sent, and set the clock right.",
            ru: "Создавать идентификатор при отправке и выставить часы.",
        },
        again: Again::UnderANewId,
    },
    Meaning {
        fault: FaultName::MessageIsAlreadySent,
        cause: None,
        means: Words {
            en: "A message under this MessageID was accepted before: after a lost answer this is good news.",
            ru: "Сообщение с этим MessageID уже принято: если потерялся ответ на отправку, это хорошая новость.",
        },
        who: &[Who::Participant],
        remedy: Words {
            en: "Take the message as sent. For another message make another MessageID.",
            ru: "Считать сообщение отправленным. Для другого сообщения создать другой MessageID.",
        },
        again: Again::No,
    },
    Meaning {
        fault: FaultName::BusinessDataTypeIsNotSupported,
        cause: None,
        means: Words {
            en: "No registered kind has this root element.",
            ru: "Ни у одного зарегистрированного вида сведений нет такого корневого элемента.",
        },
        who: &[Who::Participant, Who::Registrar],
        remedy: Words {
            en: "Participant: check namespace and root element of the payload. Registrar: register the kind.",
            ru: "Участнику: проверить пространство имён и корневой элемент содержания. Регистратору: зарегистрировать вид сведений.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::IncorrectResponseContentType,
        cause: None,
        means: Words {
            en: "The payload is no answer to this request.",
            ru: "Содержание не является ответом на этот запрос.",
        },
        who: &[Who::Participant],
        remedy: Words {
            en: "Answer with the kind's root element for answers, under the ReplyTo of a request of this kind.",
            ru: "Отвечать корневым элементом ответа этого вида сведений, с ReplyTo запроса того же вида.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::AccessDenied,
        cause: None,
        means: Words {
            en: "The sender has no grant to ask for this kind, or the recipient none to provide it.",
            ru: "У отправителя нет права запрашивать этот вид сведений или у получателя — предоставлять его.",
        },
        who: &[Who::Registrar],
        remedy: Words {
            en: "Add the grant to the registry; `rsmev route explain` tells which is missing.",
            ru: "Добавить право в реестр; `rsmev route explain` скажет, какого не хватает.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::PersonalAccessDenied,
        cause: None,
        means: Words {
            en: "The bus does not let the person whose signature the request has ask for this kind.",
            ru: "СМЭВ не разрешает должностному лицу, подписавшему запрос, запрашивать этот вид сведений.",
        },
        who: &[Who::Bus, Who::Participant],
        remedy: Words {
            en: "Have the person's access registered with the bus.",
            ru: "Зарегистрировать доступ должностного лица в СМЭВ.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::RecipientIsNotFound,
        cause: None,
        means: Words {
            en: "There is nobody to give it to: no route fits the request; or the answer's To is not the ReplyTo of a request that was handed to this system and still waits for its answer.",
            ru: "Передать некому: ни один маршрут не подходит запросу; или To ответа не равен ReplyTo запроса, выданного этой системе и ещё не отвеченного.",
        },
        who: &[Who::Registrar, Who::Participant],
        remedy: Words {
            en: "Request: the registrar adds a route (`rsmev route explain` tells why none fits). Answer: the participant copies ReplyTo unchanged and answers once.",
            ru: "Запрос: регистратор добавляет маршрут (`rsmev route explain` скажет, почему нет подходящего). Ответ: участник копирует ReplyTo без изменений и отвечает один раз.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::TransactionCodeInvalid,
        cause: None,
        means: Words {
            en: "The bus does not accept the TransactionCode.",
            ru: "СМЭВ не принимает TransactionCode.",
        },
        who: &[Who::Participant],
        remedy: Words {
            en: "Use the code that the service was given, or none.",
            ru: "Указать код, выданный для услуги, или не указывать.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::AttachmentContentMiscoordination,
        cause: None,
        means: Words {
            en: "Headers and contents of the attachments do not fit together, or files lie in a file storage on a route within the region.",
            ru: "Заголовки и содержимое вложений не соответствуют друг другу, или файлы лежат в файловом хранилище на маршруте внутри региона.",
        },
        who: &[Who::Participant],
        remedy: Words {
            en: "Give every AttachmentHeader one AttachmentContent with the same identifier, inside the message.",
            ru: "Каждому AttachmentHeader — один AttachmentContent с тем же идентификатором, внутри сообщения.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::AttachmentSizeLimitExceeded,
        cause: None,
        means: Words {
            en: "The attachments together are larger than is allowed; the fault tells both sizes.",
            ru: "Вложения вместе больше допустимого; в ошибке названы оба размера.",
        },
        who: &[Who::Participant, Who::Operator],
        remedy: Words {
            en: "Participant: send less at once. Operator: `limits.attachments_bytes`.",
            ru: "Участнику: отправлять меньше за раз. Оператору: `limits.attachments_bytes`.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::QuoteLimitExceeded,
        cause: None,
        means: Words {
            en: "The quota in the file storage is used up.",
            ru: "Квота файлового хранилища исчерпана.",
        },
        who: &[Who::Participant, Who::Bus],
        remedy: Words {
            en: "Wait until files have left the storage, or ask the bus for a larger quota.",
            ru: "Дождаться освобождения хранилища или запросить у СМЭВ большую квоту.",
        },
        again: Again::AsItIs,
    },
    Meaning {
        fault: FaultName::EndOfLifeReached,
        cause: None,
        means: Words {
            en: "The EOL that the request itself names has passed.",
            ru: "Срок EOL, названный в самом запросе, истёк.",
        },
        who: &[Who::Participant],
        remedy: Words {
            en: "Name a later EOL, or none, and set the clock right.",
            ru: "Назвать более поздний EOL или не называть, выставить часы.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::DestinationOverflow,
        cause: None,
        means: Words {
            en: "The recipient's queue is full: it does not collect its messages, or the link to the bus is down for long.",
            ru: "Очередь получателя заполнена: он не забирает сообщения или связи со СМЭВ давно нет.",
        },
        who: &[Who::Recipient, Who::Operator],
        remedy: Words {
            en: "Recipient: collect and acknowledge. Operator: see `rsmev queue list`. Sender: try again with growing pauses.",
            ru: "Получателю: забирать и подтверждать. Оператору: см. `rsmev queue list`. Отправителю: повторять с растущими паузами.",
        },
        again: Again::AsItIs,
    },
    Meaning {
        fault: FaultName::UnknownMessageType,
        cause: None,
        means: Words {
            en: "The poll's filter names a type that is not registered, or whose queue is not this system's.",
            ru: "В фильтре опроса назван незарегистрированный тип или тип, очередь которого принадлежит не этой системе.",
        },
        who: &[Who::Participant, Who::Registrar],
        remedy: Words {
            en: "Participant: correct the filter, or poll without one. Registrar: grant `provide` for the kind.",
            ru: "Участнику: исправить фильтр или опрашивать без него. Регистратору: дать право `provide` на вид сведений.",
        },
        again: Again::Mended,
    },
    Meaning {
        fault: FaultName::TargetMessageIsNotFound,
        cause: None,
        means: Words {
            en: "The Ack names no message that was handed to this system and waits for its Ack: it was acknowledged before, or the identifier is not that of the delivered message.",
            ru: "Ack не называет сообщения, выданного этой системе и ждущего подтверждения: оно уже подтверждено или идентификатор не тот.",
        },
        who: &[Who::Participant],
        remedy: Words {
            en: "If the message was processed, nothing. Otherwise acknowledge under MessageMetadata/MessageId.",
            ru: "Если сообщение обработано, ничего. Иначе подтверждать с MessageMetadata/MessageId.",
        },
        again: Again::No,
    },
    Meaning {
        fault: FaultName::RequestIsNotFound,
        cause: None,
        means: Words {
            en: "The bus does not know the request (a fault of earlier versions of the protocol).",
            ru: "СМЭВ не знает запроса (ошибка прежних версий протокола).",
        },
        who: &[Who::Participant, Who::Bus],
        remedy: Words {
            en: "Check the identifier of the request.",
            ru: "Проверить идентификатор запроса.",
        },
        again: Again::No,
    },
    Meaning {
        fault: FaultName::SMEVFailure,
        cause: None,
        means: Words {
            en: "The gateway or the bus cannot work now, or the system calls more often than it may; the fault's text tells which.",
            ru: "Шлюз или СМЭВ сейчас не может работать, либо система обращается чаще дозволенного; причина в тексте ошибки.",
        },
        who: &[Who::Operator, Who::Participant],
        remedy: Words {
            en: "Sender: try again with growing pauses; it may have been accepted, which MessageIsAlreadySent then says. Operator: `/ready` and the log tell what is wrong.",
            ru: "Отправителю: повторять с растущими паузами; сообщение могло быть принято, тогда ответом будет MessageIsAlreadySent. Оператору: причину называют `/ready` и журнал.",
        },
        again: Again::AsItIs,
    },
];
