//! Keeps secrets out of a bundle.
//!
//! Two rules that do not rely on each other: what may be a secret is taken out where its place tells (a key of the
//! configuration, a field of a record), and every value that was taken out, with other known secrets, is looked for in every
//! text before it is written.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::settings::catalogue;

/// What stands in the place of a secret.
pub(super) const REMOVED: &str = "[removed]";
/// A shorter value is no secret worth the name, and would be found everywhere.
const SHORTEST: usize = 4;
/// The same of what is only perhaps a secret, such as an argument of a program: `journal` and `true` stand in every text.
const SHORTEST_DOUBTFUL: usize = 8;
/// Parts of names that tell a secret.
const TELLING: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "bearer",
    "authorization",
    "apikey",
    "api_key",
    "pin",
];
/// Fields of journal records that prove something or lead to a body, and tell a helper nothing.
const EVIDENCE: [&str; 6] = ["evidence", "signature", "parts", "note", "facts", "token"];

/// The values that must not leave the machine.
#[derive(Debug, Default)]
pub(super) struct Secrets(BTreeSet<String>);

impl Secrets {
    /// Whoever has this has something of the gateway's.
    pub(super) fn add(&mut self, value: &str) {
        self.add_from(value, SHORTEST);
    }

    /// Nothing tells whether this is a secret. A program's argument is known to its last letter only between the `{…}` that
    /// the gateway fills in.
    fn add_doubtful(&mut self, value: &str) {
        for line in value.lines() {
            for fragment in fragments(line) {
                self.add_from(fragment, SHORTEST_DOUBTFUL);
            }
            if let Some((_, value)) = line.split_once('=').filter(|(name, _)| tells_a_secret(name)) {
                fragments(value).into_iter().for_each(|fragment| self.add(fragment));
            }
        }
    }

    /// Quoted, in JSON or in a line of the log, it has another form; a quoted line within JSON has a third.
    fn add_from(&mut self, value: &str, shortest: usize) {
        let value = value.trim();
        if value.len() >= shortest {
            let once = quoted(value);
            self.0.insert(quoted(&once));
            self.0.insert(once);
            self.0.insert(value.to_owned());
        }
    }

    /// The lines of a file with a key; a file that cannot be read cannot be shown either.
    pub(super) fn add_lines(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with("-----")) {
            self.add(line);
        }
    }

    /// Variables of the environment whose name tells a secret, and the users of URLs in all of them.
    pub(super) fn add_environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        for (name, value) in variables {
            if tells_a_secret(&name) {
                self.add(&value);
            } else if value.contains("://") || names_a_url(&name) {
                url(&value, false, self);
            }
        }
    }

    /// A text without any of them, without names and passwords in URLs, and without PEM.
    pub(super) fn out_of(&self, text: &str) -> String {
        let mut text = text.to_owned();
        // Before anything else changes what they look like. A longer one may have a shorter one in it.
        let mut longest: Vec<_> = self.0.iter().collect();
        longest.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in longest {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), REMOVED);
            }
        }
        without_pem(&without_users(&text))
    }
}

/// As it stands within quotation marks.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// What stands between `{name}`s.
fn fragments(text: &str) -> Vec<&str> {
    let (mut found, mut start) = (Vec::new(), 0);
    for (at, _) in text.match_indices('{') {
        let name = text[at + 1..].split('}').next().unwrap_or_default();
        let closed = text[at + 1..].len() > name.len();
        if at >= start && closed && name.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
            found.push(&text[start..at]);
            start = at + name.len() + 2;
        }
    }
    found.push(&text[start..]);
    found
}

/// Whether the next argument is a secret: `--password`.
fn names_a_secret(argument: &str) -> bool {
    argument.starts_with('-') && !argument.contains('=') && tells_a_secret(argument)
}

fn names_a_url(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with("url")
}

fn tells_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // A file is named, not shown.
    let file = ["_file", "_path", "_dir"].iter().any(|end| name.ends_with(end));
    !file
        && TELLING
            .iter()
            .any(|part| name.split(['_', '.', '-']).any(|word| word == *part) || part.len() > 4 && name.contains(part))
}

/// A configuration without its secrets and comments; what was taken out is added to the secrets.
pub(super) fn configuration(text: &str, secrets: &mut Secrets) -> Option<String> {
    let mut table: toml::Table = text.parse().ok()?;
    for (name, value) in &mut table {
        clean(name, value, secrets);
    }
    toml::to_string(&table).ok()
}

