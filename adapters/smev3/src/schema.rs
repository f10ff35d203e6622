//! Payload schemas of kinds: what may be registered, and validators made of it.
//!
//! A schema is a bundle of files. Before anything compiles it, [`check`] makes sure that it has no DTD and that its
//! imports stay inside the bundle. The compiler reads included files from a directory; the bundle is written to a
//! private one for that moment only.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use engine::command::SchemaVerdict;
use engine::registry::{Kind, Registry, Schema};
use uppsala::XsdValidator;
use xmldsig::{Document, Element, Limits};

use crate::{splice, wording, xml};

const XSD: &str = "http://www.w3.org/2001/XMLSchema";
/// Messages of a verdict at most, and characters of each.
const MESSAGES: usize = 10;
const MESSAGE_LEN: usize = 500;
/// Files of a bundle at most.
const MAX_FILES: usize = 200;

/// Why a bundle of schema files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The main file is not in the bundle.
    #[error("the schema {0} is not among its files")]
    Main(String),
    /// More files than allowed.
    #[error("the schema has more than {MAX_FILES} files")]
    TooMany,
    /// The name of a file leads out of the folder.
    #[error("{0}: the name leads out of the schema's folder")]
    Name(String),
    /// A file is not an XML document that we accept; one with a DTD is not.
    #[error("{file}: {error}")]
    Parse {
        /// The file.
        file: String,
        /// What is wrong.
        error: xmldsig::ParseError,
    },
    /// A file is not a schema.
    #[error("{0}: the root is not xs:schema")]
    NotSchema(String),
    /// An include or import that leads out of the folder, to the network, or to nothing.
    #[error("{file}: {location}: schemas may refer only to files of their own folder")]
    Location {
        /// The file with the reference.
        file: String,
        /// The reference.
        location: String,
    },
    /// The compiler does not accept it.
    #[error("{file}: {message}")]
    Compile {
        /// The main file.
        file: String,
        /// What it says.
        message: String,
    },
    /// The bundle could not be written for the compiler, or a file could not be fetched.
    #[error("the schema's files cannot be handled: {0}")]
    Io(#[from] io::Error),
}

/// A compiled schema.
pub struct Validator {
    compiled: XsdValidator,
}

impl std::fmt::Debug for Validator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Validator")
    }
}

impl Validator {
    /// Validates a payload.
    pub fn validate(&self, payload: Element<'_, '_>) -> SchemaVerdict {
        self.validate_text(&splice::standalone(payload))
    }

    fn validate_text(&self, payload: &str) -> SchemaVerdict {
        let document = match uppsala::parse(payload) {
            Ok(document) => document,
            Err(_) => return SchemaVerdict::Invalid(vec![wording::unreadable_for_schema()]),
        };
        let errors = self.compiled.validate(&document);
        if errors.is_empty() {
            return SchemaVerdict::Valid;
        }
        let messages = errors
            .iter()
            .take(MESSAGES)
            .map(|error| xml::shortened(&wording::schema(error), MESSAGE_LEN).to_owned());
        SchemaVerdict::Invalid(messages.collect())
    }
}

