//! When something becomes an incident, and who is told.

use super::entry::{Form, Section, Setting, Words};

const POSITIVE: (&str, &str) = ("more than 0", "больше 0");

pub(super) const INCIDENTS: Section = Section {
    path: "incidents",
    array: false,
    meaning: Words::new(
        "When something becomes an incident (docs/incidents.md).",
        "Когда что-либо становится инцидентом (docs/ru/incidents.md).",
    ),
    settings: &[
        Setting::with_default("look", Form::Duration)
            .limits(POSITIVE.0, POSITIVE.1)
            .means("How often the rules look", "Как часто проверяются правила"),
        Setting::with_default("close_after", Form::Duration)
            .limits(POSITIVE.0, POSITIVE.1)
            .means(
                "An incident is closed when nothing of it has been found for so long",
                "Инцидент закрывается, когда столько времени ничего из него не обнаружено",
            ),
        Setting::with_default("upstream_down", Form::Duration)
            .limits(POSITIVE.0, POSITIVE.1)
            .means(
                "So long a link may be down",
                "Столько может не работать связь с вышестоящей шиной",
            ),
        Setting::with_default("queue_age", Form::Duration)
            .limits(POSITIVE.0, POSITIVE.1)
            .means(
                "So long the oldest message of a queue may wait",
                "Столько может ждать старейшее сообщение очереди",
            ),
        Setting::with_default("disk_near", Form::Integer)
            .limits("100 to 10000", "от 100 до 10000")
            .means(
                "Below so many percent of `limits.disk_reserve` the disk is nearly full",
                "Ниже стольких процентов от `limits.disk_reserve` диск почти заполнен",
            ),
        Setting::with_default("certificate_warning", Form::Duration)
            .limits(POSITIVE.0, POSITIVE.1)
            .means(
                "So long before its end a certificate is a warning",
                "За столько до истечения сертификат — предупреждение",
            ),
        Setting::with_default("certificate_critical", Form::Duration)
            .limits(POSITIVE.0, POSITIVE.1)
            .means(
                "And so long before it is critical",
                "А за столько — критический инцидент",
            ),
        Setting::with_default("verification_age", Form::Duration)
            .limits(POSITIVE.0, POSITIVE.1)
            .means(
                "So long ago the journal may have been verified",
                "Столько времени назад мог быть проверен журнал",
            ),
        Setting::with_default("backup_age", Form::Duration)
            .limits(POSITIVE.0, POSITIVE.1)
            .means(
                "So old the last backup may be, where one was ever made",
                "Таким давним может быть последнее резервное копирование, если оно вообще было",
            ),
        Setting::with_default("signature_failures", Form::Integer).means(
            "So many calls within ten minutes may have a wrong signature; 0: no rule",
            "Столько вызовов за десять минут могут иметь неверную подпись; 0 — правила нет",
        ),
    ],
};

pub(super) const INCIDENTS_QUEUE: Section = Section {
    path: "incidents.queue",
    array: true,
    meaning: Words::new(
        "A queue with a limit of its own in place of `queue_age`.",
        "Очередь с собственным пределом вместо `queue_age`.",
    ),
    settings: &[
        Setting::required("queue", Form::Text, "\"MUN001/requests\"")
            .limits("no sub-queue of a node", "не подочередь узла")
            .means("Its name", "Её имя"),
        Setting::required("age", Form::Duration, "\"8h\"")
            .limits(POSITIVE.0, POSITIVE.1)
            .means(
                "So long its oldest message may wait",
                "Столько может ждать её старейшее сообщение",
            ),
    ],
};

pub(super) const NOTIFY: Section = Section {
    path: "notify",
    array: false,
    meaning: Words::new(
        "How incidents are told, by mail and webhooks, at least once.",
        "Как сообщается об инцидентах: по почте и вебхуками, хотя бы один раз.",
    ),
    settings: &[
        Setting::with_default("term", Form::Duration)
            .limits(POSITIVE.0, POSITIVE.1)
            .means(
                "So long delivering a notice is tried",
                "Столько повторяются попытки доставки",
            ),
        Setting::with_default("collect", Form::Duration)
            .limits(POSITIVE.0, POSITIVE.1)
            .means(
                "What happens within this time after a mail goes into one mail",
                "Случившееся за это время после письма собирается в одно письмо",
            ),
        Setting::with_default("retry", Form::Duration)
            .limits(POSITIVE.0, POSITIVE.1)
            .means(
                "The pause after a failure, doubled after each further one up to a hundred times",
                "Пауза после неудачи; с каждой следующей удваивается, самое большее до стократной",
            ),
    ],
};

