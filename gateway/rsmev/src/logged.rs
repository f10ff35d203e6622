//! What this crate logs.

logbook::catalogue! {
    /// How the program begins, ends and reads its settings.
    pub(crate) RUN = "Start, stop and settings":
    STARTED = INFO "run-started" [version, commit, mnemonic, data_dir],
        "The gateway is running: store, door, links and administration are there.", "Nothing.";
    STOPPING = INFO "run-stopping" [],
        "The gateway was told to stop and finishes what is in flight.", "Nothing.";
    STOPPED = INFO "run-stopped" [], "The gateway ended in order.", "Nothing.";
    STOPPED_AT_ONCE = WARN "run-stopped-at-once" [],
        "A second signal came during a stop: the gateway ends without finishing.", "Nothing; what was accepted is kept.";
    FAILED = ERROR "run-failed" [failure],
        "The gateway cannot keep its promises any more and ends with code 3; the service manager starts it again.",
        "Read the cause. If it comes back after the restart: docs/recovery.md.";
    STOP_FAILED = ERROR "run-stop-failed" [failure],
        "Something failed while the gateway was stopping.", "Read the cause; the next start looks whether everything is there.";
    CALLS_CUT_OFF = WARN "run-calls-cut-off" [],
        "Calls did not end within the time of a stop. Their senders get no answer and send again.", "Nothing.";
    LINKS_CUT_OFF = WARN "run-links-cut-off" [],
        "Messages were on their way to an upstream when the time of a stop was over. They are sent again under the same identifier.",
        "Nothing.";
    WAITING_FOR_STORE = WARN "run-waiting-for-store" [error],
        "A command looks at the store; the start waits for it.", "Nothing, if it goes on within seconds.";
    TEST_CLOCK = WARN "run-test-clock" [clock],
        "The gateway runs on a clock of a test, not on the machine's.", "Never in operation: take `--test-clock` away.";
    RELOADED = INFO "run-reloaded" [], "The settings that can be read again were read again.", "Nothing.";
    RELOAD_FAILED = ERROR "run-reload-failed" [failure],
        "The settings have a mistake; everything stays as it was.", "`rsmev check`, mend it, `systemctl reload rsmev`.";
    FEW_FILES = WARN "run-few-files" [wanted, connections],
        "The process may not have as many files open as `limits.connections` needs; fewer connections are taken.",
        "Raise LimitNOFILE of the unit.";
    FILE_LIMIT = WARN "run-file-limit" [error],
        "The limit of open files cannot be raised.", "Raise LimitNOFILE of the unit.";
    DOOR_OPEN = INFO "door-open" [address, url], "The SMEV 3 door takes calls.", "Nothing.";
}

logbook::catalogue! {
    /// Who administers the gateway, and its pages.
    pub(crate) ADMIN = "Administration":
    ADMIN_LISTENING = INFO "admin-listening" [address], "The pages /metrics, /live and /ready are there.", "Nothing.";
    ADMIN_ACCEPT_FAILED = WARN "admin-accept-failed" [error],
        "The system refused a connection to the admin socket or the pages; the next try comes at once.",
        "If it stays: the limit of open files.";
    ADMIN_CALLER_REFUSED = WARN "admin-caller-refused" [uid],
        "A user who may not administer the gateway called its admin socket.",
        "Ask who that is; who may do it belongs into the group `rsmev`.";
    ADMIN_REQUEST_REFUSED = WARN "admin-request-refused" [uid, user, request, why],
        "Somebody asked for something at the admin socket that needs a role which the account does not have.",
        "`why` names the role and its group; put the account into it, if that is meant.";
    ADMIN_LOOKUP_SLOW = WARN "admin-lookup-slow" [uid],
        "The machine's account database did not say in time who calls the admin socket; the caller was refused and may ask again.",
        "Look at the machine's name service (`getent passwd UID`).";
    ADMIN_ROLES_OPEN = INFO "admin-roles-open" [groups],
        "`[admin.roles]` is not set and none of its groups exists: every member of the socket's group may do everything.",
        "Make the groups to tell people apart (docs/security.md).";
    ADMIN_ROLE_WITHOUT_GROUP = WARN "admin-role-without-group" [role, group, why],
        "A group of `[admin.roles]` does not exist, or the account database does not tell: nobody but root has that role.",
        "Make the group, or correct its name; a group is looked for at each request.";
}

logbook::catalogue! {
    /// TLS of the door.
    pub(crate) TLS = "TLS of the door":
    TLS_RENEWED = INFO "tls-renewed" [subject, until], "The door has another TLS certificate.", "Nothing.";
    TLS_NOT_RENEWED = ERROR "tls-not-renewed" [error],
        "The files of `[smev3.tls]` have changed and cannot be used; the door keeps what it has.",
        "Put the right files there; they are read again within a minute.";
    TLS_EXPIRED = WARN "tls-expired" [subject],
        "The door's TLS certificate has ended; clients will refuse it.", "Replace the files; they are read again within a minute.";
    TLS_NEEDS_RESTART = WARN "tls-needs-restart" [],
        "TLS was switched on or off in the configuration.", "Restart the gateway.";
}

logbook::catalogue! {
    /// The archive and the verification of the journal.
    pub(crate) ARCHIVE = "Archive and verification":
    SEGMENT_SHIPPED = INFO "archive-shipped" [segment, last], "The archive has a journal segment.", "Nothing.";
    SEGMENT_NOT_SHIPPED = WARN "archive-failed" [why],
        "The archive's command did not take a journal segment; it is tried again.",
        "If it stays: mend the command or the archive; `/ready` shows since when.";
    VERIFIED = INFO "journal-verified" [], "The whole journal was verified and is whole.", "Nothing.";
    VERIFICATION_NOT_NOTED = WARN "journal-verification-not-noted" [error, file],
        "What a verification found could not be written down; metrics show it until the next restart only.",
        "Look at the disk and at the rights of the file.";
}

logbook::catalogue! {
    /// Incidents that last, and who is told.
    pub(crate) INCIDENTS = "Incidents":
    INCIDENT_OPENED = WARN "incident-opened" [rule, subject, text],
        "A rule found that something is wrong; it is journaled, and whoever is configured is told.",
        "`rsmev incidents` (docs/incidents.md).";
    INCIDENT_CLOSED = INFO "incident-closed" [incident, rule, subject], "What an incident was about is over.", "Nothing.";
    INCIDENT_NOT_JOURNALED = WARN "incident-not-opened" [refusal],
        "The beginning or the end of an incident could not be journaled; the next look tries again.",
        "Look at `/ready`: the disk.";
    NOTICE_FAILED = WARN "notice-failed" [channel, why],
        "A notice of an incident was not delivered; it is tried again.",
        "If it stays: `rsmev incidents test-notification` says why.";
    NOTICE_ADDRESS_REFUSED = WARN "notice-address-refused" [channel, address, why],
        "The mail server took a notice for others, but not for this address, which is not tried again with it.",
        "Mend `notify.mail.to`, or the server.";
    NOTICE_GIVEN_UP = WARN "notice-given-up" [incident, channel],
        "A notice was not delivered within its term and is not tried any more.", "Look at `rsmev incidents`; mend the channel.";
    NOTICE_NOT_JOURNALED = WARN "notice-not-journaled" [incident, refusal],
        "What became of a notice could not be journaled; after a restart it may be sent a second time.",
        "Look at `/ready`: the disk.";
}
