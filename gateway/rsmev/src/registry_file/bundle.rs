//! A payload schema with everything that it imports, as one bundle of files within its folder.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use super::read_bounded;

/// Files in one bundle; a real kind has a handful.
const MAX_FILES: usize = 256;

const XSD: &str = "http://www.w3.org/2001/XMLSchema";

/// A schema's files by their path within its folder.
#[derive(Debug)]
pub(super) struct Bundle {
    /// The file to start from.
    pub(super) main: String,
    /// All of them.
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

/// Reads a schema and, following their `schemaLocation`s, the files that it imports and includes. `schema` is relative
/// to `folder`.
pub(super) fn read(folder: &Path, schema: &str) -> Result<Bundle, String> {
    let schema = folder.join(schema);
    let main = schema
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or("must be the path of a file")?
        .to_owned();
    let folder = schema.parent().unwrap_or(folder);
    let mut bundle = Bundle {
        main: main.clone(),
        files: BTreeMap::new(),
    };
    let mut waiting = vec![main];
    while let Some(path) = waiting.pop() {
        if bundle.files.contains_key(&path) {
            continue;
        }
        if bundle.files.len() == MAX_FILES {
            return Err(format!("has more than {MAX_FILES} files"));
        }
        let octets = read_bounded(&folder.join(&path)).map_err(|text| format!("{path}: {text}"))?;
        for location in locations(&octets).map_err(|text| format!("{path}: {text}"))? {
            waiting.push(resolve(&path, &location).map_err(|text| format!("{path}: {text}"))?);
        }
        bundle.files.insert(path, octets);
    }
    Ok(bundle)
}

/// Where a schema document says that its imports and includes lie.
fn locations(octets: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(octets).map_err(|_| "is not UTF-8")?;
    // DTDs are refused by the parser's default.
    let document =
        roxmltree::Document::parse(text.trim_start_matches('\u{feff}')).map_err(|error| error.to_string())?;
    let root = document.root_element();
    if !root.has_tag_name((XSD, "schema")) {
        return Err("is not an XML schema".to_owned());
    }
    let referring = root.children().filter(|node| {
        ["import", "include", "redefine", "override"]
            .iter()
            .any(|name| node.has_tag_name((XSD, *name)))
    });
    Ok(referring
        .filter_map(|node| node.attribute("schemaLocation"))
        .map(str::to_owned)
        .collect())
}

/// The path within the bundle's folder that a location in the file `from` means.
fn resolve(from: &str, location: &str) -> Result<String, String> {
    let outside = || format!("schemaLocation {location:?} leads out of the schema's folder");
    if location.contains(':') || location.starts_with('/') || location.contains('\\') {
        return Err(outside());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for component in Path::new(location).components() {
        match component {
            Component::Normal(name) => parts.push(name.to_str().ok_or_else(outside)?),
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop().ok_or_else(outside)?;
            }
            _ => return Err(outside()),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMPORTS: &str = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
        <xs:import namespace="urn:a" schemaLocation="common/types.xsd"/></xs:schema>"#;
    const BACK: &str = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:include schemaLocation="../main.xsd"/></xs:schema>"#;

    #[test]
    fn a_bundle_has_everything_that_is_imported() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("kind/common")).unwrap();
        std::fs::write(folder.path().join("kind/main.xsd"), IMPORTS).unwrap();
        std::fs::write(folder.path().join("kind/common/types.xsd"), BACK).unwrap();
        std::fs::write(folder.path().join("kind/unrelated.xsd"), "not even XML").unwrap();
        let bundle = read(folder.path(), "kind/main.xsd").unwrap();
        assert_eq!(bundle.main, "main.xsd");
        assert_eq!(
            bundle.files.keys().collect::<Vec<_>>(),
            ["common/types.xsd", "main.xsd"]
        );
    }

    #[test]
    fn no_location_leads_out_of_the_folder() {
        assert_eq!(resolve("a/b.xsd", "../c.xsd"), Ok("c.xsd".to_owned()));
        for location in [
            "../x.xsd",
            "/etc/passwd",
            "http://example.org/x.xsd",
            "a/../../x.xsd",
            "..\\x.xsd",
        ] {
            assert!(
                resolve("main.xsd", location).unwrap_err().contains("leads out"),
                "{location}"
            );
        }
    }

    #[test]
    fn a_dtd_is_refused() {
        assert!(locations(b"<!DOCTYPE x []><x/>").is_err());
    }
}
