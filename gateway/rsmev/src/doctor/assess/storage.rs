//! Disk, queues, quarantine, journal and backups.

use std::collections::BTreeMap;

use super::{Level, Lines, since};
use crate::doctor::facts::{Facts, Seen};
use crate::health::{Room, StoreFacts, Waiting};
use engine::units::{show_seconds, show_size};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// A message that waits for longer than this is asked after (as the alert RsmevQueueOld).
const OLD: u64 = 4 * HOUR;
/// For longer than this it is urgent (as RsmevQueueVeryOld).
const VERY_OLD: u64 = 7 * DAY;
/// A verification every night is missed after this (as RsmevJournalVerificationOld).
const VERIFIED_WITHIN: u64 = 49 * HOUR;
/// Backups are missed after this (as RsmevBackupOld).
const BACKED_UP_WITHIN: u64 = 2 * DAY;
/// Queues that are named one by one.
const NAMED: usize = 5;

pub(super) fn assess(facts: &Facts, lines: &mut Lines) {
    let store = match &facts.store {
        Seen::So(store) => store,
        Seen::Nothing => {
            return lines.add(
                Level::Note,
                "storage",
                "there is no data yet",
                "the first start makes it",
            );
        }
        Seen::NotAllowed(why) => return lines.add(Level::Note, "storage", format!("was not looked at: {why}"), ""),
        Seen::Wrong(why) => return lines.add(Level::Trouble, "storage", why.clone(), "see docs/recovery.md"),
    };
    if let Some(room) = &store.room {
        disk(facts, room, lines);
    }
    sizes(store, lines);
    queues(facts, store, lines);
    quarantine(facts, store, lines);
    verification(facts, store, lines);
    backup(facts, store, lines);
}

fn disk(facts: &Facts, room: &Room, lines: &mut Lines) {
    let dir = facts.node.as_ref().map_or("", |node| node.data_dir.as_str());
    let (free, reserve) = (show_size(room.free_bytes), show_size(room.reserve_bytes));
    let of = match room.total_bytes {
        0 => String::new(),
        total => format!(" of {}", show_size(total)),
    };
    let text = format!("{dir}: {free}{of} free, {reserve} must stay free");
    let (level, remedy) = if room.free_bytes < room.reserve_bytes {
        (
            Level::Trouble,
            "nothing new is accepted: make room, or lower limits.disk_reserve",
        )
    } else if room.free_bytes < room.reserve_bytes.saturating_add(room.reserve_bytes / 2) {
        (
            Level::Warning,
            "soon nothing new is accepted: make room, or a larger disk",
        )
    } else {
        (Level::Ok, "")
    };
    lines.add(level, "disk", text, remedy);
    if room.total_inodes == 0 {
        return;
    }
    let text = format!("{} free, {} must stay free", room.free_inodes, room.reserve_inodes);
    let (level, remedy) = if room.free_inodes < room.reserve_inodes {
        let remedy = "nothing new is accepted: look for many small files on this file system";
        (Level::Trouble, remedy)
    } else if room.free_inodes < room.reserve_inodes.saturating_mul(5) {
        (Level::Warning, "look for many small files on this file system")
    } else {
        (Level::Ok, "")
    };
    lines.add(level, "inodes", text, remedy);
}

fn sizes(store: &StoreFacts, lines: &mut Lines) {
    let needed = store
        .spool_needed_bytes
        .map_or_else(String::new, |needed| format!(" ({} needed)", show_size(needed)));
    let last = store
        .last_seq
        .map_or_else(String::new, |seq| format!("; last record {seq}"));
    let text = format!(
        "journal {}, spool {}{needed}, index {}{last}",
        show_size(store.journal_bytes),
        show_size(store.spool_bytes),
        show_size(store.index_bytes)
    );
    lines.ok("storage", text);
}

fn queues(facts: &Facts, store: &StoreFacts, lines: &mut Lines) {
    const REMEDY: &str = "it does not take its messages, or sends no Ack: ask its operator; `rsmev queue show`";
    const UPWARDS: &str = "see the upstream; `rsmev queue show`";
    let queues = &store.queues;
    let going = |queue: &&Waiting| queue.paused.is_none() && queue.suspended.is_none();
    let old = queues.oldest.iter().filter(going).filter_map(|queue| {
        let waits = since(facts, queue.oldest?);
        (waits > OLD).then_some((queue, waits))
    });
    let old: Vec<_> = old.collect();
    let longest = queues.oldest.iter().filter_map(|queue| queue.oldest).min();
    let longest = longest.map_or_else(String::new, |at| {
        format!(", the oldest for {}", show_seconds(since(facts, at)))
    });
    match queues.messages {
        0 => lines.ok("queues", "all are empty"),
        messages => lines.ok(
            "queues",
            format!("{messages} messages wait in {} queues{longest}", queues.count),
        ),
    }
    standing(facts, store, lines);
    for (queue, waits) in old.iter().take(NAMED) {
        let level = if *waits > VERY_OLD {
            Level::Trouble
        } else {
            Level::Warning
        };
        let text = format!(
            "{} messages, the oldest waits for {}",
            queue.messages,
            show_seconds(*waits)
        );
        let remedy = if queue.queue.starts_with("upstream/") {
            UPWARDS
        } else {
            REMEDY
        };
        lines.add(level, format!("queue {}", queue.queue), text, remedy);
    }
    if old.len() > NAMED {
        let text = format!("{} more have waited for hours", old.len() - NAMED);
        lines.add(Level::Warning, "queues", text, "`rsmev queue list`");
    }
}

