//! What a message costs: our strict parse, canonicalisation, transform and digest, with libxml2's parse and exclusive
//! canonicalisation of the same documents beside them in the same run.
//!
//! libxml2 is measured by a small C program that is compiled for the occasion (`cc`, `xml2-config`); where that does not
//! work the comparison is skipped, loudly. Figures are the best of the rounds that fit into half a second.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use gost::DigestAlgorithm;
use std::{
    fmt::Write as _,
    fs,
    hint::black_box,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use xmldsig::{Document, Limits, exclusive_c14n, smev_transform};

const BUDGET: Duration = Duration::from_millis(500);

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let libxml2 = compile(folder.path());
    println!(
        "{:>9} | {:>22} | {:>22} | {:>22} | {:>10} | libxml2: parse | parse + exc-c14n | ratio",
        "octets", "parse", "parse + exc-c14n", "parse + c14n + SMEV", "Streebog"
    );
    for size in [4 << 10, 77 << 10, 4 << 20] {
        let xml = document(size);
        let limits = Limits::default();
        let parse = || Document::parse(xml.as_bytes(), &limits).expect("the document is well-formed");
        let parsing = best(|| drop(black_box(parse())));
        let canonical = best(|| drop(black_box(exclusive_c14n(parse().root(), &[]))));
        let transformed = best(|| drop(black_box(smev_transform(parse().root()))));
        let octets = smev_transform(parse().root()).expect("every element is in a namespace");
        let digest = best(|| {
            black_box(DigestAlgorithm::Streebog256.hash(octets.as_bytes()));
        });
        let show = |time: f64| format!("{:9.1} µs {:5.0} MB/s", time / 1e3, xml.len() as f64 / time * 1e3);
        print!(
            "{:>9} | {} | {} | {} | {:7.0} µs",
            xml.len(),
            show(parsing),
            show(canonical),
            show(transformed),
            digest / 1e3
        );
        match &libxml2 {
            None => println!(" | not measured"),
            Some(program) => {
                let file = folder.path().join("document.xml");
                fs::write(&file, &xml).expect("the temporary folder is writable");
                let output = Command::new(program)
                    .arg(&file)
                    .arg("0.5")
                    .output()
                    .expect("the program was just built");
                let output = String::from_utf8_lossy(&output.stdout).into_owned();
                let times: Vec<f64> = output.split_whitespace().filter_map(|t| t.parse().ok()).collect();
                let [parse, both] = times[..] else {
                    panic!("libxml2 did not read the document")
                };
                println!(" | {} | {} | {:.2}", show(parse), show(both), both / transformed);
            }
        }
    }
}

fn compile(folder: &Path) -> Option<std::path::PathBuf> {
    let program = folder.join("libxml2");
    let script = r#"cc -O2 -o "$1" "$2" $(xml2-config --cflags) $(xml2-config --libs)"#;
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/libxml2.c");
    let built = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(&program)
        .arg(source)
        .output();
    match built {
        Ok(output) if output.status.success() => Some(program),
        _ => {
            eprintln!("SKIPPED: libxml2 is not measured; that needs cc and libxml2-dev (xml2-config)");
            None
        }
    }
}

/// Nanoseconds of the best round.
fn best(mut work: impl FnMut()) -> f64 {
    let begin = Instant::now();
    work();
    let batch = (2e6 / begin.elapsed().as_nanos().max(1) as f64).clamp(1.0, 1000.0) as u32;
    let mut least = f64::INFINITY;
    while begin.elapsed() < BUDGET {
        let start = Instant::now();
        (0..batch).for_each(|_| work());
        least = least.min(start.elapsed().as_nanos() as f64 / f64::from(batch));
    }
    least
}

/// A request like those of regional systems: nested records, two namespaces, Cyrillic text, some attributes, indented.
fn document(size: usize) -> String {
    let mut xml = String::from(
        r#"<typ:SenderProvidedRequestData xmlns:typ="urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.2" xmlns:bas="urn://x-artefacts-smev-gov-ru/services/message-exchange/types/basic/1.2" Id="SIGNED_BY_CALLER"><typ:MessageID>5f8a3a6e-1d9c-11ec-9621-0242ac130002</typ:MessageID><bas:MessagePrimaryContent><q:Request xmlns:q="urn://gisogd73/gpzu/1.0.0" xmlns:c="urn://gisogd73/commons/1.0.0">
"#,
    );
    let mut record = 0;
    while xml.len() < size - 120 {
        record += 1;
        write!(
            xml,
            "  <q:Record number=\"{record}\" c:kind=\"участок\">\n    <c:LastName>Константинопольский</c:LastName>\n    <c:FirstName>Иван</c:FirstName>\n    <q:CadastralNumber>73:24:{record:06}:17</q:CadastralNumber>\n    <q:Area unit=\"055\">1250.50</q:Area>\n    <q:Note>ул. Ленина, д. 12 &amp; пристройка</q:Note>\n  </q:Record>\n"
        )
        .expect("a String takes everything");
    }
    xml.push_str("</q:Request></bas:MessagePrimaryContent></typ:SenderProvidedRequestData>");
    xml
}
