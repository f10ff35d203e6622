//! Answers against the published schemas, by xmllint.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use smev3::Version;
use xmldsig::{Document, Limits};

/// Validates the element in the body (of a fault: the one in its detail).
pub(crate) fn check(version: Version, envelope: &str) {
    let folder = match version {
        Version::V1_1 => "1.1",
        Version::V1_2 => "1.2-effective",
        Version::V1_3 => "1.3-newer",
    };
    let base = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/data/public/schemas"
    ))
    .join(folder);
    let document = Document::parse(envelope.as_bytes(), &Limits::default()).unwrap();
    let body = smev3::envelope::body(&document).unwrap();
    let detail = body.children().find(|child| child.local_name() == "detail");
    let element = detail.map_or(body, |detail| detail.children().next().unwrap());
    let file = |name: &str| base.join(format!("smev-message-exchange-{name}-{version}.xsd"));
    if !file("types").exists() || Command::new("xmllint").arg("--version").output().is_err() {
        eprintln!("SKIPPED: no xmllint or no {}", base.display());
        return;
    }
    // The types do not import the faults, which stand in them by xsi:type.
    let both = format!(
        r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:import namespace="{}" schemaLocation="{}"/>
        <xs:import namespace="{}" schemaLocation="{}"/></xs:schema>"#,
        version.types(),
        file("types").display(),
        version.faults(),
        file("faults").display()
    );
    let mut schema = tempfile::NamedTempFile::new().unwrap();
    schema.write_all(both.as_bytes()).unwrap();
    let mut lint = Command::new("xmllint")
        .args(["--noout", "--nonet", "--schema"])
        .arg(schema.path())
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = smev3::splice::standalone(element);
    lint.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = lint.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{text}",
        String::from_utf8_lossy(&output.stderr)
    );
}
