//! Where the index lies, and how another takes its place.

use std::path::{Path, PathBuf};

use logbook::log;

use crate::error::IndexError;
use crate::index::Index;
use crate::logged;

/// Where the index lies.
pub(crate) struct Place {
    pub(crate) current: PathBuf,
    pub(crate) draft: PathBuf,
    pub(crate) old: PathBuf,
    /// What is built for one who only looks.
    pub(super) view: PathBuf,
}

impl Place {
    pub(crate) fn new(data_dir: &Path) -> Self {
        let at = |name| data_dir.join(name);
        Self {
            current: at("index"),
            draft: at("index.new"),
            old: at("index.old"),
            view: at("index.view"),
        }
    }
}

/// A folder with an index that is removed in the end.
pub(crate) struct Draft(pub(super) PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            log!(logged::INDEX_DRAFT_LEFT, %error, "a temporary index was left behind; the next start removes it");
        }
    }
}

impl Place {
    /// An empty draft.
    pub(crate) fn fresh(&self, cache_bytes: u64) -> Result<Index, IndexError> {
        empty(&self.draft, cache_bytes)
    }

    /// Puts a finished draft, which is closed, in the place of the index, and opens it there. The old one is left beside
    /// it.
    pub(crate) fn swap(&self, cache_bytes: u64) -> Result<Index, IndexError> {
        remove(&self.old)?;
        let there = self.current.exists();
        if there {
            rename(&self.current, &self.old)?;
        }
        let put = || {
            rename(&self.draft, &self.current)?;
            let parent = self.current.parent().unwrap_or(Path::new("."));
            let sync = || std::fs::File::open(parent)?.sync_all();
            sync().map_err(|error| files(parent, &error))?;
            Index::open(&self.current, cache_bytes)
        };
        put().inspect_err(|_| {
            if there
                && remove(&self.current)
                    .and_then(|()| rename(&self.old, &self.current))
                    .is_err()
            {
                log!(logged::INDEX_LEFT_ASIDE,
                    folder = %self.old.display(),
                    "the index was left aside; the next start builds it anew"
                );
            }
        })
    }

    /// Removes what is left of drafts and of an old index.
    pub(crate) fn remove_old(&self) -> Result<(), IndexError> {
        self.remove_draft()?;
        remove(&self.old)
    }

    /// Removes what is left of drafts.
    pub(crate) fn remove_draft(&self) -> Result<(), IndexError> {
        remove(&self.draft)
    }
}

/// An empty index in a folder of its own.
pub(super) fn empty(dir: &Path, cache_bytes: u64) -> Result<Index, IndexError> {
    remove(dir)?;
    let index = Index::open(dir, cache_bytes)?;
    index.mark_format()?;
    Ok(index)
}

fn rename(from: &Path, to: &Path) -> Result<(), IndexError> {
    std::fs::rename(from, to).map_err(|error| files(from, &error))
}

pub(super) fn remove(dir: &Path) -> Result<(), IndexError> {
    let removed = match std::fs::symlink_metadata(dir) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(dir),
        Ok(_) => std::fs::remove_file(dir),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(files(dir, &error)),
        _ => Ok(()),
    }
}

fn files(path: &Path, error: &std::io::Error) -> IndexError {
    IndexError::Files(format!("{}: {error}", path.display()))
}
