//! The configuration file that is written: the one that is there, or the commented default, with values put in and
//! everything else as it was.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use crate::failure::Failure;

/// What a new installation begins with.
const COMMENTED: &str = include_str!("../../../../config/gateway.toml");
/// The mnemonic in it, which is nobody's.
pub(super) const PLACEHOLDER: &str = "RSMEV00";

/// A configuration under work.
pub(super) struct Document {
    before: Option<String>,
    tree: DocumentMut,
}

impl Document {
    /// Reads the file that is there.
    pub(super) fn open(file: &Path) -> Result<Self, Failure> {
        let before = match std::fs::read_to_string(file) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failure::file(file, error)),
        };
        let text = before.as_deref().unwrap_or(COMMENTED);
        let tree = text.parse().map_err(|error| Failure::file(file, error))?;
        Ok(Self { before, tree })
    }

    /// The text of a value.
    pub(super) fn text(&self, section: &str, key: &str) -> Option<&str> {
        self.tree.get(section)?.get(key)?.as_str()
    }

    /// Puts a text in.
    pub(super) fn set(&mut self, section: &str, key: &str, text: impl Into<String>) {
        let table = self.tree.entry(section).or_insert_with(toml_edit::table);
        match table.get_mut(key).and_then(Item::as_value_mut) {
            // The comment behind the value stays.
            Some(present) => {
                let decor = present.decor().clone();
                *present = text.into().into();
                *present.decor_mut() = decor;
            }
            None => table[key] = value(text.into()),
        }
    }

    /// Whether there is an upstream of some name.
    pub(super) fn has_upstreams(&self) -> bool {
        self.upstreams().is_some_and(|upstreams| !upstreams.is_empty())
    }

    fn upstreams(&self) -> Option<&ArrayOfTables> {
        self.tree.get("upstream")?.as_array_of_tables()
    }

    /// Adds an upstream, or replaces the one of this name.
    pub(super) fn put_upstream(
        &mut self,
        name: &str,
        url: &str,
        version: &str,
        signers: &[String],
    ) -> Result<(), Failure> {
        let mut table = Table::new();
        table["name"] = value(name);
        table["url"] = value(url);
        table["version"] = value(version);
        table["trusted_signers"] = value(signers.iter().collect::<toml_edit::Array>());
        let upstreams = self
            .tree
            .entry("upstream")
            .or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        let upstreams = upstreams
            .as_array_of_tables_mut()
            .ok_or_else(|| Failure::refused("the upstreams of the configuration are not written as [[upstream]]"))?;
        upstreams.retain(|upstream| upstream.get("name").and_then(Item::as_str) != Some(name));
        upstreams.push(table);
        Ok(())
    }

    /// Writes the file at once or not at all; what was there stays beside it with `.old` behind its name. Whether
    /// anything changed.
    pub(super) fn write(&self, file: &Path) -> Result<bool, Failure> {
        let text = self.tree.to_string();
        if self.before.as_deref() == Some(text.as_str()) {
            return Ok(false);
        }
        let folder = super::folder_of(file);
        let write = || -> std::io::Result<()> {
            let mut new = tempfile::NamedTempFile::new_in(folder)?;
            new.write_all(text.as_bytes())?;
            new.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
            new.as_file().sync_all()?;
            if self.before.is_some() {
                let mut old = file.as_os_str().to_owned();
                old.push(".old");
                std::fs::copy(file, old)?;
            }
            new.persist(file)?;
            std::fs::File::open(folder)?.sync_all()
        };
        write().map_err(|error| Failure::file(file, error))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_change_and_comments_stay() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        let mut document = Document::open(&file).unwrap();
        assert_eq!(document.text("node", "mnemonic"), Some(PLACEHOLDER));
        document.set("node", "mnemonic", "RSMEV73");
        document.set("storage", "master_key", "/k");
        document
            .put_upstream("federal", "http://bus/ws", "1.2", &["/a.crt".to_owned()])
            .unwrap();
        assert!(document.write(&file).unwrap());
        let written = std::fs::read_to_string(&file).unwrap();
        let expected = COMMENTED.replace("mnemonic = \"RSMEV00\" ", "mnemonic = \"RSMEV73\" ");
        assert!(
            written.contains("mnemonic = \"RSMEV73\"                   # the gateway's own"),
            "{written}"
        );
        for line in expected.lines() {
            assert!(written.contains(line), "{line}");
        }
        // Again, with a name that is there already: replaced, and the file before is kept.
        let mut document = Document::open(&file).unwrap();
        document
            .put_upstream("federal", "http://other/ws", "1.3", &["/a.crt".to_owned()])
            .unwrap();
        assert!(document.write(&file).unwrap());
        assert!(!Document::open(&file).unwrap().write(&file).unwrap());
        let again = std::fs::read_to_string(&file).unwrap();
        assert!(again.contains("http://other/ws") && !again.contains("http://bus/ws"));
        assert_eq!(
            std::fs::read_to_string(folder.path().join("gateway.toml.old")).unwrap(),
            written
        );
    }
}
