//! What this crate logs.

logbook::catalogue! {
    /// Links to upstreams.
    pub LINKS = "Links to upstreams":
    LINK_DOWN = WARN "link-down" [upstream, trouble],
        "A link does not work. Messages are accepted and wait; nothing is lost.",
        "docs/operation.md, The federal link is down.";
    LINK_UP = INFO "link-up" [upstream], "A link works again; what waited goes in its order.", "Nothing.";
    PULLING_PAUSES = WARN "link-pulling-pauses" [upstream, cause],
        "Nothing is taken from an upstream, because the gateway itself accepts nothing now.", "Mend what `/ready` names.";
    QUARANTINED = WARN "link-message-quarantined" [upstream, message_id, cause],
        "A message for or from an upstream waits for a decision of a person.",
        "`rsmev quarantine list`, then `retry` or `reject`.";
    NOT_READY = WARN "link-message-not-ready" [upstream, message_id, cause],
        "A message cannot be prepared for an upstream now; it is tried again.", "If it stays: read the cause.";
    LANE_UNREADABLE = WARN "link-lane-unreadable" [upstream, error],
        "The messages of a lane cannot be read from the index; it is tried again.",
        "If it stays: `/ready`, condition `index`; docs/recovery.md.";
    NOT_RECORDED = WARN "link-not-recorded" [upstream, refusal],
        "An attempt or its outcome cannot be journaled now; the next attempt, under the same identifier, finds out.",
        "Mend what `/ready` names.";
    ACK_NOT_TAKEN = INFO "link-ack-not-taken" [upstream, message_id, error],
        "The upstream did not take our Ack for a message; it is sent again.", "Nothing.";
    CALLS_CUT_OFF = WARN "link-calls-cut-off" [upstream],
        "The upstream did not answer within the time of a stop. Its messages are sent again under the same identifiers.", "Nothing.";
    LANE_FAILED = ERROR "link-lane-failed" [error],
        "A defect of the gateway while it worked a lane; the lane goes on after a pause.", "Report it with the log.";
}

logbook::catalogue! {
    /// Single messages on links.
    pub MESSAGES = "Messages on links":
    FORWARDED = INFO "message-forwarded" [upstream, message_id, outcome],
        "An upstream has a message and said so; with `already_sent` it had it from an earlier attempt.", "Nothing.";
    REJECTED = WARN "message-rejected" [upstream, message_id, cause],
        "An upstream refused a message for good; its sender gets a rejection.", "Nothing; the sender must mend its message.";
    RECEIVED = INFO "message-received" [upstream, message_id], "A message from an upstream is durable.", "Nothing.";
}
