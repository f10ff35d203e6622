//! Canonical forms, and what counts as well-formed, against libxml2's `xmllint`.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use common::generator::{Style, element, write};
use proptest::{prelude::*, test_runner::TestRunner};
use std::{
    cell::Cell,
    fs,
    path::Path,
    process::{Command, Output},
};
use xmldsig::{Document, Element, Limits, exclusive_c14n, inclusive_c14n};

/// Runs the body with a folder to write to, or skips it loudly. `RSMEV_REQUIRE_XMLLINT=1` forbids skipping.
fn with_xmllint(body: impl FnOnce(&Path)) {
    if Command::new("xmllint").arg("--version").output().is_ok() {
        let folder = tempfile::tempdir().unwrap();
        return body(folder.path());
    }
    assert!(
        std::env::var_os("RSMEV_REQUIRE_XMLLINT").is_none_or(|v| v != "1"),
        "xmllint is required and not there"
    );
    eprintln!("SKIPPED: xmllint is not installed; canonical forms are not compared with libxml2's");
}

fn xmllint(folder: &Path, option: &str, octets: &[u8]) -> Output {
    let file = folder.join("document.xml");
    fs::write(&file, octets).unwrap();
    Command::new("xmllint")
        .args(["--nonet", option])
        .arg(&file)
        .output()
        .unwrap()
}

/// xmllint keeps comments. In a canonical form nothing else begins so, except within an instruction.
fn without_comments(canonical: &[u8]) -> String {
    let mut rest = std::str::from_utf8(canonical).unwrap();
    let mut out = String::new();
    while let Some(at) = rest.find('<') {
        let (before, here) = rest.split_at(at);
        out.push_str(before);
        let (kept, end) = if here.starts_with("<!--") {
            (false, here.find("-->").unwrap() + 3)
        } else if here.starts_with("<?") {
            (true, here.find("?>").unwrap() + 2)
        } else {
            (true, 1)
        };
        if kept {
            out.push_str(&here[..end]);
        }
        rest = &here[end..];
    }
    out + rest
}

#[test]
fn comments_are_told_from_what_looks_like_one() {
    let canonical = "<a><?b <!-- c?>d<!-- <e> -->f</a><!-- g -->";
    assert_eq!(without_comments(canonical.as_bytes()), "<a><?b <!-- c?>df</a>");
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    })
}

fn styled() -> impl Strategy<Value = String> {
    (element(false), 0..5_usize, any::<bool>()).prop_map(|(root, prefixes, expanded)| {
        write(
            &root,
            Style {
                prefixes,
                expanded,
                reversed: expanded,
                indented: !expanded,
            },
        )
    })
}

#[test]
fn canonical_forms_of_random_documents_are_those_of_libxml2() {
    with_xmllint(|folder| {
        let compare = |xml: String| {
            let document = Document::parse(xml.as_bytes(), &Limits::default()).unwrap();
            for (option, ours) in [
                ("--exc-c14n", exclusive_c14n(document.root(), &[])),
                ("--c14n", inclusive_c14n(document.root())),
            ] {
                let theirs = xmllint(folder, option, xml.as_bytes());
                prop_assert!(theirs.status.success(), "{}", String::from_utf8_lossy(&theirs.stderr));
                prop_assert_eq!(ours, without_comments(&theirs.stdout), "{}", option);
            }
            Ok(())
        };
        runner(250).run(&styled(), compare).unwrap();
    });
}

fn namespaces<'d>(root: Element<'d, '_>) -> impl Iterator<Item = &'d str> {
    let mut open = vec![root];
    std::iter::from_fn(move || {
        let element = open.pop()?;
        open.extend(element.children());
        Some(element)
    })
    .flat_map(|element| element.namespaces_in_scope().map(|(_, uri)| uri))
}

/// Everything that a document may be damaged with; each piece is dear to some parser.
const PIECES: [&str; 40] = [
    "<",
    ">",
    "/",
    "&",
    "\"",
    "'",
    "=",
    " ",
    "\r",
    "\r\n",
    "]]>",
    "<!--",
    "-->",
    "--",
    "<![CDATA[",
    "<?",
    "?>",
    "<?xml",
    ":",
    "xmlns",
    "xmlns:",
    "xmlns=\"\"",
    " xmlns:p=\"\"",
    " p:xmlns=\"urn:x\"",
    " xmlns:xml=\"urn:x\"",
    "xml:lang=\"x\"",
    "&#xD800;",
    "&#0;",
    "&#13;",
    "&amp;",
    "&x;",
    "\u{0}",
    "\u{1}",
    "\u{fffe}",
    "\u{feff}",
    "</a>",
    "<a>",
    "<:a/>",
    "p:",
    "1",
];

#[test]
fn what_we_read_libxml2_reads_too_and_in_the_same_way() {
    with_xmllint(|folder| {
        let damaged = (
            styled(),
            prop::collection::vec((any::<prop::sample::Index>(), 0..PIECES.len(), any::<bool>()), 1..3),
        );
        let accepted = Cell::new(0);
        let compare = |(mut xml, damages): (String, Vec<(prop::sample::Index, usize, bool)>)| {
            for (place, piece, replace) in damages {
                let places: Vec<usize> = xml.char_indices().map(|(at, _)| at).collect();
                let at = *place.get(&places);
                let end = if replace {
                    at + xml[at..].chars().next().map_or(0, char::len_utf8)
                } else {
                    at
                };
                xml.replace_range(at..end, PIECES[piece]);
            }
            let Ok(document) = Document::parse(xml.as_bytes(), &Limits::default()) else {
                return Ok(());
            };
            // libxml2 writes `&` in a namespace name as it is, which is no XML.
            if namespaces(document.root()).any(|uri| uri.contains('&')) {
                return Ok(());
            }
            accepted.set(accepted.get() + 1);
            let theirs = xmllint(folder, "--exc-c14n", xml.as_bytes());
            let complaint = String::from_utf8_lossy(&theirs.stderr);
            // libxml2 also wants namespace names to be absolute URIs; to us, as to the specification, they are strings.
            if complaint.contains("is not a valid URI") || complaint.contains("Relative namespace") {
                return Ok(());
            }
            // Names that begin with `xml` are reserved, which is no fault of the document: a warning.
            let reserved = complaint.contains("parser warning : xmlParsePITarget: invalid name prefix 'xml'");
            prop_assert!(
                theirs.status.success() && (complaint.is_empty() || reserved),
                "{}\n{}",
                xml,
                complaint
            );
            let whole = without_comments(&theirs.stdout);
            prop_assert!(whole.contains(&exclusive_c14n(document.root(), &[])), "{}", xml);
            Ok(())
        };
        runner(1500).run(&damaged, compare).unwrap();
        assert!(
            accepted.get() > 100,
            "only {} damaged documents were still documents",
            accepted.get()
        );
    });
}
