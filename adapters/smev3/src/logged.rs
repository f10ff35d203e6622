//! What this crate logs.

logbook::catalogue! {
    /// The SMEV 3 door.
    pub DOOR = "The door":
    ACCEPT_FAILED = WARN "door-accept-failed" [error],
        "The system refused a connection to the door; the next try comes at once.",
        "If it stays: the limit of open files (LimitNOFILE).";
    CALLS_CUT_OFF = WARN "door-calls-cut-off" [left],
        "Calls did not end within the time of a stop and were cut off. Their senders send again.", "Nothing.";
    NO_ROOM = WARN "door-no-room" [message_id],
        "A message was handed out and there is no memory for its answer; it is handed out again after `smev3.redelivery`.",
        "If it comes often: raise `limits.in_flight_bytes`.";
    BODY_UNREADABLE = ERROR "door-body-unreadable" [message_id, error],
        "A message that was to be handed out cannot be read from the spool.", "Look at the disk; docs/recovery.md.";
    ANSWER_FAILED = ERROR "door-answer-failed" [what, error],
        "An answer could not be built or signed; the caller got a fault and will ask again.",
        "Look at the gateway's key; otherwise report it with the log.";
    SCHEMA_UNUSABLE = ERROR "door-schema-unusable" [kind, error],
        "The schema of a kind cannot be used; its messages are refused.",
        "`rsmev registry lint`, mend the schema, `rsmev registry apply`.";
}

logbook::catalogue! {
    /// Single messages at the door.
    pub MESSAGES = "Messages at the door":
    ACCEPTED = INFO "message-accepted" [message_id, participant, recipient, kind, message_type],
        "A message is durable and its sender has the receipt.", "Nothing. `rsmev trace MESSAGE_ID` tells the rest.";
    ACKNOWLEDGED = INFO "message-acknowledged" [message_id, participant, accepted],
        "A participant has taken a message and said so (Ack); with `accepted` false it could not use it.", "Nothing.";
}
