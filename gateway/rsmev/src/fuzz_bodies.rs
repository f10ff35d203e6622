//! What must hold for any octets whatever: the bodies of the fuzz targets, which also run as plain tests.
//!
//! Each panics when a promise is broken, and only then.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use engine::registry::RegistryContent;

use crate::backup;
use crate::registry_file::{Collected, export};
use crate::settings::Settings;

/// A backup's manifest names places inside of its folder alone, and is signed as a whole or not at all.
///
/// # Panics
/// When it is not.
pub fn manifest(octets: &[u8]) {
    backup::manifest::fuzz_body(octets);
}

/// A configuration is taken or refused.
///
/// # Panics
/// Never.
pub fn configuration(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    if let Ok(settings) = Settings::parse("gateway.toml", text, &BTreeMap::new()) {
        let _ = settings.engine();
    }
}

/// A registry that is taken is the same when it is exported and applied again, and its export stays in its folder.
///
/// # Panics
/// When it is not.
pub fn registry_file(octets: &[u8]) {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder =
        FOLDER.get_or_init(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/seeds/certificate"));
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let none = RegistryContent::default();
    let mut collected = Collected::default();
    if collected.add_text("registry.toml", text, folder).is_err() {
        return;
    }
    let Ok((content, blobs)) = collected.conclude(&none) else {
        return;
    };
    let exported = export(&content, &blobs).expect("everything that was read can be written");
    let elsewhere = tempfile::tempdir().expect("there is a place for temporary files");
    for (path, octets) in &exported.files {
        let mut components = Path::new(path).components();
        assert!(components.all(|part| matches!(part, Component::Normal(_))), "{path}");
        let file = elsewhere.path().join(path);
        let above = file.parent().expect("it lies in the folder");
        std::fs::create_dir_all(above).expect("a folder of our own can be written");
        std::fs::write(&file, octets).expect("a folder of our own can be written");
    }
    let mut again = Collected::default();
    let read = again.add_text("registry.toml", &exported.registry, elsewhere.path());
    assert!(read.is_ok(), "{read:?}: {}", exported.registry);
    let (written, _) = again.conclude(&none).expect("what was applied can be applied");
    assert_eq!(written, content);
}
