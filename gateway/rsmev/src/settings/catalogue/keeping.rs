//! How long things are kept, and where the journal goes.

use super::entry::{Form, Section, Setting, Words};

pub(super) const RETENTION: Section = Section {
    path: "retention",
    array: false,
    meaning: Words::new(
        "How long things are kept (docs/retention.md). Changed terms hold for everything that is still there.",
        "Сроки хранения (docs/ru/retention.md). Изменённый срок действует для всего, что ещё хранится.",
    ),
    settings: &[
        Setting::with_default("bodies", Form::Duration)
            .means("Message bodies after completion", "Тела сообщений после завершения"),
        Setting::with_default("journal", Form::Duration)
            .limits("at least three years (1095d)", "не меньше трёх лет (1095d)")
            .means(
                "Journal records, at least; what is older two people may destroy",
                "Записи журнала, не меньше; более старое могут уничтожить двое уполномоченных",
            ),
    ],
};

pub(super) const RETENTION_RULE: Section = Section {
    path: "retention.rule",
    array: true,
    meaning: Words::new(
        "Other times for the bodies of some messages; the first rule that fits counts. A kind, a participant, or both must be named.",
        "Другой срок для тел некоторых сообщений; действует первое подходящее правило. Нужен вид сведений, участник или оба.",
    ),
    settings: &[
        Setting::optional(
            "kind",
            Form::Text,
            "\"gpzu\"",
            Words::new("messages of every kind", "сообщения любых видов"),
        )
        .means("Messages of this kind", "Сообщения этого вида сведений"),
        Setting::optional(
            "participant",
            Form::Text,
            "\"MUN001\"",
            Words::new("messages of every participant", "сообщения любых участников"),
        )
        .means(
            "Messages that this participant sent or receives",
            "Сообщения, отправленные этим участником или ему предназначенные",
        ),
        Setting::required("bodies", Form::Duration, "\"90d\"")
            .means("Their bodies after completion", "Их тела после завершения"),
    ],
};

pub(super) const ARCHIVE: Section = Section {
    path: "archive",
    array: false,
    meaning: Words::new(
        "Where sealed journal segments go: a program that is run for each, in order, until it succeeds (docs/retention.md). \
         Without this section they stay where they are.",
        "Куда уходят запечатанные сегменты журнала: программа запускается для каждого по порядку, пока не завершится успешно \
         (docs/ru/retention.md). Без этого раздела они остаются на месте.",
    ),
    settings: &[
        Setting::required("command", Form::Texts, "[\"/usr/local/sbin/ship-segment\", \"{path}\"]")
            .limits("absolute path of a program; no shell", "абсолютный путь программы; без оболочки")
            .means(
                "The program and its arguments; `{path}` `{name}` `{first}` `{last}` `{digest}` `{bytes}` `{prev_digest}` \
                 `{last_digest}` are replaced",
                "Программа и аргументы; заменяются `{path}` `{name}` `{first}` `{last}` `{digest}` `{bytes}` `{prev_digest}` \
                 `{last_digest}`",
            ),
        Setting::with_value("timeout", Form::Duration, "\"10m\"")
            .limits("more than 0", "больше 0")
            .means(
                "For one run; then it is ended and tried again",
                "На один запуск; затем он прерывается и повторяется",
            ),
        Setting::with_value("seal_after", Form::Duration, "\"24h\"")
            .limits("more than 0", "больше 0")
            .means(
                "A segment is sealed at this age although it is not full",
                "Сегмент такого возраста запечатывается, даже если не полон",
            ),
        Setting::with_value("alarm_after", Form::Duration, "\"1h\"")
            .limits("more than 0", "больше 0")
            .means(
                "So long shipping may fail before it is an incident",
                "Сколько может не удаваться отправка, прежде чем это станет инцидентом",
            ),
    ],
};
