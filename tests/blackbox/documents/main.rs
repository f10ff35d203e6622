//! What the documents show to be typed works: README.md and everything in docs/.
//!
//! A block marked `sh`, `bash` or `console` is run in its scene, or says why it is not ([`harness::documents`] tells
//! how). Blocks of a Russian document are those of the English one, and are run there.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]

#[path = "../common/mod.rs"]
mod common;

mod output;
mod scene;

use std::path::{Path, PathBuf};

use harness::documents::{self, Block, Document};

use scene::Scene;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn all() -> Vec<Document> {
    documents::all(&root()).unwrap()
}

fn is_russian(document: &Document) -> bool {
    document.path.starts_with("docs/ru/")
}

#[test]
fn what_is_to_be_typed_is_marked_and_has_a_scene_or_a_reason_why_it_is_not_run() {
    let mut wrong = Vec::new();
    for document in all() {
        let path = &document.path;
        wrong.extend(
            document
                .stray
                .iter()
                .map(|(line, said)| format!("{path}:{line}: {said}")),
        );
        for block in &document.blocks {
            let mut say = |what: &str| wrong.push(format!("{path}:{}: {what}", block.line));
            if !block.is_shell() {
                let looks_typed = |line: &str| line.starts_with("rsmev ") || documents::prompted(line).is_some();
                if block.language.is_empty() && block.text.lines().any(looks_typed) {
                    say("mark the block sh or console, or text if it is not to be typed");
                }
                continue;
            }
            match (&block.scene, &block.directions.not_run) {
                _ if is_russian(&document) => {}
                (_, Some(reason)) if reason.len() < 10 => say("say why it is not run"),
                (None, None) => say("name a scene, or say why it is not run"),
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is typed, without remarks, and without what is said in a language.
fn masked(block: &Block) -> Vec<Vec<String>> {
    let word = |word: String| match word.chars().all(|c| c.is_ascii_graphic()) {
        true => word,
        false => "…".to_owned(),
    };
    let lines = block.typed();
    let commands = lines.iter().flat_map(|line| documents::commands(line));
    commands
        .map(|command| command.into_iter().map(word).collect())
        .collect()
}

#[test]
fn a_russian_document_shows_the_commands_of_the_english_one() {
    let documents = all();
    let typed = |document: &Document| -> Vec<_> {
        let blocks = document.blocks.iter().filter(|block| block.is_shell());
        blocks.map(masked).collect()
    };
    for russian in documents.iter().filter(|document| is_russian(document)) {
        let path = russian.path.replacen("docs/ru/", "docs/", 1);
        let english = documents.iter().find(|document| document.path == path);
        let english = english.unwrap_or_else(|| panic!("{} has no English twin {path}", russian.path));
        assert_eq!(typed(russian), typed(english), "{} (left) against {path}", russian.path);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_documents_show_works() {
    let (mut run, mut wrong) = (0, Vec::new());
    for document in all().iter().filter(|document| !is_russian(document)) {
        let mut scene: Option<(usize, Scene)> = None;
        for block in &document.blocks {
            let place = format!("{}:{}", document.path, block.line);
            let Some((name, number)) = &block.scene else { continue };
            let is_run = block.is_shell() && block.directions.not_run.is_none();
            if !is_run && block.directions.file.is_none() {
                continue;
            }
            if scene.as_ref().is_none_or(|(playing, _)| playing != number) {
                scene = Some((
                    *number,
                    Scene::named(name)
                        .await
                        .unwrap_or_else(|text| panic!("{place}: {text}")),
                ));
            }
            let Some((_, scene)) = &mut scene else { continue };
            if let Some(file) = &block.directions.file {
                scene.write(file, &block.text);
                continue;
            }
            run += 1;
            if let Err(text) = scene.play(block).await {
                wrong.push(format!("{place}: {text}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {run} blocks:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
    assert!(run > 5, "some blocks are run, and not {run}");
}
