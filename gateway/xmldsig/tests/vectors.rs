//! The SMEV transform against what the reference algorithm, the official recommendations and real systems wrote.
#![allow(clippy::unwrap_used)]

mod common;

use common::{pairs, parse, published};
use std::{fs, path::PathBuf};
use xmldsig::{Limits, TransformError, exclusive_c14n, smev_transform, smev_transform_octets};

fn own(folder: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/transform")).join(folder)
}

/// Woodstox copies a raw CDATA section as one; after a canonicalisation, which is what signatures have, it is text.
const RAW_CDATA: &str = "t02_pi_comment_cdata";

#[test]
fn the_transform_of_octets_gives_what_the_reference_algorithm_gives() {
    let vectors = pairs(&own("edge"));
    assert!(vectors.len() > 50, "only {} vectors", vectors.len());
    for (name, input, expected) in vectors {
        let output = smev_transform_octets(&input, &Limits::default()).unwrap();
        let expected = String::from_utf8(expected).unwrap();
        if name == RAW_CDATA {
            assert!(expected.contains("<![CDATA["));
            assert_eq!(
                output,
                expected.replace("<![CDATA[ raw < & > ]]>", " raw &lt; &amp; > "),
                "{name}"
            );
        } else {
            assert_eq!(output, expected, "{name}");
        }
    }
}

#[test]
fn canonicalised_first_the_vectors_come_out_the_same() {
    for (name, input, _) in pairs(&own("edge")) {
        let document = parse(&input);
        let canonical = exclusive_c14n(document.root(), &[]);
        let fused = smev_transform(document.root()).unwrap();
        assert_eq!(
            smev_transform_octets(canonical.as_bytes(), &Limits::default()).unwrap(),
            fused,
            "{name}"
        );
    }
}

#[test]
fn what_fails_in_the_reference_algorithm_fails_here() {
    let mut seen = 0;
    for file in fs::read_dir(own("edge-error")).unwrap() {
        let input = fs::read(file.unwrap().path()).unwrap();
        let error = smev_transform_octets(&input, &Limits::default()).unwrap_err();
        assert!(
            matches!(
                error,
                TransformError::NoNamespace { .. } | TransformError::XmlAttribute { .. }
            ),
            "{error}"
        );
        seen += 1;
    }
    assert_eq!(seen, 3);
}

#[test]
fn the_official_cases_and_real_business_documents_come_out_as_published() {
    for (folder, least) in [("public/transform/mr-cases", 4), ("public/transform/business", 10)] {
        let Some(folder) = published(folder) else { continue };
        let cases = pairs(&folder);
        assert!(cases.len() >= least);
        for (name, input, expected) in cases {
            let output = smev_transform(parse(&input).root()).unwrap();
            let expected = String::from_utf8(expected).unwrap();
            assert_eq!(output, expected.trim_end_matches(['\r', '\n']), "{name}");
        }
    }
}
