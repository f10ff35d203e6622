//! The catalogue against the reader: the same keys, the defaults that hold, examples that are taken.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::entry::Words;
use super::*;
use crate::settings::Settings;

/// A key that nobody knows, and that is near to none.
const UNKNOWN: &str = "qqqqqqqqqqqq";

fn parse(text: &str) -> Result<Settings, crate::problem::Problems> {
    Settings::parse("gateway.toml", text, &BTreeMap::new())
}

/// What a configuration comes to, to be compared.
fn effect(text: &str) -> String {
    let settings = parse(text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    format!("{settings:?}")
}

/// All sections, with the keys for which `value` has one.
fn configuration(value: impl Fn(&Section, &Setting) -> Option<String>) -> String {
    let mut text = String::new();
    for section in SECTIONS {
        text.push_str(&format!("{}\n", header(section)));
        for setting in section.settings {
            if let Some(value) = value(section, setting) {
                text.push_str(&format!("{} = {value}\n", setting.key));
            }
        }
    }
    text
}

/// The default, or else the example.
fn a_value(section: &Section, setting: &Setting) -> String {
    let default = Defaults::read().of(section, setting);
    default.unwrap_or_else(|| setting.example.to_owned())
}

/// All keys but those that have a default.
fn without_defaults(section: &Section, setting: &Setting) -> Option<String> {
    let default = Defaults::read().of(section, setting);
    default.is_none().then(|| setting.example.to_owned())
}

fn all() -> Vec<(&'static Section, &'static Setting)> {
    let of = |section: &'static Section| section.settings.iter().map(move |setting| (section, setting));
    SECTIONS.into_iter().flat_map(of).collect()
}

fn same(one: (&Section, &Setting), other: (&Section, &Setting)) -> bool {
    (one.0.path, one.1.key) == (other.0.path, other.1.key)
}

/// The keys that the reader knows at a place, if the place is a section: it names them where it meets an unknown one.
fn known(headers: &str, place: &str) -> Option<Vec<String>> {
    let problems = parse(&format!("{headers}\n{UNKNOWN} = 1\n"))
        .expect_err("the key is unknown")
        .0;
    let key = match place {
        "" => UNKNOWN.to_owned(),
        place => format!("{place}.{UNKNOWN}"),
    };
    let text = problems.into_iter().find(|problem| problem.key == key)?.text;
    let known = text
        .strip_prefix("unknown key; known here are ")
        .expect("it is near to none");
    Some(known.split(", ").map(str::to_owned).collect())
}

/// Every key of the reader, found by asking it; arrays have `[]` behind their names.
fn keys_of_the_reader(headers: &str, place: &str, shown: &str, found: &mut BTreeSet<String>) {
    for key in known(headers, place).expect("it is a section") {
        let join = |base: &str| {
            if base.is_empty() {
                key.clone()
            } else {
                format!("{base}.{key}")
            }
        };
        let (place, shown) = (join(place), join(shown));
        let path = shown.replace("[]", "");
        let table = format!("{headers}\n[{path}]");
        let array = format!("{headers}\n[[{path}]]");
        if known(&table, &place).is_some() {
            keys_of_the_reader(&table, &place, &shown, found);
        } else if known(&array, &format!("{place}[1]")).is_some() {
            keys_of_the_reader(&array, &format!("{place}[1]"), &format!("{shown}[]"), found);
        } else {
            found.insert(shown);
        }
    }
}

#[test]
fn the_catalogue_has_the_keys_of_the_reader_and_no_others() {
    let mut read = BTreeSet::new();
    keys_of_the_reader("", "", "", &mut read);
    let arrays: Vec<_> = SECTIONS.iter().filter(|section| section.array).collect();
    let told = |(section, setting): &(&Section, &Setting)| {
        let mut place = format!("{}.{}", section.path, setting.key);
        for array in &arrays {
            if let Some(rest) = place.strip_prefix(&format!("{}.", array.path)) {
                place = format!("{}[].{rest}", array.path);
            }
        }
        place
    };
    let told: BTreeSet<_> = all().iter().map(told).collect();
    assert_eq!(
        told, read,
        "gateway/rsmev/src/settings/catalogue (left) against read.rs"
    );
}

#[test]
fn a_configuration_with_every_key_is_taken() {
    effect(&configuration(|section, setting| Some(a_value(section, setting))));
}

#[test]
fn what_the_catalogue_calls_a_default_is_what_holds_without_the_key() {
    let without = effect(&configuration(without_defaults));
    for (section, setting) in all() {
        let told = Defaults::read().of(section, setting);
        assert_eq!(
            told.is_none(),
            matches!(setting.without, Without::Required | Without::Told(_)),
            "{}.{}: defaults.toml",
            section.path,
            setting.key
        );
        let Some(default) = told else { continue };
        let with = configuration(|one, other| {
            if same((one, other), (section, setting)) {
                return Some(default.clone());
            }
            without_defaults(one, other)
        });
        assert_eq!(effect(&with), without, "{}.{} = {default}", section.path, setting.key);
    }
}

#[test]
fn required_keys_and_no_others_are_missed() {
    for (section, setting) in all() {
        let text = configuration(|one, other| (!same((one, other), (section, setting))).then(|| a_value(one, other)));
        let missing = parse(&text).err().map(|problems| problems.to_string());
        match setting.without {
            Without::Required => assert!(
                missing.as_ref().is_some_and(|text| text.contains("is missing")),
                "{}.{}: {missing:?}",
                section.path,
                setting.key
            ),
            _ => assert_eq!(missing, None, "{}.{}", section.path, setting.key),
        }
    }
}

#[test]
fn every_variable_of_the_environment_does_what_the_key_does() {
    for (section, setting) in all() {
        let Some(name) = variable(section, setting) else {
            continue;
        };
        let without =
            configuration(|one, other| (!same((one, other), (section, setting))).then(|| a_value(one, other)));
        let value = a_value(section, setting).trim_matches('"').to_owned();
        let environment = BTreeMap::from([(name.clone(), value)]);
        let by_environment = Settings::parse("gateway.toml", &without, &environment);
        let by_environment = by_environment.unwrap_or_else(|problems| panic!("{name}: {problems}"));
        let by_file = effect(&configuration(|one, other| Some(a_value(one, other))));
        assert_eq!(format!("{by_environment:?}"), by_file, "{name}");
    }
}

#[test]
fn the_words_of_a_setting_are_those_that_the_reader_takes() {
    for (section, setting) in all() {
        let Form::OneOf(words) = setting.form else { continue };
        let with = |word: &str| {
            configuration(|one, other| {
                let here = same((one, other), (section, setting));
                Some(if here { format!("{word:?}") } else { a_value(one, other) })
            })
        };
        for word in words {
            effect(&with(word));
        }
        assert!(parse(&with(UNKNOWN)).is_err(), "{}.{}", section.path, setting.key);
    }
}

#[test]
fn everything_is_said_in_both_languages() {
    let said = |what: &str, words: Words| {
        let [en, ru] = [Language::En, Language::Ru].map(|language| words.in_language(language));
        assert!(!en.is_empty() && !ru.is_empty(), "{what}");
    };
    for (section, setting) in all() {
        let what = format!("{}.{}", section.path, setting.key);
        said(&what, section.meaning);
        said(&what, setting.meaning);
        if let Without::Told(words) = setting.without {
            said(&what, words);
        }
        let [en, ru] = [Language::En, Language::Ru].map(|language| setting.limits.in_language(language));
        assert_eq!(en.is_empty(), ru.is_empty(), "{what}");
    }
}

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_documents_are_those_of_the_program() {
    for (language, path, option) in [
        (Language::En, "docs/configuration.md", ""),
        (Language::Ru, "docs/ru/configuration.md", " --language ru"),
    ] {
        assert!(
            file(path) == markdown(&rows(language), language),
            "{path} is not up to date: target/debug/rsmev reference configuration{option} >{path}"
        );
    }
}

#[test]
fn the_commented_configuration_has_every_key() {
    let commented = file("config/gateway.toml");
    for (section, setting) in all() {
        let written = commented.lines().any(|line| {
            let line = line.trim_start_matches(['#', ' ']);
            line.split(['{', ',']).any(|part| {
                let key = part.split_once('=').map(|(key, _)| key.trim());
                key == Some(setting.key)
            })
        });
        assert!(written, "config/gateway.toml: {}.{}", section.path, setting.key);
    }
}
