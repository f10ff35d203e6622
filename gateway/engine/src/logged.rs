//! What this crate logs.

logbook::catalogue! {
    /// Conditions and incidents.
    pub STATE = "Conditions and incidents":
    CONDITION_OK = INFO "condition-ok" [condition], "A condition of `/ready` is in order again.", "Nothing.";
    CONDITION_FAILED = ERROR "condition-failed" [condition, cause, remedy],
        "A condition of `/ready` is not in order.", "What `remedy` says.";
    INCIDENT = WARN "incident" [kind, text],
        "Something happened that a person should know; it is in the journal too.",
        "`rsmev journal export --type incident` tells all of them; docs/recovery.md tells what to do.";
    INCIDENT_NOT_JOURNALED = ERROR "incident-not-journaled" [refusal],
        "An incident is in the log alone, because the journal takes nothing now.", "Mend what `/ready` names.";
    PARTICIPANT_SUSPENDED = INFO "participant-suspended" [participant, by, reason],
        "An operator suspended a participant: its calls are refused, what is sent to it waits.", "`rsmev participant resume` when it may call again.";
    PARTICIPANT_RESUMED = INFO "participant-resumed" [participant, by],
        "An operator let a suspended participant call again.", "Nothing.";
    QUEUE_PAUSED = INFO "queue-paused" [queue, by, reason],
        "An operator paused a queue: nothing goes out of it, what comes in waits.", "`rsmev queue resume` when it may go on.";
    QUEUE_RESUMED = INFO "queue-resumed" [queue, by],
        "An operator let a paused queue go on.", "Nothing.";
}

logbook::catalogue! {
    /// Journal, spool and snapshots.
    pub STORAGE = "Journal, spool and snapshots":
    CREATED = INFO "store-created" [], "A new data directory was set up.", "Nothing, if it was to be a new one.";
    MIGRATED = WARN "store-migrated" [from],
        "The data directory was raised from an older storage format; an older program cannot use it any more.",
        "Nothing; a way back is a backup (docs/installation.md).";
    RESTORED = WARN "store-restored" [],
        "The store comes from a backup: nothing goes to upstreams until a person says so.",
        "Make sure that the old gateway does not run, then `rsmev backup resume-upstream` (docs/backup.md).";
    BATCH_CUT = WARN "journal-batch-cut" [first_seq, why],
        "A batch that was never answered was cut off the end of the journal after a crash.", "Nothing.";
    JOURNAL_CUT = ERROR "journal-cut" [known, end, aside],
        "The journal lacks records that were durable: it was cut off, or replaced by an older copy.",
        "docs/recovery.md, The journal was cut.";
    JOURNAL_GAP = ERROR "journal-gap" [text],
        "Records are missing in the journal, which a person accepted at the start.", "docs/recovery.md, A damaged journal.";
    DESTROYED = INFO "journal-destroyed" [first, through],
        "Journal segments were destroyed by an act of two people.", "Nothing.";
    SESSION_LEFT_OPEN = WARN "store-session-left-open" [error],
        "The mark of a refused start could not be taken back; the next start will find a session that did not end in order.",
        "Nothing.";
    STORED_UNREADABLE = ERROR "spool-message-unreadable" [seq, cause],
        "A stored message cannot be read; it goes into quarantine.", "Look at the disk; `rsmev quarantine list`; docs/recovery.md.";
    BODY_STAYS = ERROR "spool-body-stays" [segment, seq, error],
        "A body that is still needed cannot be copied out of an old spool segment; the segment stays.",
        "Look at the disk; docs/recovery.md.";
    SEGMENT_STAYS = ERROR "spool-segment-stays" [error, segment],
        "An old spool segment cannot be copied forward; it stays and is tried again.", "Look at the disk.";
    SEGMENT_NO_SPACE = WARN "spool-no-space-to-remove" [segment],
        "The disk is so full that a spool segment cannot be removed.", "Make room: docs/operation.md, The disk fills.";
    NO_THREAD = WARN "store-no-thread" [error, work],
        "The system gave no thread for work in the background; it is tried again.", "If it stays: TasksMax of the unit, memory.";
    SNAPSHOT_FAILED = WARN "snapshot-failed" [error],
        "No snapshot could be written; it is tried again. Without it the next rebuilding of the index takes longer.",
        "Look at the disk.";
    SNAPSHOT_GIVEN_UP = INFO "snapshot-given-up" [],
        "A snapshot was given up because too much changed meanwhile; it is tried again.", "Nothing.";
    SNAPSHOT_LEFT = WARN "snapshot-left" [error], "An older snapshot could not be removed.", "Look at the disk.";
    SNAPSHOT_FOREIGN = WARN "snapshot-foreign-removed" [file],
        "A snapshot that does not belong to this journal was removed.", "Nothing.";
    SNAPSHOT_DAMAGED = WARN "snapshot-damaged" [damaged],
        "A snapshot is damaged and was passed over; an older one or the journal serves instead.", "Look at the disk.";
    SNAPSHOTS_UNREADABLE = WARN "snapshots-unreadable" [error],
        "The folder of snapshots cannot be read.", "Look at the disk and at the rights of the folder.";
}

