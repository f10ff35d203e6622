//! What the gateway is, its keys and its disk, and how it is administered.

use super::entry::{Change, Form, Section, Setting, Words};

pub(super) const NODE: Section = Section {
    path: "node",
    array: false,
    meaning: Words::new(
        "Who this gateway is, and where it keeps its data.",
        "Кто этот шлюз и где он хранит данные.",
    ),
    settings: &[
        Setting::required("mnemonic", Form::Text, "\"RSMEV73\"")
            .limits(
                "up to 50 Latin letters, digits, `_`, `-`, `.`",
                "до 50 латинских букв, цифр, знаков `_`, `-`, `.`",
            )
            .means(
                "The gateway's own mnemonic: upstream links are signed under it, and notices come from it",
                "Собственная мнемоника шлюза: ею подписан обмен с вышестоящей шиной, от её имени идут уведомления",
            ),
        Setting::optional(
            "name",
            Form::Text,
            "\"Региональный шлюз СМЭВ\"",
            Words::new("the mnemonic", "мнемоника"),
        )
        .limits("1 to 500 characters", "от 1 до 500 знаков")
        .means("What people see it called", "Название для людей"),
        Setting::required("data_dir", Form::Path, "\"/var/lib/rsmev\"").means(
            "Journal, message bodies, index, registry: a folder on a local disk, best a disk of its own (docs/sizing.md)",
            "Журнал, тела сообщений, индекс, реестр: каталог на локальном диске, лучше отдельном (docs/ru/sizing.md)",
        ),
    ],
};

pub(super) const KEYS: Section = Section {
    path: "keys",
    array: false,
    meaning: Words::new(
        "The gateway's own key, GOST R 34.10-2012.",
        "Собственный ключ шлюза, ГОСТ Р 34.10-2012.",
    ),
    settings: &[
        Setting::with_default("provider", Form::OneOf(&["software"]))
            .means("Who computes signatures", "Кто вычисляет подписи"),
        Setting::required("private_key", Form::Path, "\"/etc/rsmev/keys/gateway.key\"")
            .limits(
                "PEM, PKCS#8; not readable to others",
                "PEM, PKCS#8; без прав на чтение для остальных",
            )
            .means(
                "The private key, made by `rsmev keys new`. Under systemd the service reads what lies below \
                 `/etc/rsmev/keys` from its credentials",
                "Закрытый ключ, создаётся командой `rsmev keys new`. Под systemd служба получает файлы из \
                 `/etc/rsmev/keys` через credentials",
            ),
        Setting::required("certificate", Form::Path, "\"/etc/rsmev/keys/gateway.crt\"")
            .limits("PEM, of this private key", "PEM, от этого закрытого ключа")
            .means("Its certificate", "Сертификат этого ключа"),
    ],
};

pub(super) const STORAGE: Section = Section {
    path: "storage",
    array: false,
    meaning: Words::new(
        "How message bodies are protected on the disk (docs/security.md), and how far the clock is believed.",
        "Как защищены тела сообщений на диске (docs/ru/security.md) и насколько шлюз доверяет часам.",
    ),
    settings: &[
        Setting::with_default("encryption", Form::OneOf(&["aes-256-gcm", "kuznyechik-mgm", "none"])).means(
            "The cipher of new bodies; earlier ones can always be read",
            "Шифр новых тел; ранее записанные читаются всегда",
        ),
        Setting::optional(
            "master_key",
            Form::Path,
            "\"/etc/rsmev/keys/master.key\"",
            Words::new(
                "systemd's credential `master.key`; without that, `<data_dir>/keys/master.key`, made at the first start",
                "credential `master.key` от systemd; без него `<data_dir>/keys/master.key`, создаётся при первом запуске",
            ),
        )
        .limits("not readable to others", "без прав на чтение для остальных")
        .means(
            "The master key, made by `rsmev keys master new`; it opens the data keys, which open the bodies",
            "Мастер-ключ, создаётся командой `rsmev keys master new`; им открываются ключи данных, а ими — тела",
        ),
        Setting::with_default("clock_trusted_for", Form::Duration)
            .limits("more than 0", "больше 0")
            .means(
                "A gateway that was off for longer does not trust its clock until `rsmev clock accept` (docs/recovery.md)",
                "Шлюз, простоявший дольше, не доверяет часам до команды `rsmev clock accept` (docs/ru/recovery.md)",
            ),
    ],
};

