//! Which of the things in doubt a crash leaves behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::SECTOR;
use crate::chance::Chance;
use crate::platter::{Content, FileOp, NameOp, Node, Platter, bind};

/// What a crash takes of what is not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The process is killed: the system goes on and has everything that was written, the unsynced still in doubt.
    Process,
    /// The machine crashes, and nothing that was not synced is there.
    Everything,
    /// The machine crashes when everything has just reached the disk.
    Nothing,
    /// The machine crashes, and a seed chooses for each sector, length and name whether it survived.
    Some(u64),
}

pub(crate) fn image(platter: &Platter, loss: Loss) -> Platter {
    let (contents, names): (Vec<_>, _) = match loss {
        Loss::Process => return platter.clone(),
        Loss::Nothing => (
            platter.files.iter().map(|content| content.now.clone()).collect(),
            platter.names.clone(),
        ),
        Loss::Everything => (
            platter.files.iter().map(|content| content.durable.clone()).collect(),
            platter.durable_names.clone(),
        ),
        Loss::Some(seed) => {
            let mut chance = Chance::new(seed);
            let contents = platter.files.iter().map(|content| survivors(content, &mut chance));
            (contents.collect(), surviving_names(platter, &mut chance))
        }
    };
    let files = contents.into_iter().map(settled).collect();
    Platter::settled(files, within_dirs(names))
}

fn settled(octets: Vec<u8>) -> Content {
    Content {
        now: octets.clone(),
        durable: octets,
        unsynced: Vec::new(),
    }
}

/// A file whose unsynced changes survive by halves. Each file has its luck of its own, so that one may be far ahead of
/// another.
fn survivors(content: &Content, chance: &mut Chance) -> Vec<u8> {
    let Content { now, durable, unsynced } = content;
    if unsynced.is_empty() {
        return durable.clone();
    }
    match chance.below(5) {
        0 => durable.clone(),
        1 => now.clone(),
        2 => in_order(durable, unsynced, chance),
        _ => in_any_order(durable, unsynced, chance),
    }
}

/// The first changes are there, and a part of the next one.
fn in_order(durable: &[u8], unsynced: &[FileOp], chance: &mut Chance) -> Vec<u8> {
    let mut content = durable.to_vec();
    let whole = chance.below(unsynced.len());
    unsynced[..whole].iter().for_each(|op| op.apply(&mut content));
    if let FileOp::Write { offset, octets } = &unsynced[whole] {
        let part = octets[..chance.below(octets.len() + 1)].into();
        let torn = FileOp::Write {
            offset: *offset,
            octets: part,
        };
        torn.apply(&mut content);
    }
    content
}

/// Each sector, and the length, is as it was after any of the changes.
fn in_any_order(durable: &[u8], unsynced: &[FileOp], chance: &mut Chance) -> Vec<u8> {
    let mut versions = vec![durable.to_vec()];
    for op in unsynced {
        let mut next = versions.last().cloned().unwrap_or_default();
        op.apply(&mut next);
        versions.push(next);
    }
    let len = versions[chance.below(versions.len())].len();
    // Once in a while most of it is as it was, or as it is: few things lost, or few kept.
    let common = chance.below(versions.len() * 3);
    let mut content = vec![0; len];
    for (number, sector) in content.chunks_mut(SECTOR).enumerate() {
        let choose = |chance: &mut Chance| match versions.get(common) {
            Some(version) if !chance.is(1, 8) => version,
            _ => &versions[chance.below(versions.len())],
        };
        copy(choose(chance), number * SECTOR, sector);
        if chance.is(1, 8) {
            // Torn: the beginning is of another time than the rest.
            let torn = chance.below(sector.len());
            copy(choose(chance), number * SECTOR, &mut sector[..torn]);
        }
    }
    content
}

/// What a version has at a place; zeros where it has nothing.
fn copy(version: &[u8], from: usize, to: &mut [u8]) {
    let there = version.get(from..).unwrap_or_default();
    let there = &there[..there.len().min(to.len())];
    to[..there.len()].copy_from_slice(there);
    to[there.len()..].fill(0);
}

fn surviving_names(platter: &Platter, chance: &mut Chance) -> BTreeMap<PathBuf, Node> {
    let mut names = platter.durable_names.clone();
    // In general few, half or most of them.
    let luck = 1 + chance.below(3);
    let mut moved: Vec<(&Path, bool)> = Vec::new();
    for NameOp { path, node, moved_to } in &platter.unsynced_names {
        let mut survives = chance.is(luck, 4);
        match moved_to {
            // A rename's old name goes only if the new one has come.
            Some(to) => survives &= moved.iter().rfind(|(name, _)| name == to).is_none_or(|(_, came)| *came),
            None => moved.push((path, survives)),
        }
        if survives {
            bind(&mut names, path, *node);
        }
    }
    names
}

/// What lies in a directory that is not there is not there.
fn within_dirs(names: BTreeMap<PathBuf, Node>) -> BTreeMap<PathBuf, Node> {
    let mut left: BTreeMap<PathBuf, Node> = BTreeMap::new();
    for (path, node) in names {
        let parent = path.parent().and_then(|parent| left.get(parent));
        // The first one has no parent of its own on this disk.
        if left.is_empty() || parent == Some(&Node::Dir) {
            left.insert(path, node);
        }
    }
    left
}