logbook::catalogue! {
    /// The index.
    pub INDEX = "The index":
    INDEX_REBUILDING = WARN "index-rebuilding" [why],
        "The index is built anew from the journal; the start takes longer.", "Nothing.";
    INDEX_DRAFT = INFO "index-draft" [why],
        "A command that looks at the store builds an index of its own, because the present one cannot be used.", "Nothing.";
    INDEX_DRAFT_LEFT = WARN "index-draft-left" [error],
        "A temporary index could not be removed; the next start removes it.", "Nothing.";
    INDEX_LEFT_ASIDE = WARN "index-left-aside" [folder],
        "The index was left in another folder; the next start builds it anew.", "Nothing.";
    INDEX_LACKS_RECORDS = WARN "index-lacks-records" [first, last],
        "The state lacks records that were destroyed, and no snapshot has them.", "docs/recovery.md.";
    INDEX_NOT_MARKED = ERROR "index-not-marked" [error, why],
        "The index is damaged and cannot be marked so.", "Stop the gateway, remove the folder `index`, start it.";
    INDEX_NOT_FLUSHED = WARN "index-not-flushed" [error],
        "The index was not flushed at the end; the next start brings it up to date.", "Nothing.";
    INDEX_RENEWED = INFO "index-renewed" [before, after], "The index was written anew and is smaller.", "Nothing.";
    INDEX_RENEWAL_FAILED = WARN "index-renewal-failed" [error],
        "The index could not be written anew; it goes on as it is.", "Look at the disk.";
    INDEX_RENEWAL_GIVEN_UP = INFO "index-renewal-given-up" [],
        "Writing the index anew was given up for now.", "Nothing.";
    INDEX_SIZE_UNKNOWN = WARN "index-size-unknown" [error],
        "Nobody knows how much of the disk the index takes.", "Look at the disk.";
}

logbook::catalogue! {
    /// Keys of what is stored.
    pub KEYS = "Keys of what is stored":
    MASTER_KEY_MADE = WARN "keys-master-made" [path],
        "A master key was made beside the data that it protects.",
        "Keep a copy elsewhere, or name another with `storage.master_key`.";
    KEYRING_ASIDE = WARN "keys-keyring-aside" [error, aside],
        "The keyring was set aside, as was asked for; what was sealed under its keys is given up.", "Keep the file.";
    NO_NEW_KEY = ERROR "keys-no-new-data-key" [error],
        "There is no new data key; the present one goes on until it has sealed as much as is safe.", "Look at the disk.";
    REWRAPPED = WARN "keys-rewrapped" [event],
        "The data keys are wrapped under another master key.", "Nothing, if somebody meant to do it.";
}
