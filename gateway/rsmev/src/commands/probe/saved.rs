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

/// Writes a message; `None` if it is there already, because it was polled before. What a save that broke off has left is
/// written anew.
pub(super) fn save(dir: &Path, message: &mut Message, attachments: &[Attachment]) -> Result<Option<PathBuf>, Failure> {
    let folder = dir.join(message.folder()?);
    make(dir, true).map_err(|error| Failure::file(dir, error))?;
    match make(&folder, false) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if folder.join(MESSAGE).exists() {
                return Ok(None);
            }
        }
        Err(error) => return Err(Failure::file(&folder, error)),
    }
    if let Some(payload) = &message.payload {
        put(&folder.join("payload.xml"), payload.as_bytes())?;
    }
    for (number, (attachment, shown)) in (1..).zip(attachments.iter().zip(&mut message.attachments)) {
        let name = format!("attachment-{number}-{}", harmless(&attachment.id));
        put(&folder.join(&name), &attachment.content)?;
        shown.file = Some(name);
    }
    let json = serde_json::to_vec_pretty(message).map_err(|error| Failure::refused(error.to_string()))?;
    // Last and whole, so that a folder with it has everything.
    let (part, whole) = (folder.join(format!("{MESSAGE}.part")), folder.join(MESSAGE));
    put(&part, &json)?;
    std::fs::rename(part, &whole).map_err(|error| Failure::file(&whole, error))?;
    Ok(Some(folder))
}

/// Writes a file of its owner's alone in the place of one that may be there.
fn put(file: &Path, octets: &[u8]) -> Result<(), Failure> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::file(file, error)),
        _ => keys::create(file, 0o600, octets),
    }
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
    fn a_save_that_broke_off_is_done_anew_and_one_that_did_not_is_left() {
        let id = "0f2b6c1e-5d7a-11f0-9a3c-0242ac120002";
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(id);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("payload.xml"), "<ha").unwrap();
        let mut message = Message::polled(id, "<half/>");
        let saved = save(dir.path(), &mut message, &[]).unwrap();
        assert_eq!(saved.as_deref(), Some(&*folder));
        assert_eq!(std::fs::read_to_string(folder.join("payload.xml")).unwrap(), "<half/>");
        let mut names: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["message.json", "payload.xml"]);
        let mut other = Message::polled(id, "<other/>");
        assert_eq!(save(dir.path(), &mut other, &[]).unwrap(), None);
        assert_eq!(std::fs::read_to_string(folder.join("payload.xml")).unwrap(), "<half/>");
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
