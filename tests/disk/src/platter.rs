//! Files and names: as a process sees them, as they are durable, and what lies in between.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::recording::Op;

/// Number of a file, whatever its names.
pub(crate) type Inode = usize;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Node {
    File(Inode),
    Dir,
}

/// A change of a file's content or length.
#[derive(Debug, Clone)]
pub(crate) enum FileOp {
    Write {
        offset: usize,
        octets: Arc<[u8]>,
    },
    /// The file is at least so long from now on.
    Extend(usize),
    Truncate(usize),
}

impl FileOp {
    pub(crate) fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, octets } => {
                let end = offset + octets.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(octets);
            }
            Self::Extend(len) => {
                if content.len() < *len {
                    content.resize(*len, 0);
                }
            }
            Self::Truncate(len) => content.resize(*len, 0),
        }
    }
}

/// A file's content.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    pub(crate) now: Vec<u8>,
    pub(crate) durable: Vec<u8>,
    /// What leads from the one to the other.
    pub(crate) unsynced: Vec<FileOp>,
}

/// A change of a name whose directory is not synced yet.
#[derive(Debug, Clone)]
pub(crate) struct NameOp {
    pub(crate) path: PathBuf,
    /// None if the name is removed.
    pub(crate) node: Option<Node>,
    /// Of a rename's old name: where the file is now.
    pub(crate) moved_to: Option<PathBuf>,
}

/// Files and names of a disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Platter {
    pub(crate) files: Vec<Content>,
    pub(crate) names: BTreeMap<PathBuf, Node>,
    pub(crate) durable_names: BTreeMap<PathBuf, Node>,
    pub(crate) unsynced_names: Vec<NameOp>,
}

impl Platter {
    /// A disk on which all of this is durable.
    pub(crate) fn settled(files: Vec<Content>, names: BTreeMap<PathBuf, Node>) -> Self {
        Self {
            files,
            durable_names: names.clone(),
            names,
            unsynced_names: Vec::new(),
        }
    }

    pub(crate) fn file(&self, path: &Path) -> Option<Inode> {
        match self.names.get(path) {
            Some(Node::File(inode)) => Some(*inode),
            _ => None,
        }
    }

    /// Octets of all files that have a name.
    pub(crate) fn used(&self) -> usize {
        let files = self.names.values().filter_map(|node| match node {
            Node::File(inode) => Some(self.files[*inode].now.len()),
            Node::Dir => None,
        });
        files.sum()
    }

    /// Does what the record says.
    pub(crate) fn apply(&mut self, op: &Op) {
        match op {
            Op::CreateDir(path) => self.name(path, Some(Node::Dir), None),
            Op::Create { path, inode } => {
                debug_assert_eq!(*inode, self.files.len(), "files are numbered as they come");
                self.files.push(Content::default());
                self.name(path, Some(Node::File(*inode)), None);
            }
            Op::Write {
                inode, offset, octets, ..
            } => self.change(
                *inode,
                FileOp::Write {
                    offset: *offset,
                    octets: Arc::clone(octets),
                },
            ),
            Op::Preallocate { inode, len, .. } => self.change(*inode, FileOp::Extend(*len)),
            Op::Truncate { inode, len, .. } => self.change(*inode, FileOp::Truncate(*len)),
            Op::Sync { inode, .. } => {
                let content = &mut self.files[*inode];
                content.durable.clone_from(&content.now);
                content.unsynced.clear();
            }
            Op::Rename { from, to } => {
                let node = self.names.get(from).copied();
                self.name(to, node, None);
                self.name(from, None, Some(to.clone()));
            }
            Op::Remove(path) => self.name(path, None, None),
            Op::SyncDir(dir) => self.sync_dir(dir),
        }
    }

    fn change(&mut self, inode: Inode, op: FileOp) {
        let content = &mut self.files[inode];
        op.apply(&mut content.now);
        content.unsynced.push(op);
    }

    fn name(&mut self, path: &Path, node: Option<Node>, moved_to: Option<PathBuf>) {
        bind(&mut self.names, path, node);
        self.unsynced_names.push(NameOp {
            path: path.to_owned(),
            node,
            moved_to,
        });
    }

    fn sync_dir(&mut self, dir: &Path) {
        let (synced, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.unsynced_names)
            .into_iter()
            .partition(|op| op.path.parent() == Some(dir));
        // A file that lost its old name for good has its new one, whatever directory that is in.
        let arrived: Vec<PathBuf> = synced.iter().filter_map(|op| op.moved_to.clone()).collect();
        let (arrived, others): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|op| op.node.is_some() && arrived.contains(&op.path));
        for NameOp { path, node, .. } in synced.into_iter().chain(arrived) {
            bind(&mut self.durable_names, &path, node);
        }
        self.unsynced_names = others;
    }
}

/// Gives a name a meaning, or takes it away.
pub(crate) fn bind(names: &mut BTreeMap<PathBuf, Node>, path: &Path, node: Option<Node>) {
    match node {
        Some(node) => names.insert(path.to_owned(), node),
        None => names.remove(path),
    };
}
