//! The door, its limits, and the links to upstreams.

use super::entry::{Change, Form, Section, Setting, Words};

pub(super) const SMEV3: Section = Section {
    path: "smev3",
    array: false,
    meaning: Words::new(
        "The door for local systems: `/smev/v1.1/ws`, `/smev/v1.2/ws`, `/smev/v1.3/ws`, and `/ws` for any version; WSDL at `?wsdl`.",
        "Точка приёма для местных систем: `/smev/v1.1/ws`, `/smev/v1.2/ws`, `/smev/v1.3/ws` и `/ws` для любой версии; WSDL по `?wsdl`.",
    ),
    settings: &[
        Setting::with_default("listen", Form::Address).means(
            "Where it listens. With `rsmev.socket` enabled the same address stands there",
            "Адрес приёма. При включённом `rsmev.socket` там указан тот же адрес",
        ),
        Setting::optional(
            "public_url",
            Form::Url,
            "\"http://gw.region.local:7500\"",
            Words::new("the address of `listen`", "адрес из `listen`"),
        )
        .means("What the WSDL names as the address", "Адрес, который называет WSDL"),
        Setting::with_default("redelivery", Form::Duration)
            .limits("more than 0", "больше 0")
            .means(
                "A message that was taken and not acknowledged within this time is handed out again",
                "Сообщение, выданное и не подтверждённое за это время, выдаётся снова",
            ),
        Setting::with_default("stale_after", Form::Duration)
            .limits("more than 0", "больше 0")
            .means("Greatest age of a MessageID", "Наибольший возраст MessageID"),
        Setting::with_default("future_skew", Form::Duration).means(
            "How far a MessageID may lie in the future",
            "Насколько MessageID может опережать часы шлюза",
        ),
        Setting::with_default("timestamp_window", Form::Duration)
            .limits("more than 0", "больше 0")
            .means(
                "Tolerance for the Timestamp of GetRequest and its kin, both ways: widespread clients write local time as UTC",
                "Допуск для Timestamp в GetRequest и подобных, в обе стороны: распространённые клиенты пишут местное время как UTC",
            ),
        Setting::with_default("message_ttl", Form::Duration)
            .limits("more than 0", "больше 0")
            .means(
                "Time to live of a message without EOL; then its sender gets a rejection",
                "Срок жизни сообщения без EOL; затем отправитель получает уведомление об отказе",
            ),
        Setting::with_default("translate", Form::OneOf(&["always", "refuse"])).means(
            "A message for a system with another protocol version: translate it, or refuse",
            "Сообщение для системы с другой версией протокола: преобразовать или отказать",
        ),
        Setting::with_default("head_timeout", Form::Duration)
            .limits("more than 0", "больше 0")
            .means(
                "A request's head must come within this time, and a connection without a request is closed after it",
                "За это время должен прийти заголовок запроса; соединение без запроса закрывается по его истечении",
            ),
        Setting::with_default("body_rate", Form::Size)
            .limits("more than 0", "больше 0")
            .means(
                "Octets a second that a call must come with after its first 10 s; slower ones are cut off with 408",
                "Октетов в секунду, с которыми должен идти вызов после первых 10 с; более медленные обрываются с кодом 408",
            ),
    ],
};