pub(super) const NOTIFY_MAIL: Section = Section {
    path: "notify.mail",
    array: false,
    meaning: Words::new(
        "The mail server and who gets mail. Without this section no mail is sent.",
        "Почтовый сервер и получатели. Без этого раздела письма не отправляются.",
    ),
    settings: &[
        Setting::required("server", Form::Text, "\"mail.region.example\"")
            .limits("a name or an address, without the port", "имя или адрес, без порта")
            .means(
                "Its name, which its certificate must have",
                "Имя сервера; оно должно быть в его сертификате",
            ),
        Setting::with_value("tls", Form::OneOf(&["starttls", "tls", "none"]), "\"starttls\"").means(
            "TLS after STARTTLS, from the first octet on, or not at all",
            "TLS после STARTTLS, с первого байта или никакого",
        ),
        Setting::optional(
            "port",
            Form::Integer,
            "2525",
            Words::new(
                "587 with `starttls`, 465 with `tls`, 25 with `none`",
                "587 при `starttls`, 465 при `tls`, 25 при `none`",
            ),
        )
        .limits("1 to 65535", "от 1 до 65535")
        .means("Its port", "Порт сервера"),
        Setting::optional(
            "ca",
            Form::Path,
            "\"/etc/rsmev/mail-ca.pem\"",
            Words::new("the machine's authorities", "удостоверяющие центры машины"),
        )
        .limits("PEM", "PEM")
        .means(
            "Authorities that its TLS certificate must come from",
            "Удостоверяющие центры её сертификата TLS",
        ),
        Setting::optional(
            "user",
            Form::Text,
            "\"gateway\"",
            Words::new("the address of `from`", "адрес из `from`"),
        )
        .means(
            "The account there, with `password_file`",
            "Учётная запись на сервере, вместе с `password_file`",
        ),
        Setting::optional(
            "password_file",
            Form::Path,
            "\"/etc/rsmev/keys/mail.password\"",
            Words::new("nobody logs in", "без входа на сервер"),
        )
        .means(
            "File with its password; read at every attempt",
            "Файл с паролем; читается при каждой попытке",
        ),
        Setting::required("from", Form::Text, "\"gateway@region.example\"")
            .means("The sender's address", "Адрес отправителя"),
        Setting::required("to", Form::Texts, "[\"duty@region.example\"]")
            .limits("at least one", "хотя бы один")
            .means("Who gets mail", "Получатели"),
    ],
};

pub(super) const NOTIFY_WEBHOOK: Section = Section {
    path: "notify.webhook",
    array: true,
    meaning: Words::new(
        "A program that is called with JSON; each has a section of its own; at most 16.",
        "Программа, которая вызывается с JSON; у каждой свой раздел; не больше 16.",
    ),
    settings: &[
        Setting::required("name", Form::Text, "\"duty\"")
            .limits(
                "unique; 1 to 40 Latin letters, digits, `-`, `_`",
                "единственное; от 1 до 40 латинских букв, цифр, знаков `-`, `_`",
            )
            .means(
                "Its name in the journal and in metrics (`webhook/duty`)",
                "Имя в журнале и метриках (`webhook/duty`)",
            ),
        Setting::required("url", Form::Url, "\"https://duty.region.example/hook\"")
            .limits("without user and password", "без имени и пароля")
            .means(
                "Where it is called; redirects are not followed",
                "Куда обращаться; перенаправления не выполняются",
            ),
        Setting::optional(
            "ca",
            Form::Path,
            "\"/etc/rsmev/duty-ca.pem\"",
            Words::new("the machine's authorities", "удостоверяющие центры машины"),
        )
        .limits("PEM; only with `https://`", "PEM; только при `https://`")
        .means(
            "Authorities that its TLS certificate must come from",
            "Удостоверяющие центры её сертификата TLS",
        ),
        Setting::optional(
            "token_file",
            Form::Path,
            "\"/etc/rsmev/keys/duty.token\"",
            Words::new("no token is sent", "без токена"),
        )
        .means(
            "File with a bearer token; read at every attempt",
            "Файл с токеном Bearer; читается при каждой попытке",
        ),
        Setting::with_value("timeout", Form::Duration, "\"20s\"")
            .limits(POSITIVE.0, POSITIVE.1)
            .means("For one call", "На один вызов"),
    ],
};
