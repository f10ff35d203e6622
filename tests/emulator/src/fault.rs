//! SOAP faults of the service (PROTOCOL §5).

/// A fault as it stands in an answer, or in the notice about a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The name of the element in `detail`, such as `MessageIsAlreadySent`; empty if the fault had none.
    pub element: String,
    /// `faultstring`.
    pub text: String,
    /// `Code`.
    pub code: Option<String>,
    /// `Description`, such as `SMEV-301:…`.
    pub description: Option<String>,
    /// The fault's own fields: name and text.
    pub fields: Vec<(String, String)>,
}

impl Fault {
    /// A fault by its element's name, with the SMEV number and the text that the real bus or this emulator gives it.
    pub fn new(element: &str) -> Fault {
        let (number, text) = known(element);
        Fault {
            element: element.to_owned(),
            text: text.to_owned(),
            code: Some(format!("emulator : TR:SYNC:{number}")),
            description: Some(format!("SMEV-{number}:{text}")),
            fields: Vec::new(),
        }
    }

    /// The same fault with another text for people; the number stays.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Fault {
        let text = text.into();
        if let Some((number, _)) = self
            .description
            .as_deref()
            .and_then(|description| description.split_once(':'))
        {
            self.description = Some(format!("{number}:{text}"));
        }
        self.text = text;
        self
    }

    /// The same fault with one more field of its own.
    #[must_use]
    pub fn field(mut self, name: &str, text: impl Into<String>) -> Fault {
        self.fields.push((name.to_owned(), text.into()));
        self
    }

    /// `SignatureVerificationFault` with its cause from the closed list, such as `SignatureIsInvalid`.
    pub fn signature(cause: &str) -> Fault {
        Fault::new("SignatureVerificationFault").field("SignatureVerificationFault", cause)
    }

    /// `InvalidContent` with what is wrong.
    pub fn invalid_content(what: impl Into<String>) -> Fault {
        let what = what.into();
        Fault::new("InvalidContent")
            .text(what.clone())
            .field("ValidationError", what)
    }

    /// `DestinationOverflow`, as the bus says it when a queue is full.
    pub fn overflow(queue: &str) -> Fault {
        Fault::new("DestinationOverflow")
            .field("MessageBrokerAddress", "unknown")
            .field("DestinationName", queue)
    }

    /// The text of one of the fault's own fields.
    pub fn field_text(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, text)| text.as_str())
    }

    /// Whether the fault's type has fields beyond `SmevFault`, so that no `xsi:type` is written.
    pub(crate) fn has_own_type(&self) -> bool {
        matches!(
            self.element.as_str(),
            "SignatureVerificationFault"
                | "InvalidContent"
                | "BusinessDataTypeIsNotSupported"
                | "AttachmentSizeLimitExceeded"
                | "QuoteLimitExceeded"
                | "DestinationOverflow"
        )
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {}",
            if self.element.is_empty() {
                "fault without detail"
            } else {
                &self.element
            },
            self.text
        )
    }
}

/// The SMEV number, where one has been seen (PROTOCOL §5), else one of the emulator's own from 900 on; and the text.
fn known(element: &str) -> (u16, &'static str) {
    match element {
        "SignatureVerificationFault" => (100, "Подпись ЭП-ОВ не прошла проверку."),
        "InvalidContent" => (403, "Содержание сообщения неверно."),
        "SenderIsNotRegistered" => (900, "Отправитель не зарегистрирован в СМЭВ."),
        "SMEVFailure" => (901, "Внутренняя ошибка СМЭВ."),
        "BusinessDataTypeIsNotSupported" => (902, "Вид сведений не зарегистрирован в СМЭВ."),
        "AttachmentContentMiscoordination" => (903, "Заголовки и содержимое вложений не соответствуют друг другу."),
        "AttachmentSizeLimitExceeded" => (904, "Превышен допустимый размер вложений."),
        "QuoteLimitExceeded" => (905, "Превышена квота файлового хранилища."),
        "DestinationOverflow" => (600, "Очередь, в которую должно быть отправлено сообщение, переполнена."),
        "MessageIsAlreadySent" => (301, "Сообщение с таким идентификатором уже отправлено."),
        "InvalidMessageIdFormat" => (300, "Идентификатор сообщения не является UUID варианта 1."),
        "StaleMessageId" => (906, "Идентификатор сообщения устарел."),
        "RecipientIsNotFound" => (907, "Получатель сообщения не найден."),
        "AccessDenied" => (908, "Доступ к виду сведений запрещён."),
        "EndOfLifeReached" => (909, "Срок жизни сообщения истёк."),
        "IncorrectResponseContentType" => (910, "Вид сведений не является ответом на этот запрос."),
        "UnknownMessageType" => (
            911,
            "Входящая очередь запрошенного типа сообщений не зарегистрирована в СМЭВ.",
        ),
        "TargetMessageIsNotFound" => (501, "Сообщение не найдено среди неподтверждённых."),
        "TransactionCodeInvalid" => (912, "Код транзакции неверен."),
        _ => (999, "Сообщение не принято."),
    }
}
