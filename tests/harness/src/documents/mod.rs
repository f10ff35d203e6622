//! The project's documents as tests read them: what they show to be typed, and what is said about running it.
//!
//! A fenced block marked `sh`, `bash` or `console` is to be run, or says why not. Comments, which no reader sees, say
//! so on lines of their own before the block:
//!
//! ```text
//! <!-- scene: running gateway -->   from here on, blocks are run in this scene
//! <!-- not run: needs systemd -->   the next block is not run
//! <!-- exit: 1 -->                  the next block ends with this code
//! <!-- file: region.toml -->        the next block, of whatever language, is this file of the scene
//! ```

mod words;

pub use words::{calls_of, commands};

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A Markdown file.
#[derive(Debug)]
pub struct Document {
    /// Its path below the project's folder.
    pub path: String,
    /// The fenced blocks, in order.
    pub blocks: Vec<Block>,
    /// Code within the text, with its line.
    pub spans: Vec<(usize, String)>,
    /// Comments that look like directions and are none, or stand before nothing, with their line.
    pub stray: Vec<(usize, String)>,
}

/// A fenced block.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// Line of its beginning, from 1.
    pub line: usize,
    /// What stands behind the fence.
    pub language: String,
    /// Its text.
    pub text: String,
    /// The scene that it is in: its name, and the number of it in the document.
    pub scene: Option<(String, usize)>,
    /// What is said about it alone.
    pub directions: Directions,
}

/// What comments say about the block after them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directions {
    /// Why it is not run.
    pub not_run: Option<String>,
    /// The exit code that it ends with, if that is not 0.
    pub exit: Option<i32>,
    /// The file that it is.
    pub file: Option<String>,
}

impl Block {
    /// Whether it shows something to be typed.
    pub fn is_shell(&self) -> bool {
        matches!(self.language.as_str(), "sh" | "bash" | "console")
    }

    /// What is typed, line by line with continuations joined: in `console` what stands behind a prompt (`$ `, `name$ `).
    pub fn typed(&self) -> Vec<String> {
        let console = self.language == "console";
        let mut typed: Vec<String> = Vec::new();
        let mut continued = false;
        for line in self.text.lines() {
            let said = match (console, continued) {
                (true, false) => match prompted(line) {
                    Some(said) => said,
                    None => continue,
                },
                _ => line,
            };
            let (said, goes_on) = match said.strip_suffix('\\') {
                Some(said) => (said, true),
                None => (said, false),
            };
            match (continued, typed.last_mut()) {
                (true, Some(last)) => last.push_str(said.trim_start()),
                _ => typed.push(said.to_owned()),
            }
            continued = goes_on;
        }
        typed
    }
}

/// What stands behind a prompt.
pub fn prompted(line: &str) -> Option<&str> {
    let (user, said) = line.split_once("$ ")?;
    user.chars()
        .all(|c| c.is_ascii_lowercase())
        .then_some(said.trim_start())
}

/// README.md and everything in docs/, in the order of their names.
///
/// # Errors
/// What the disk says.
pub fn all(root: &Path) -> io::Result<Vec<Document>> {
    let mut paths = vec![PathBuf::from("README.md")];
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            match entry.file_type()?.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|extension| extension == "md") => paths.push(path),
                false => {}
            }
        }
    }
    paths.sort();
    let read = |path: &PathBuf| {
        Ok(parse(
            &path.display().to_string(),
            &fs::read_to_string(root.join(path))?,
        ))
    };
    paths.iter().map(read).collect()
}

/// Reads a document.
pub fn parse(path: &str, text: &str) -> Document {
    let mut document = Document {
        path: path.to_owned(),
        blocks: Vec::new(),
        spans: Vec::new(),
        stray: Vec::new(),
    };
    let mut scene: Option<(String, usize)> = None;
    let mut directions = Directions::default();
    let mut open: Option<(Block, usize)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if let Some((mut block, within)) = open.take() {
            if trimmed.trim_end() == "```" {
                document.blocks.push(block);
            } else {
                block.text.push_str(line.get(within.min(indent)..).unwrap_or_default());
                block.text.push('\n');
                open = Some((block, within));
            }
        } else if let Some(language) = trimmed.strip_prefix("```") {
            let block = Block {
                line: number,
                language: language.trim().to_owned(),
                text: String::new(),
                scene: scene.clone(),
                directions: std::mem::take(&mut directions),
            };
            open = Some((block, indent));
        } else if let Some(said) = comment(trimmed) {
            match direction(said) {
                Some(("scene", name)) => {
                    let count = scene.as_ref().map_or(0, |(_, number)| number + 1);
                    scene = Some((name.to_owned(), count));
                }
                Some(("not run", reason)) => directions.not_run = Some(reason.to_owned()),
                Some(("file", name)) => directions.file = Some(name.to_owned()),
                Some(("exit", code)) if code.parse::<i32>().is_ok() => directions.exit = code.parse().ok(),
                Some(_) => document.stray.push((number, said.to_owned())),
                None => {}
            }
        } else if !trimmed.is_empty() {
            if directions != Directions::default() {
                document
                    .stray
                    .push((number, "there is no block after a direction".to_owned()));
                directions = Directions::default();
            }
            let spans = trimmed.split('`').skip(1).step_by(2);
            document.spans.extend(spans.map(|span| (number, span.to_owned())));
        }
    }
    if let Some((block, _)) = open {
        document.stray.push((block.line, "the block has no end".to_owned()));
    }
    document
}

fn comment(line: &str) -> Option<&str> {
    Some(line.strip_prefix("<!--")?.trim_end().strip_suffix("-->")?.trim())
}

/// A direction and what it says; nothing for a comment of another sort.
fn direction(said: &str) -> Option<(&str, &str)> {
    let (name, text) = said.split_once(':')?;
    matches!(name, "scene" | "not run" | "file" | "exit").then_some((name, text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# A document

<!-- scene: folder -->
Text with `rsmev check` and `more`.

```sh
rsmev one \\
    --two
```

<!-- a remark: of another sort -->
1. In a list:

   <!-- exit: 1 -->

   ```console
   ivanova$ rsmev three
   what it says
   $ rsmev four
   ```

<!-- not run: it is dangerous -->
```sh
rsmev five
```

<!-- exit: none -->
<!-- not run: nothing comes -->
Text.
";

    #[test]
    fn blocks_know_their_scenes_and_directions() {
        let document = parse("a.md", TEXT);
        let [one, three, five] = &document.blocks[..] else {
            panic!("{document:?}")
        };
        assert_eq!((one.line, one.typed()), (6, vec!["rsmev one --two".to_owned()]));
        assert_eq!(one.scene, Some(("folder".to_owned(), 0)));
        assert_eq!(three.typed(), ["rsmev three", "rsmev four"]);
        assert_eq!((three.directions.exit, five.directions.exit), (Some(1), None));
        assert_eq!(five.directions.not_run.as_deref(), Some("it is dangerous"));
        assert_eq!(document.spans, [(4, "rsmev check".to_owned()), (4, "more".to_owned())]);
        assert_eq!(document.stray.len(), 2, "{:?}", document.stray);
    }
}