/// Checks a bundle without compiling it: no DTD anywhere, every reference inside the folder and answered by a file.
///
/// # Errors
/// [`SchemaError`]: the first thing that is wrong.
pub fn check(main: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<(), SchemaError> {
    if files.len() > MAX_FILES {
        return Err(SchemaError::TooMany);
    }
    if !files.contains_key(main) {
        return Err(SchemaError::Main(main.to_owned()));
    }
    for (file, octets) in files {
        if normal(Path::new(""), file).is_none_or(|path| path.to_str() != Some(file.as_str())) {
            return Err(SchemaError::Name(file.clone()));
        }
        let document = Document::parse(octets, &Limits::default()).map_err(|error| SchemaError::Parse {
            file: file.clone(),
            error,
        })?;
        let root = document.root();
        if !root.is(XSD, "schema") {
            return Err(SchemaError::NotSchema(file.clone()));
        }
        for reference in root.children().filter(|child| child.namespace() == Some(XSD)) {
            let Some(location) = reference.attribute("schemaLocation") else {
                continue;
            };
            if !matches!(reference.local_name(), "include" | "import" | "redefine" | "override") {
                continue;
            }
            let folder = Path::new(file).parent().unwrap_or(Path::new(""));
            let target = normal(folder, location.trim());
            if !target
                .and_then(|path| path.to_str().map(|path| files.contains_key(path)))
                .unwrap_or(false)
            {
                return Err(SchemaError::Location {
                    file: file.clone(),
                    location: location.to_owned(),
                });
            }
        }
    }
    Ok(())
}

/// Checks a bundle and compiles it. Takes milliseconds and touches the disk: not for async threads.
///
/// # Errors
/// [`SchemaError`].
pub fn compile(main: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<Validator, SchemaError> {
    check(main, files)?;
    let folder = Folder::create()?;
    for (file, octets) in files {
        fs::write(folder.0.join(flat(file, files)), flattened(file, octets, files)?)?;
    }
    let refused = |message: String| SchemaError::Compile {
        file: main.to_owned(),
        message,
    };
    let path = folder.0.join(flat(main, files));
    let text = fs::read_to_string(&path)?;
    let document = uppsala::parse(&text).map_err(|error| refused(error.to_string()))?;
    let compiled =
        XsdValidator::from_schema_with_base_path(&document, Some(&path)).map_err(|error| refused(error.to_string()))?;
    Ok(Validator { compiled })
}

/// The compiler leaves out, without a word, what lies above the including file's own directory. So it gets all files in
/// one directory, under other names, and each reference rewritten to them.
fn flattened(file: &str, octets: &[u8], files: &BTreeMap<String, Vec<u8>>) -> Result<String, SchemaError> {
    let document = Document::parse(octets, &Limits::default()).map_err(|error| SchemaError::Parse {
        file: file.to_owned(),
        error,
    })?;
    let source = document.source();
    let mut out = String::with_capacity(source.len());
    let mut copied = source.len() - source.trim_start_matches('\u{feff}').len();
    for (reference, location) in references(document.root()) {
        let Some(target) = target(file, location, files) else {
            continue;
        };
        let begin = reference.range().start;
        for (_, value) in splice::attributes(reference.source()).filter(|(name, _)| *name == "schemaLocation") {
            out.push_str(&source[copied..begin + value.start]);
            out.push_str(&flat(&target, files));
            copied = begin + value.end;
        }
    }
    out.push_str(&source[copied..]);
    Ok(out)
}

/// A file's name in the compiler's directory.
fn flat(file: &str, files: &BTreeMap<String, Vec<u8>>) -> String {
    format!("{}.xsd", files.keys().take_while(|name| name.as_str() < file).count())
}

/// What a schema includes and imports by name.
fn references<'d, 'a>(root: Element<'d, 'a>) -> impl Iterator<Item = (Element<'d, 'a>, &'d str)> {
    let referring = |element: &Element<'_, '_>| {
        element.namespace() == Some(XSD)
            && matches!(element.local_name(), "include" | "import" | "redefine" | "override")
    };
    root.children()
        .filter(referring)
        .filter_map(|element| Some((element, element.attribute("schemaLocation")?)))
}

/// The file of the bundle that a reference means.
fn target(file: &str, location: &str, files: &BTreeMap<String, Vec<u8>>) -> Option<String> {
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let path = normal(folder, location.trim())?.to_str()?.to_owned();
    files.contains_key(&path).then_some(path)
}

/// A reference resolved within the bundle; `None` if it leads out of it.
fn normal(folder: &Path, reference: &str) -> Option<PathBuf> {
    if reference.is_empty() || reference.contains([':', '\\', '%', '?', '#']) {
        return None;
    }
    let mut path = PathBuf::new();
    for component in folder.join(reference).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

/// A directory that only this process's user can enter and that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn create() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(format!("rsmev-schema-{}", uuid::Uuid::new_v4()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What remains is a copy of public schemas in a directory for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Validators by the schema's content: compiled once, kept while the registry names them.
#[derive(Debug, Default)]
pub struct Validators {
    compiled: Mutex<HashMap<Key, Arc<Validator>>>,
}

type Key = (String, Vec<(String, String)>);

impl Validators {
    /// The validator of a kind; `None` if the kind has no schema. `blob` fetches a file by its digest.
    /// May compile, and then forgets what no kind of the registry uses any more: not for async threads.
    ///
    /// # Errors
    /// [`SchemaError`] if the registered files cannot be read or no longer compile.
    pub fn of(
        &self,
        registry: &Registry,
        kind: &Kind,
        blob: impl Fn(&str) -> io::Result<Vec<u8>>,
    ) -> Result<Option<Arc<Validator>>, SchemaError> {
        let Some(schema) = &kind.schema else { return Ok(None) };
        let key = key(schema);
        if let Some(found) = self.lock().get(&key) {
            return Ok(Some(Arc::clone(found)));
        }
        let files = schema
            .files
            .iter()
            .map(|(name, digest)| Ok((name.clone(), blob(digest)?)));
        let files = files.collect::<io::Result<BTreeMap<_, _>>>()?;
        let validator = Arc::new(compile(&schema.main, &files)?);
        let wanted: HashSet<Key> = registry
            .content()
            .kinds
            .values()
            .filter_map(|kind| kind.schema.as_ref().map(self::key))
            .collect();
        let mut compiled = self.lock();
        compiled.retain(|key, _| wanted.contains(key));
        compiled.insert(key, Arc::clone(&validator));
        Ok(Some(validator))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Validator>>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(schema: &Schema) -> Key {
    (
        schema.main.clone(),
        schema
            .files
            .iter()
            .map(|(name, digest)| (name.clone(), digest.clone()))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:c="urn:c" targetNamespace="urn:m"
        elementFormDefault="qualified"><xs:import namespace="urn:c" schemaLocation="../commons/c.xsd"/>
        <xs:element name="R"><xs:complexType><xs:sequence><xs:element name="n" type="c:N"/></xs:sequence></xs:complexType>
        </xs:element></xs:schema>"#;
    const COMMON: &str = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:c">
        <xs:simpleType name="N"><xs:restriction base="xs:int"><xs:maxInclusive value="9"/></xs:restriction></xs:simpleType>
        </xs:schema>"#;

    fn bundle(main: &str) -> BTreeMap<String, Vec<u8>> {
        [("a/m.xsd", main), ("commons/c.xsd", COMMON)]
            .map(|(n, t)| (n.to_owned(), t.as_bytes().to_vec()))
            .into()
    }

    fn verdict(validator: &Validator, payload: &str) -> SchemaVerdict {
        let document = Document::parse(payload.as_bytes(), &Limits::default()).unwrap();
        validator.validate(document.root())
    }

    #[test]
    fn a_payload_is_judged_by_all_files_of_its_schema() {
        let validator = compile("a/m.xsd", &bundle(MAIN)).unwrap();
        assert_eq!(
            verdict(&validator, r#"<R xmlns="urn:m"><n>7</n></R>"#),
            SchemaVerdict::Valid
        );
        let SchemaVerdict::Invalid(messages) = verdict(&validator, r#"<R xmlns="urn:m"><n>10</n></R>"#) else {
            panic!("10 is more than 9");
        };
        assert!(!messages.is_empty() && messages.len() <= MESSAGES);
        assert!(matches!(
            verdict(&validator, r#"<Q xmlns="urn:m"/>"#),
            SchemaVerdict::Invalid(_)
        ));
    }

    #[test]
    fn what_leads_out_of_the_folder_or_has_a_dtd_is_refused() {
        for location in [
            "../../c.xsd",
            "/etc/passwd",
            "http://x/c.xsd",
            "file:c.xsd",
            "c.xsd",
            "..%2f..%2fc.xsd",
            "",
        ] {
            let files = bundle(&MAIN.replace("../commons/c.xsd", location));
            assert!(
                matches!(check("a/m.xsd", &files), Err(SchemaError::Location { .. })),
                "{location}"
            );
        }
        let dtd = bundle(&format!("<!DOCTYPE x [<!ENTITY e 'v'>]>{MAIN}"));
        assert!(matches!(check("a/m.xsd", &dtd), Err(SchemaError::Parse { .. })));
        assert!(matches!(check("m.xsd", &bundle(MAIN)), Err(SchemaError::Main(_))));
        assert!(matches!(
            check("a/m.xsd", &bundle("<a/>")),
            Err(SchemaError::NotSchema(_))
        ));
        let mut outside = bundle(MAIN);
        outside.insert("../x.xsd".into(), COMMON.into());
        assert!(matches!(check("a/m.xsd", &outside), Err(SchemaError::Name(_))));
    }

    #[test]
    fn a_schema_is_compiled_once_and_forgotten_with_its_kind() {
        let files = bundle(MAIN);
        let kind = Kind {
            name: "k".parse().unwrap(),
            namespace: "urn:m".into(),
            request: "R".into(),
            response: "S".into(),
            scope: engine::registry::Scope::Any,
            schema: Some(Schema {
                main: "a/m.xsd".into(),
                files: files.keys().map(|name| (name.clone(), name.clone())).collect(),
            }),
        };
        let validators = Validators::default();
        let blob = |name: &str| {
            files
                .get(name)
                .cloned()
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        let with = |kinds: &[&Kind]| {
            let kinds = kinds.iter().map(|kind| (kind.name.clone(), (*kind).clone())).collect();
            Registry::new(engine::registry::RegistryContent {
                kinds,
                ..Default::default()
            })
        };
        let first = validators.of(&with(&[&kind]), &kind, blob).unwrap().unwrap();
        let again = validators
            .of(&with(&[&kind]), &kind, |_| panic!("fetched again"))
            .unwrap()
            .unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let mut other = Kind {
            name: "o".parse().unwrap(),
            ..kind.clone()
        };
        other.schema = Some(Schema {
            main: "commons/c.xsd".into(),
            ..kind.schema.clone().unwrap()
        });
        validators.of(&with(&[&other]), &other, blob).unwrap().unwrap();
        assert!(
            validators
                .of(&with(&[&kind]), &kind, |_| Err(io::ErrorKind::NotFound.into()))
                .is_err()
        );
        assert!(
            validators
                .of(&with(&[]), &Kind { schema: None, ..kind }, blob)
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn the_published_schemas_compile() {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/public/business-schemas/1999764");
        if !base.exists() {
            eprintln!("SKIPPED: no {}", base.display());
            return;
        }
        let names = ["gisogd73-gpzu-1.0.0.xsd", "commons/gisogd73-commons-1.0.0.xsd"];
        let files = names
            .map(|name| (name.to_owned(), fs::read(base.join(name)).unwrap()))
            .into();
        compile(names[0], &files).unwrap();
    }
}