pub(super) const SMEV3_TLS: Section = Section {
    path: "smev3.tls",
    array: false,
    meaning: Words::new(
        "TLS of the door (docs/security.md); without this section it speaks plain HTTP. To switch TLS on or off needs a restart.",
        "TLS точки приёма (docs/ru/security.md); без этого раздела приём идёт по HTTP. Включение и выключение TLS требует перезапуска.",
    ),
    settings: &[
        Setting::required("certificate", Form::Path, "\"/etc/rsmev/tls/door.crt\"")
            .limits("PEM, the chain", "PEM, цепочка")
            .read_again(Change::Watched)
            .means("The server's certificate", "Сертификат сервера"),
        Setting::required("private_key", Form::Path, "\"/etc/rsmev/tls/door.key\"")
            .limits("PEM, of this certificate", "PEM, от этого сертификата")
            .read_again(Change::Watched)
            .means("Its key", "Его ключ"),
        Setting::optional(
            "client_ca",
            Form::Path,
            "\"/etc/rsmev/tls/clients.crt\"",
            Words::new("clients show no certificate", "клиенты сертификата не предъявляют"),
        )
        .limits("PEM", "PEM")
        .read_again(Change::Watched)
        .means(
            "Mutual TLS: the authorities that clients' certificates must come from",
            "Взаимный TLS: удостоверяющие центры сертификатов клиентов",
        ),
    ],
};

pub(super) const LIMITS: Section = Section {
    path: "limits",
    array: false,
    meaning: Words::new(
        "Bounds of memory, callers and disk; what a caller hears beyond them stands in docs/security.md.",
        "Границы памяти, вызовов и диска; что слышит вызывающий за их пределами, сказано в docs/ru/security.md.",
    ),
    settings: &[
        Setting::with_default("body_bytes", Form::Size)
            .limits("more than 0", "больше 0")
            .means("Largest body of a call", "Наибольшее тело вызова"),
        Setting::with_default("attachments_bytes", Form::Size).means(
            "Largest total of the files attached to one message; at most 1000 files",
            "Наибольший общий размер вложений одного сообщения; файлов не более 1000",
        ),
        Setting::with_default("in_flight_bytes", Form::Size)
            .limits("at least twice `body_bytes`", "не меньше двух `body_bytes`")
            .means(
                "Calls in work at once; beyond it 503 with Retry-After. It is what the memory is sized by (docs/sizing.md)",
                "Вызовы в работе одновременно; сверх этого 503 с Retry-After. По нему рассчитывается память (docs/ru/sizing.md)",
            ),
        Setting::with_default("connections", Form::Integer)
            .limits("1 to 1,000,000", "от 1 до 1 000 000")
            .means("At the door at once; further ones wait", "Одновременные соединения; лишние ждут"),
        Setting::with_default("connections_per_address", Form::Integer)
            .limits("at most 1,000,000; 0: no bound", "не больше 1 000 000; 0: без границы")
            .means(
                "Those of one address; further ones are closed",
                "Соединения с одного адреса; лишние закрываются",
            ),
        Setting::with_default("requests_per_second", Form::Integer)
            .limits("at most 1,000,000; 0: no bound", "не больше 1 000 000; 0: без границы")
            .means(
                "Calls of one participant, for example 200; beyond it SMEVFailure, 503 and Retry-After",
                "Вызовы одного участника, например 200; сверх этого SMEVFailure, 503 и Retry-After",
            ),
        Setting::with_default("requests_per_second_per_address", Form::Integer)
            .limits("at most 1,000,000; 0: no bound", "не больше 1 000 000; 0: без границы")
            .means(
                "Requests of one address, refused before they are read",
                "Вызовы с одного адреса; отказ до чтения",
            ),
        Setting::with_default("requests_burst", Form::Duration).means(
            "Whoever was quiet for so long may make the calls of that time at once",
            "Кто столько молчал, может сделать вызовы за это время сразу",
        ),
        Setting::with_default("queue_messages", Form::Integer)
            .limits("more than 0", "больше 0")
            .means(
                "A participant's queue; a sender's share of an upstream's queue. Beyond it DestinationOverflow",
                "Очередь участника; доля отправителя в очереди вышестоящей шины. Сверх этого DestinationOverflow",
            ),
        Setting::with_default("queue_bytes", Form::Size)
            .limits("more than 0", "больше 0")
            .means("The same in octets", "То же в октетах"),
        Setting::optional(
            "disk_reserve",
            Form::Size,
            "\"1 GB\"",
            Words::new(
                "10 % of the file system or 1 GB, whichever is less",
                "10 % файловой системы или 1 GB, что меньше",
            ),
        )
        .means(
            "With less free space nothing new is accepted",
            "При меньшем свободном месте новое не принимается",
        ),
        Setting::optional(
            "inode_reserve",
            Form::Integer,
            "1000",
            Words::new("10 % of them or 1000, whichever is less", "10 % или 1000, что меньше"),
        )
        .means("The same for free inodes", "То же для свободных inode"),
    ],
};