pub(super) const ADMIN: Section = Section {
    path: "admin",
    array: false,
    meaning: Words::new(
        "How the gateway is watched and administered.",
        "Наблюдение и управление.",
    ),
    settings: &[
        Setting::with_default("listen", Form::Address).means(
            "HTTP with `/metrics`, `/live` and `/ready` alone: nothing secret, nothing can be changed, no password",
            "HTTP только с `/metrics`, `/live` и `/ready`: ничего секретного, изменить ничего нельзя, пароля нет",
        ),
        Setting::with_default("socket", Form::Path).means(
            "Unix socket of the command line, mode 0660; the kernel tells who calls. Its folder is made if the one above is there",
            "Unix-сокет командной строки, права 0660; кто обращается, сообщает ядро. Каталог создаётся, если есть вышележащий",
        ),
    ],
};

pub(super) const ADMIN_ROLES: Section = Section {
    path: "admin.roles",
    array: false,
    meaning: Words::new(
        "What members of the socket's group may do there, by their other Unix groups (docs/security.md). Every role may look. While this section is not set and none of the three groups exists, everybody who may connect has all roles; where it is set, only root has the role of a group that does not exist.",
        "Что разрешено на сокете членам его группы — по другим их Unix-группам (docs/ru/security.md). Смотреть может любая роль. Пока раздел не задан и ни одной из трёх групп нет, всем, кто может подключиться, разрешено всё; если он задан, роль, группы которой нет, есть только у root.",
    ),
    settings: &[
        Setting::with_default("operator", Form::Text)
            .limits("the name of a Unix group", "имя Unix-группы")
            .means(
                "Whose members run the gateway: queues, quarantine, participants and queues at a halt, clock, backups, upstreams, destruction of old journal segments",
                "Чьи члены управляют шлюзом: очереди, карантин, приостановка участников и очередей, часы, резервные копии, вышестоящие узлы, уничтожение старых сегментов журнала",
            ),
        Setting::with_default("registrar", Form::Text)
            .limits("the name of a Unix group", "имя Unix-группы")
            .means(
                "Whose members change the registry",
                "Чьи члены меняют реестр",
            ),
        Setting::with_default("auditor", Form::Text)
            .limits("the name of a Unix group", "имя Unix-группы")
            .means(
                "Whose members look at everything and change nothing",
                "Чьи члены видят всё и ничего не меняют",
            ),
    ],
};

pub(super) const LOG: Section = Section {
    path: "log",
    array: false,
    meaning: Words::new(
        "Log lines on standard error.",
        "Строки протокола работы в стандартный вывод ошибок.",
    ),
    settings: &[
        Setting::with_default("format", Form::OneOf(&["auto", "text", "json", "journald"])).means(
            "How lines are written: fields for journald where standard error goes there and text elsewhere, or always one of them",
            "Вид строк: поля для journald, если вывод идёт туда, иначе текст; или всегда один из видов",
        ),
        Setting::with_default("level", Form::Text)
            .limits(
                "`error`, `warn`, `info`, `debug`, `trace`, `off`, or per component: `info,engine=debug`; `info,messages=warn` \
                 leaves out the lines of single messages",
                "`error`, `warn`, `info`, `debug`, `trace`, `off` или по компонентам: `info,engine=debug`; `info,messages=warn` \
                 убирает строки об отдельных сообщениях",
            )
            .read_again(Change::Reload)
            .means("What is logged", "Что попадает в протокол"),
    ],
};