fn clean(path: &str, value: &mut toml::Value, secrets: &mut Secrets) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                clean(&format!("{path}.{name}"), value, secrets);
            }
        }
        toml::Value::Array(items) => {
            // Arguments of a program may be anything; the program itself is told.
            let command = path.ends_with("command");
            let mut secret_follows = false;
            for (place, item) in items.iter_mut().enumerate() {
                match item {
                    toml::Value::String(text) if command && place > 0 => {
                        let named = std::mem::replace(&mut secret_follows, names_a_secret(text));
                        if named {
                            secrets.add(text);
                        }
                        take_doubtful(text, secrets);
                    }
                    item => clean(path, item, secrets),
                }
            }
        }
        toml::Value::String(text) => {
            let name = path.rsplit('.').next().unwrap_or(path);
            if tells_a_secret(name) || text.contains('\n') || text.contains("-----BEGIN") {
                take(text, secrets);
            } else if text.contains("://") || names_a_url(name) {
                let shown = url(text, path.starts_with("notify"), secrets);
                match catalogue::has(path) {
                    true => *text = shown,
                    false => take_doubtful(text, secrets),
                }
            } else if !catalogue::has(path) {
                // A slip of the pen: nothing tells what it was meant to be.
                take_doubtful(text, secrets);
            }
        }
        other => {
            if !catalogue::has(path) {
                *other = toml::Value::String(REMOVED.to_owned());
            }
        }
    }
}

fn take(text: &mut String, secrets: &mut Secrets) {
    secrets.add(text);
    secrets.add_lines(text);
    REMOVED.clone_into(text);
}

fn take_doubtful(text: &mut String, secrets: &mut Secrets) {
    secrets.add_doubtful(text);
    REMOVED.clone_into(text);
}

/// A URL without user and query, and, if its path is an address that only friends know, without that. It may have been
/// written wrong: a password may hold what ends a host, and the scheme may be missing.
fn url(text: &str, secret_path: bool, secrets: &mut Secrets) -> String {
    let (scheme, rest) = text.find("://").map_or(("", text), |at| text.split_at(at + 3));
    let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    secrets.add(user);
    for (_, password) in [user.split_once(':'), user.rsplit_once(':')].into_iter().flatten() {
        secrets.add(password);
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let path = &rest[host.len()..];
    let (path, query) = path.split_once(['?', '#']).unwrap_or((path, ""));
    secrets.add(query);
    if secret_path {
        secrets.add(path);
    }
    let path = if secret_path && path.len() > 1 {
        "/[removed]"
    } else {
        path
    };
    format!("{scheme}{host}{path}")
}

/// Names and passwords in URLs anywhere in a text go: all before the last `@` of what is written without a gap.
fn without_users(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean += before;
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\''))
            .unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(user) => {
                clean += REMOVED;
                &after[user..]
            }
            None => after,
        };
    }
    clean + rest
}

/// Everything between the first line of a PEM block and its last goes, also where the lines are joined by `\n`.
fn without_pem(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("-----BEGIN") {
        clean += &rest[..at];
        clean += REMOVED;
        rest = match rest[at..].find("-----END") {
            Some(end) => {
                let tail = &rest[at + end + "-----END".len()..];
                tail.find("-----").map_or("", |end| &tail[end + 5..])
            }
            None => "",
        };
    }
    clean + rest
}