/// What a person brought to a halt is no trouble; but messages in it do not live for ever.
fn standing(facts: &Facts, store: &StoreFacts, lines: &mut Lines) {
    let told = |queues: &[&Waiting]| {
        let messages: u64 = queues.iter().map(|queue| queue.messages).sum();
        let oldest = queues.iter().filter_map(|queue| queue.oldest).min();
        let waits = oldest.map(|at| since(facts, at));
        let level = match waits > Some(OLD) {
            true => Level::Warning,
            false => Level::Note,
        };
        let waits = waits.map_or_else(String::new, |waits| format!(", the oldest for {}", show_seconds(waits)));
        (level, format!("{messages} messages wait{waits}"))
    };
    let mut suspended: BTreeMap<_, Vec<&Waiting>> = BTreeMap::new();
    for queue in &store.queues.oldest {
        if let Some(paused) = &queue.paused {
            let (level, waiting) = told(&[queue]);
            let text = format!("stands still, paused {paused}; {waiting}");
            let remedy = format!("when it may go on: `rsmev queue resume {}`", queue.queue);
            lines.add(level, format!("queue {}", queue.queue), text, remedy);
        }
        if let Some(owner) = &queue.suspended {
            suspended.entry(&owner.participant).or_default().push(queue);
        }
    }
    for (participant, queues) in suspended {
        let (level, waiting) = told(&queues);
        let halt = queues.iter().find_map(|queue| queue.suspended.as_ref());
        let halt = halt.map_or("", |owner| owner.halt.as_str());
        let text = format!("its queues stand still, it is suspended {halt}; {waiting}");
        let remedy = format!("when it may go on: `rsmev participant resume {participant}`");
        lines.add(level, format!("participant {participant}"), text, remedy);
    }
}

fn quarantine(facts: &Facts, store: &StoreFacts, lines: &mut Lines) {
    if store.quarantine == 0 {
        return lines.ok("quarantine", "empty");
    }
    let oldest = store.quarantine_since.map_or_else(String::new, |at| {
        format!(", the oldest for {}", show_seconds(since(facts, at)))
    });
    let text = format!("{} messages wait for a decision{oldest}", store.quarantine);
    let remedy = "`rsmev quarantine list`, then retry or reject";
    lines.add(Level::Warning, "quarantine", text, remedy);
}

fn verification(facts: &Facts, store: &StoreFacts, lines: &mut Lines) {
    const SUBJECT: &str = "journal";
    const TIMER: &str = "`rsmev journal verify`; every night: `systemctl enable --now rsmev-verify.timer`";
    let verification = &store.verification;
    if let Some(found) = &verification.failed {
        let text = format!("the last verification found it damaged: {found}");
        let remedy = "`rsmev journal verify` names the place; docs/recovery.md, A damaged journal";
        return lines.add(Level::Trouble, SUBJECT, text, remedy);
    }
    match verification.whole_at.map(|at| since(facts, at)) {
        None => lines.add(Level::Note, SUBJECT, "it was never verified as a whole", TIMER),
        Some(age) => {
            let text = format!("verified and found whole {} ago", show_seconds(age));
            match age > VERIFIED_WITHIN {
                true => lines.add(Level::Warning, SUBJECT, text, TIMER),
                false => lines.ok(SUBJECT, text),
            }
        }
    }
}

fn backup(facts: &Facts, store: &StoreFacts, lines: &mut Lines) {
    const SUBJECT: &str = "backup";
    const TIMER: &str = "`rsmev backup create DIR`; every night: `systemctl enable --now rsmev-backup.timer`";
    let Some(backup) = &store.backup else {
        return lines.add(Level::Note, SUBJECT, "none was ever made, as far as is known", TIMER);
    };
    let age = since(facts, backup.at);
    let behind = store.last_seq.map_or_else(String::new, |last| {
        format!(", {} records before the last one", last.saturating_sub(backup.through))
    });
    let text = format!("the last one was made {} ago{behind}", show_seconds(age));
    match age > BACKED_UP_WITHIN {
        true => lines.add(Level::Warning, SUBJECT, text, TIMER),
        false => lines.ok(SUBJECT, text),
    }
}
