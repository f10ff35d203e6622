//! `poll --save DIR`: a message as files in `DIR/MESSAGE-ID`. What a message carries may be personal data: folder and files are
//! their owner's alone. Names from outside never become paths.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use emulator::Attachment;
use engine::names::MessageId;
use serde_json::Value;

use super::message::Message;
use crate::failure::Failure;
use crate::keys;
use crate::registry_file::read_bounded;

const MESSAGE: &str = "message.json";

/// Writes a message; `None` if its folder is there already, because it was polled before.
pub(super) fn save(dir: &Path, message: &mut Message, attachments: &[Attachment]) -> Result<Option<PathBuf>, Failure> {
    let folder = dir.join(message.folder()?);
    make(dir, true).map_err(|error| Failure::file(dir, error))?;
    match make(&folder, false) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        Err(error) => return Err(Failure::file(&folder, error)),
    }
    if let Some(payload) = &message.payload {
        keys::create(&folder.join("payload.xml"), 0o600, payload.as_bytes())?;
    }
    for (number, (attachment, shown)) in (1..).zip(attachments.iter().zip(&mut message.attachments)) {
        let name = format!("attachment-{number}-{}", harmless(&attachment.id));
        keys::create(&folder.join(&name), 0o600, &attachment.content)?;
        shown.file = Some(name);
    }
    let json = serde_json::to_vec_pretty(message).map_err(|error| Failure::refused(error.to_string()))?;
    // Last, so that a folder with it has everything.
    keys::create(&folder.join(MESSAGE), 0o600, &json)?;
    Ok(Some(folder))
}

fn make(folder: &Path, parents: bool) -> io::Result<()> {
    DirBuilder::new().recursive(parents).mode(0o700).create(folder)
}

/// The name with everything replaced that could mean more than a name; at most 100 characters.
fn harmless(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
            c
        } else {
            '_'
        }
    };
    name.chars().take(100).map(plain).collect()
}

/// The ReplyTo of a request that was saved.
pub(super) fn reply_to(dir: &Path, request: &str) -> Result<String, Failure> {
    let file = dir.join(request).join(MESSAGE);
    let octets = read_bounded(&file).map_err(|error| {
        Failure::file(
            &file,
            format!("{error}; `poll requests --save DIR` writes it, --saved names DIR; or use --reply-to"),
        )
    })?;
    let message: Value = serde_json::from_slice(&octets).map_err(|error| Failure::file(&file, error))?;
    match message.get("reply_to").and_then(Value::as_str) {
        Some(reply_to) => Ok(reply_to.to_owned()),
        None => Err(Failure::file(
            &file,
            "has no reply_to: it is no request that can be answered",
        )),
    }
}

impl Message {
    /// The name of its folder: its identifier, which must be one.
    fn folder(&self) -> Result<String, Failure> {
        let id = self.message_id.as_deref().unwrap_or_default();
        let id: MessageId = id
            .parse()
            .map_err(|_| Failure::refused("the message has no identifier under which it could be saved"))?;
        Ok(id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_outside_is_no_path() {
        assert_eq!(harmless("../../etc/passwd"), ".._.._etc_passwd");
        assert_eq!(harmless("план\u{1b}.pdf"), "_____.pdf");
        assert_eq!(harmless(&"a".repeat(300)).len(), 100);
    }

    #[test]
    fn what_was_not_saved_cannot_be_answered_and_one_is_told_why() {
        let dir = tempfile::tempdir().unwrap();
        let told = reply_to(dir.path(), "1").unwrap_err().to_string();
        assert!(told.contains("poll requests --save"), "{told}");
        std::fs::create_dir(dir.path().join("1")).unwrap();
        std::fs::write(dir.path().join("1").join(MESSAGE), "{}").unwrap();
        assert!(
            reply_to(dir.path(), "1")
                .unwrap_err()
                .to_string()
                .contains("no reply_to")
        );
        std::fs::write(dir.path().join("1").join(MESSAGE), r#"{"reply_to":"abc"}"#).unwrap();
        assert_eq!(reply_to(dir.path(), "1").unwrap(), "abc");
    }
}
