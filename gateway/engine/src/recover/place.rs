//! Where the index lies, and how another takes its place.

use std::path::{Path, PathBuf};

use super::COPY_BATCH;
use crate::error::StartError;
use crate::index::Index;
use crate::settings::Settings;

/// Where the index lies.
pub(super) struct Place {
    pub(super) current: PathBuf,
    pub(super) draft: PathBuf,
    pub(super) old: PathBuf,
    /// What is built for one who only looks.
    pub(super) view: PathBuf,
}

impl Place {
    pub(super) fn new(data_dir: &Path) -> Self {
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
            tracing::warn!(%error, "a temporary index was left behind; the next start removes it");
        }
    }
}

/// sled does not give disk back: an index that is much larger than its rows is copied into a fresh one.
pub(super) fn compact(settings: &Settings, place: &Place, index: Index) -> Result<Index, StartError> {
    let disk = index.disk_bytes()?;
    if disk <= settings.index_compact_above || disk / 8 <= index.row_bytes()? {
        return Ok(index);
    }
    tracing::info!(
        bytes = disk,
        "writing the index anew, because it is much larger than its rows"
    );
    let Some(position) = index.position()? else {
        return Ok(index);
    };
    let draft = fresh(settings, &place.draft)?;
    let mut from = Vec::new();
    loop {
        let rows = index.chunk(&from, COPY_BATCH)?;
        let Some((last, _)) = rows.last() else { break };
        from = [last.as_ref(), &[0]].concat();
        let rows = rows.iter().map(|(key, value)| (key.to_vec(), Some(value.to_vec())));
        draft.apply(&rows.collect(), position)?;
    }
    drop(index);
    swap(settings, place, draft)
}

pub(super) fn fresh(settings: &Settings, dir: &Path) -> Result<Index, StartError> {
    remove(dir)?;
    let index = Index::open(dir, settings.index_cache_bytes)?;
    index.mark_format()?;
    Ok(index)
}

/// Puts a finished draft in the place of the index.
pub(super) fn swap(settings: &Settings, place: &Place, draft: Index) -> Result<Index, StartError> {
    draft.flush()?;
    drop(draft);
    remove(&place.old)?;
    if place.current.exists() {
        rename(&place.current, &place.old)?;
    }
    rename(&place.draft, &place.current)?;
    let parent = place.current.parent().unwrap_or(Path::new("."));
    let sync = || std::fs::File::open(parent)?.sync_all();
    sync().map_err(|error| StartError::Io {
        path: parent.to_owned(),
        error,
    })?;
    remove(&place.old)?;
    Ok(Index::open(&place.current, settings.index_cache_bytes)?)
}

fn rename(from: &Path, to: &Path) -> Result<(), StartError> {
    std::fs::rename(from, to).map_err(|error| StartError::Io {
        path: from.to_owned(),
        error,
    })
}

pub(super) fn remove(dir: &Path) -> Result<(), StartError> {
    let removed = match std::fs::symlink_metadata(dir) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(dir),
        Ok(_) => std::fs::remove_file(dir),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StartError::Io {
            path: dir.to_owned(),
            error,
        }),
        _ => Ok(()),
    }
}
