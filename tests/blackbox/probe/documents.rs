//! The tables of the documents are those of the program.

use std::process::Command;

use crate::common::BINARY;

#[test]
fn the_documents_have_the_table_of_faults_that_the_program_has() {
    for (file, language, document) in [
        ("docs/connecting.md", "en", include_str!("../../../docs/connecting.md")),
        (
            "docs/ru/connecting.md",
            "ru",
            include_str!("../../../docs/ru/connecting.md"),
        ),
    ] {
        let arguments = ["reference", "faults", "--language", language];
        let output = Command::new(BINARY).args(arguments).output().unwrap();
        let table = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && table.lines().count() > 20, "{table}");
        let command = arguments.join(" ");
        assert!(
            document.contains(&table),
            "{file} does not have what `rsmev {command}` writes"
        );
    }
}