pub(super) const UPSTREAM: Section = Section {
    path: "upstream",
    array: true,
    meaning: Words::new(
        "A link to the federal bus or to a neighbour's gateway; each has a section of its own.",
        "Связь с федеральной шиной или шлюзом соседнего региона; у каждой свой раздел.",
    ),
    settings: &[
        Setting::required("name", Form::Text, "\"federal\"")
            .limits(
                "unique; up to 50 Latin letters, digits, `_`, `-`, `.`",
                "единственное; до 50 латинских букв, цифр, знаков `_`, `-`, `.`",
            )
            .means(
                "Its name in grants, routes and queues (`upstream/federal`)",
                "Имя в правах, маршрутах и очередях (`upstream/federal`)",
            ),
        Setting::required("url", Form::Url, "\"https://bus.example/smev/v1.2/ws\"").means(
            "Endpoint of its message exchange service; redirects are not followed",
            "Адрес сервиса обмена сообщениями; перенаправления не выполняются",
        ),
        Setting::with_value("version", Form::OneOf(&["1.1", "1.2", "1.3"]), "\"1.2\"")
            .means("Protocol version that is spoken with it", "Версия протокола для обмена с ней"),
        Setting::optional(
            "ca",
            Form::Path,
            "\"/etc/rsmev/upstream/ca.pem\"",
            Words::new("the machine's authorities", "удостоверяющие центры машины"),
        )
        .limits("PEM; only with `https://`", "PEM; только при `https://`")
        .means(
            "Authorities that its TLS certificate must come from",
            "Удостоверяющие центры её сертификата TLS",
        ),
        Setting::required("trusted_signers", Form::Paths, "[\"/etc/rsmev/upstream/federal.crt\"]")
            .limits("at least one", "хотя бы один")
            .read_again(Change::Reload)
            .means(
                "Certificates that may sign its answers; others are not accepted",
                "Сертификаты, которыми могут быть подписаны её ответы; другие не принимаются",
            ),
        Setting::with_value("timeout", Form::Duration, "\"60s\"")
            .limits("1s to 10m", "от 1s до 10m")
            .means(
                "For one call with its answer; then its outcome is unknown and it is repeated under the same identifier",
                "На один вызов с ответом; затем исход неизвестен, и вызов повторяется под тем же идентификатором",
            ),
        Setting::with_value("parallel", Form::Integer, "16")
            .limits("1 to 1024", "от 1 до 1024")
            .means(
                "Lanes (sender and kind) that send at the same time",
                "Одновременно отправляющие дорожки (отправитель и вид сведений)",
            ),
    ],
};

pub(super) const UPSTREAM_POLL: Section = Section {
    path: "upstream.poll",
    array: false,
    meaning: Words::new(
        "Pauses between polls of this upstream, also written `poll = { min = \"200ms\", max = \"10s\" }` in its section.",
        "Паузы между опросами этой шины; можно записать и в её разделе: `poll = { min = \"200ms\", max = \"10s\" }`.",
    ),
    settings: &[
        Setting::with_value("min", Form::Duration, "\"200ms\"")
            .limits("more than 0, at most `max`", "больше 0, не больше `max`")
            .means("While there is work", "Пока есть работа"),
        Setting::with_value("max", Form::Duration, "\"10s\"")
            .limits("at least `min`", "не меньше `min`")
            .means(
                "While there is none; `min` if that is longer",
                "Пока её нет; `min`, если он больше",
            ),
    ],
};
