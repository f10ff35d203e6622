//! `docs/configuration.md` and `docs/ru/configuration.md`, written from the catalogue.

use std::fmt::Write as _;

use super::{Change, Form, Language, Row, SectionRow};

const HEAD_EN: &str = "\
<!-- Written by `rsmev reference configuration`; change gateway/rsmev/src/settings/catalogue instead. -->
# Configuration

Russian: [docs/ru/configuration.md](ru/configuration.md). `/etc/rsmev/gateway.toml`, or what `--config FILE` names, in TOML. `rsmev setup` writes it;
`config/gateway.toml` is the same as a commented file. `rsmev check` names everything that is wrong with it at once, with file and line, and looks at
what it names: keys, certificates, addresses, folders. A key that is not in these tables is refused, with the nearest one that is.

- Required are only the keys marked so; a section in which none is may be left away whole, and one whose meaning says so altogether.
- The environment lies over the file: each key of a table has its variable, for example `RSMEV__LOG__LEVEL=debug`. Arrays have none.
- *Effect*: most changes hold after `systemctl restart rsmev`; *reload* after `systemctl reload rsmev` (SIGHUP) too; *watched* on a reload, and the files
  themselves within a minute after they have changed.
- Durations are a whole number and `ms`, `s`, `m`, `h` or `d`, a hundred years at most; sizes a whole number and `B`, `KB`, `MB`, `GB`, `TB` (1000) or
  `KiB`, `MiB`, `GiB`, `TiB` (1024). Relative paths mean the working directory.

`rsmev reference configuration --output json` gives these tables to programs.
";

const HEAD_RU: &str = "\
<!-- Создано командой `rsmev reference configuration --language ru`; изменения вносятся в gateway/rsmev/src/settings/catalogue. -->
# Конфигурация

По-английски: [docs/configuration.md](../configuration.md). Файл `/etc/rsmev/gateway.toml` или названный в `--config FILE`, в формате TOML. Его создаёт
`rsmev setup`; `config/gateway.toml` — то же с пояснениями. `rsmev check` называет сразу всё, что в нём неверно, с файлом и строкой, и проверяет то, на что он
указывает: ключи, сертификаты, адреса, каталоги. Ключ, которого нет в этих таблицах, не принимается; называется ближайший из имеющихся.

- Обязательны только ключи с такой пометкой; раздел без обязательных ключей можно не писать, как и раздел, в пояснении к которому это сказано.
- Окружение важнее файла: у каждого ключа есть своя переменная, например `RSMEV__LOG__LEVEL=debug`. У массивов переменных нет.
- *Действует*: большинство изменений — после `systemctl restart rsmev`; *перечитывание* — и после `systemctl reload rsmev` (SIGHUP); *слежение* — при
  перечитывании, а сами файлы — в течение минуты после их изменения.
- Длительность — целое число и `ms`, `s`, `m`, `h` или `d`, не больше ста лет; размер — целое число и `B`, `KB`, `MB`, `GB`, `TB` (1000) или
  `KiB`, `MiB`, `GiB`, `TiB` (1024). Относительные пути отсчитываются от рабочего каталога.

Для программ эти таблицы выдаёт `rsmev reference configuration --language ru --output json`.
";

/// The whole document.
pub(crate) fn markdown(sections: &[SectionRow], language: Language) -> String {
    let mut text = match language {
        Language::En => HEAD_EN,
        Language::Ru => HEAD_RU,
    }
    .to_owned();
    let columns = match language {
        Language::En => "key | type, limits | default | effect | meaning | environment",
        Language::Ru => "ключ | тип, пределы | по умолчанию | действует | значение | переменная",
    };
    for section in sections {
        // A String takes everything.
        let _ = writeln!(
            text,
            "\n## `{}`\n\n{}\n\n| {columns} |\n|---|---|---|---|---|---|",
            section.section, section.meaning
        );
        for row in &section.settings {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {} | {} |",
                row.key,
                limited(row),
                default(row, language),
                effect(row.change, language),
                row.meaning,
                row.environment
                    .as_ref()
                    .map_or_else(|| "–".to_owned(), |name| format!("`{name}`")),
            );
        }
    }
    text
}

/// How a value is written.
pub(super) fn form(form: Form, language: Language) -> String {
    let (en, ru) = match form {
        Form::Text => ("text", "текст"),
        Form::Path => ("path", "путь"),
        Form::Address => ("address and port", "адрес и порт"),
        Form::Url => ("URL", "URL"),
        Form::Duration => ("duration", "длительность"),
        Form::Size => ("size", "размер"),
        Form::Integer => ("whole number", "целое число"),
        Form::Texts => ("array of texts", "массив текстов"),
        Form::Paths => ("array of paths", "массив путей"),
        Form::OneOf(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
            return words.join(", ");
        }
    };
    match language {
        Language::En => en,
        Language::Ru => ru,
    }
    .to_owned()
}

fn limited(row: &Row) -> String {
    match row.limits {
        "" => row.form.clone(),
        limits => format!("{}; {limits}", row.form),
    }
}

fn default(row: &Row, language: Language) -> String {
    let (required, example) = match language {
        Language::En => ("required", "for example"),
        Language::Ru => ("обязателен", "например"),
    };
    let without = match (&row.default, row.required) {
        (Some(default), _) => return format!("`{default}`"),
        (None, true) => required,
        (None, false) => row.without,
    };
    match row.example {
        Some(value) => format!("{without}; {example} `{value}`"),
        None => without.to_owned(),
    }
}

fn effect(change: Change, language: Language) -> &'static str {
    match (language, change) {
        (Language::En, Change::Restart) => "restart",
        (Language::En, Change::Reload) => "reload",
        (Language::En, Change::Watched) => "watched",
        (Language::Ru, Change::Restart) => "перезапуск",
        (Language::Ru, Change::Reload) => "перечитывание",
        (Language::Ru, Change::Watched) => "слежение",
    }
}