/// A journal record without what proves or leads to a body.
pub(super) fn record(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !EVIDENCE.contains(&name.as_str()));
            fields.values_mut().for_each(record);
        }
        Value::Array(items) => items.iter_mut().for_each(record),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_keeps_what_helps_and_loses_what_is_secret() {
        let text = r#"
            # the password was hunter2
            [keys]
            private_key = "/etc/rsmev/keys/gateway.key"
            [archive]
            command = ["/usr/bin/ship", "--user", "me:sesame"]
            [notify.mail]
            password = "mailsecret"
            password_file = "/etc/rsmev/mail.pass"
            pasword = "mistyped-secret"
            [limits]
            connections = 25
            [[notify.webhook]]
            url = "https://hooks.example/T0/Bxyz?key=q1w2"
            [[upstream]]
            url = "http://login:urlsecret@bus:7600/ws"
            note = """
            -----BEGIN PRIVATE KEY-----
            PEMPEMPEM
            -----END PRIVATE KEY-----"""
        "#;
        let mut secrets = Secrets::default();
        let shown = configuration(text, &mut secrets).unwrap();
        for kept in [
            "/etc/rsmev/keys/gateway.key",
            "/usr/bin/ship",
            "/etc/rsmev/mail.pass",
            "connections = 25",
            "http://bus:7600/ws",
            "https://hooks.example/[removed]",
        ] {
            assert!(shown.contains(kept), "{kept}\n{shown}");
        }
        for gone in [
            "hunter2",
            "sesame",
            "mailsecret",
            "mistyped-secret",
            "Bxyz",
            "q1w2",
            "login",
            "urlsecret",
            "PEMPEMPEM",
        ] {
            assert!(!shown.contains(gone), "{gone}\n{shown}");
        }
        let told = "the password mailsecret of login:urlsecret, PEMPEMPEM and me:sesame are in a log";
        assert_eq!(secrets.out_of("mistyped-secret"), "[removed]");
        assert_eq!(
            secrets.out_of(told),
            "the password [removed] of [removed], [removed] and [removed] are in a log"
        );
    }

    #[test]
    fn arguments_are_found_filled_in_and_quoted_and_plain_words_stay() {
        let text = r#"
            [archive]
            command = ["/usr/bin/ship", "https://put/{name}?sig=SECRET", "copy", "true", "journal", "--password", "sesame",
                       'quo"ted\secret', "--token={digest}tail-secret"]
        "#;
        let mut secrets = Secrets::default();
        let shown = configuration(text, &mut secrets).unwrap();
        assert!(shown.contains("/usr/bin/ship") && !shown.contains("SECRET"), "{shown}");
        let said = "PUT https://put/00000001.seg?sig=SECRET failed for sesame, tail-secret";
        let clean = secrets.out_of(said);
        for gone in ["SECRET", "sesame", "tail-secret"] {
            assert!(!clean.contains(gone), "{clean}");
        }
        let told = serde_json::json!({ "journal": "copy", "ok": true, "said": "quo\"ted\\secret" });
        let logged = serde_json::json!({ "line": told.to_string() });
        for told in [&told, &logged] {
            let clean = secrets.out_of(&told.to_string());
            let whole: Value = serde_json::from_str(&clean).unwrap();
            assert!(clean.contains("journal") && clean.contains("copy"), "{clean}");
            assert!(clean.contains(REMOVED) && !clean.contains("ted"), "{whole}");
        }
    }

    #[test]
    fn a_url_that_is_written_wrong_is_told_without_its_password() {
        let text = r#"
            [[upstream]]
            url = "http://login:sl/ash@secret@bus:7600/ws"
            [[upstream]]
            url = "login:bare-secret@bus:7601/ws"
        "#;
        let mut secrets = Secrets::default();
        let shown = configuration(text, &mut secrets).unwrap();
        assert!(
            shown.contains("\"http://bus:7600/ws\"") && shown.contains("\"bus:7601/ws\""),
            "{shown}"
        );
        assert_eq!(secrets.out_of("sl/ash@secret, bare-secret"), "[removed], [removed]");
        assert_eq!(
            Secrets::default().out_of("to http://login:sl/a?s#h@bus/ws now"),
            "to http://[removed]@bus/ws now"
        );
    }

    #[test]
    fn users_of_urls_and_keys_are_in_no_text() {
        let secrets = Secrets::default();
        assert_eq!(
            secrets.out_of("no answer from \"http://a:b@bus:1/ws\" and https://x@y, mail a@b.example"),
            "no answer from \"http://[removed]@bus:1/ws\" and https://[removed]@y, mail a@b.example"
        );
        let pem = "-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----";
        assert_eq!(secrets.out_of(&format!("key {pem} here")), "key [removed] here");
        assert_eq!(
            secrets.out_of("half -----BEGIN PRIVATE KEY-----\nAAAA"),
            "half [removed]"
        );
    }

    #[test]
    fn variables_whose_name_tells_a_secret_are_known() {
        let mut secrets = Secrets::default();
        let variables = [
            ("RSMEV__NOTIFY__MAIL__PASSWORD", "one-one"),
            ("DB_TOKEN", "two-two"),
            ("RSMEV__SMEV3__PUBLIC_URL", "http://three:three@host/"),
            ("SHIPPING", "four-four"),
            ("TOKEN_FILE", "/five"),
        ];
        secrets.add_environment(
            variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into_iter(),
        );
        let text = secrets.out_of("one-one two-two three:three four-four /five");
        assert_eq!(text, "[removed] [removed] [removed] four-four /five");
    }

    #[test]
    fn a_record_loses_evidence_wherever_it_stands() {
        let mut event = serde_json::json!({
            "type": "accepted", "sender": {"participant": "MUN001"}, "evidence": {"digest": "00"}, "token": "0102",
            "decision": {"place": {"parts": [1], "kind": "gpzu"}}
        });
        record(&mut event);
        let expected = serde_json::json!({
            "type": "accepted", "sender": {"participant": "MUN001"}, "decision": {"place": {"kind": "gpzu"}}
        });
        assert_eq!(event, expected);
    }
}
