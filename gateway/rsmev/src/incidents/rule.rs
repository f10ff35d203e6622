//! The rules by their names, and what each means, in both languages.

use engine::event::Severity;

/// What an incident can be about. The words stand in the journal (`incident_opened`, field `rule`) and in
/// `incidents_open{rule}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    UpstreamDown,
    UpstreamsHeld,
    QueueOld,
    QuarantineNotEmpty,
    DiskNearReserve,
    DiskBelowReserve,
    CertificateExpires,
    CertificateExpiresSoon,
    CertificateExpired,
    JournalVerificationFailed,
    JournalVerificationOld,
    SignatureFailures,
    BackupOld,
    ClockNotBelieved,
    ArchiveFailing,
}

impl Rule {
    pub(crate) const ALL: [Self; 15] = [
        Self::UpstreamDown,
        Self::UpstreamsHeld,
        Self::QueueOld,
        Self::QuarantineNotEmpty,
        Self::DiskNearReserve,
        Self::DiskBelowReserve,
        Self::CertificateExpires,
        Self::CertificateExpiresSoon,
        Self::CertificateExpired,
        Self::JournalVerificationFailed,
        Self::JournalVerificationOld,
        Self::SignatureFailures,
        Self::BackupOld,
        Self::ClockNotBelieved,
        Self::ArchiveFailing,
    ];

    /// The rule of a word, as far as this program knows it.
    pub(crate) fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == word)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::UpstreamDown => "upstream_down",
            Self::UpstreamsHeld => "upstreams_held",
            Self::QueueOld => "queue_old",
            Self::QuarantineNotEmpty => "quarantine_not_empty",
            Self::DiskNearReserve => "disk_near_reserve",
            Self::DiskBelowReserve => "disk_below_reserve",
            Self::CertificateExpires => "certificate_expires",
            Self::CertificateExpiresSoon => "certificate_expires_soon",
            Self::CertificateExpired => "certificate_expired",
            Self::JournalVerificationFailed => "journal_verification_failed",
            Self::JournalVerificationOld => "journal_verification_old",
            Self::SignatureFailures => "signature_failures",
            Self::BackupOld => "backup_old",
            Self::ClockNotBelieved => "clock_not_believed",
            Self::ArchiveFailing => "archive_failing",
        }
    }

    pub(crate) fn severity(self) -> Severity {
        match self {
            Self::UpstreamDown
            | Self::UpstreamsHeld
            | Self::DiskBelowReserve
            | Self::CertificateExpiresSoon
            | Self::CertificateExpired
            | Self::JournalVerificationFailed
            | Self::ClockNotBelieved => Severity::Critical,
            Self::QueueOld
            | Self::QuarantineNotEmpty
            | Self::DiskNearReserve
            | Self::CertificateExpires
            | Self::JournalVerificationOld
            | Self::SignatureFailures
            | Self::BackupOld
            | Self::ArchiveFailing => Severity::Warning,
        }
    }

    /// What is wrong.
    pub(crate) fn title(self) -> &'static str {
        self.words().0
    }

    /// The same in Russian.
    pub(crate) fn title_ru(self) -> &'static str {
        self.words().1
    }

    /// What a person can do.
    pub(crate) fn remedy(self) -> &'static str {
        self.words().2
    }

    /// The same in Russian.
    pub(crate) fn remedy_ru(self) -> &'static str {
        self.words().3
    }

    fn words(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::UpstreamDown => (
                "An upstream is out of reach",
                "Вышестоящий узел недоступен",
                "Messages wait and go out by themselves. /ready says what happens; ask the operators of the upstream and of the network.",
                "Сообщения ждут и уйдут сами. Причину называет /ready; обратитесь к операторам узла и сети.",
            ),
            Self::UpstreamsHeld => (
                "Nothing goes to upstreams until a person says so",
                "Отправка вышестоящим узлам остановлена до решения оператора",
                "Make sure that the old gateway does not run, then: rsmev backup resume-upstream.",
                "Убедитесь, что прежний шлюз не работает, затем: rsmev backup resume-upstream.",
            ),
            Self::QueueOld => (
                "Messages wait long in a queue",
                "Сообщения долго ждут в очереди",
                "The receiver does not take them: rsmev queue show QUEUE; tell the participant.",
                "Получатель их не забирает: rsmev queue show ОЧЕРЕДЬ; сообщите участнику.",
            ),
            Self::QuarantineNotEmpty => (
                "Messages in quarantine wait for a decision",
                "Сообщения в карантине ждут решения",
                "rsmev quarantine list tells the causes; then retry or reject.",
                "Причины показывает rsmev quarantine list; затем retry или reject.",
            ),
            Self::DiskNearReserve => (
                "The disk is nearly full",
                "Место на диске заканчивается",
                "Make room or enlarge the disk before the reserve is reached and intake stops.",
                "Освободите место или увеличьте диск, пока не исчерпан резерв и не остановлен приём.",
            ),
            Self::DiskBelowReserve => (
                "The disk is full: nothing new is accepted",
                "Диск заполнен: новые сообщения не принимаются",
                "Make room or enlarge the disk; intake resumes by itself.",
                "Освободите место или увеличьте диск; приём возобновится сам.",
            ),
            Self::CertificateExpires => (
                "A certificate expires",
                "Истекает срок сертификата",
                "Order the next one now and install it beside the present one.",
                "Закажите новый сертификат и установите его рядом с действующим.",
            ),
            Self::CertificateExpiresSoon => (
                "A certificate expires within days",
                "До истечения срока сертификата остались дни",
                "Install the next one at once: after its end what it signs is refused.",
                "Установите новый сертификат немедленно: после истечения подписанное им отклоняется.",
            ),
            Self::CertificateExpired => (
                "A certificate has expired",
                "Срок сертификата истёк",
                "What it signs is refused. Install the next one.",
                "Подписанное им отклоняется. Установите новый сертификат.",
            ),
            Self::JournalVerificationFailed => (
                "The journal was found damaged",
                "Проверка журнала обнаружила повреждение",
                "rsmev journal verify names the place; docs/recovery.md tells what to do.",
                "Место называет rsmev journal verify; что делать, описано в docs/recovery.md.",
            ),
            Self::JournalVerificationOld => (
                "The journal has not been verified lately",
                "Журнал давно не проверялся",
                "systemctl enable --now rsmev-verify.timer, or run rsmev journal verify.",
                "systemctl enable --now rsmev-verify.timer, либо выполните rsmev journal verify.",
            ),
            Self::SignatureFailures => (
                "Many calls have a signature that does not verify",
                "Много вызовов с неверной подписью",
                "rsmev journal export --type refused names callers and reasons: a wrong change, a wrong clock, or somebody who tries keys.",
                "Кто и почему: rsmev journal export --type refused. Ошибка в системе, неверные часы или подбор ключей.",
            ),
            Self::BackupOld => (
                "The last backup is old",
                "Резервная копия устарела",
                "systemctl status rsmev-backup.timer rsmev-backup.service, or run rsmev backup create.",
                "systemctl status rsmev-backup.timer rsmev-backup.service, либо выполните rsmev backup create.",
            ),
            Self::ClockNotBelieved => (
                "The clock is not believed",
                "Показаниям часов нет доверия",
                "Set the clock right; if it is right: rsmev clock accept TIME.",
                "Исправьте часы; если они верны: rsmev clock accept ВРЕМЯ.",
            ),
            Self::ArchiveFailing => (
                "Journal segments are not shipped to the archive",
                "Сегменты журнала не передаются в архив",
                "See archive.command and the log; it is tried again until it succeeds.",
                "Проверьте archive.command и журнал системы; попытки повторяются, пока не удастся.",
            ),
        }
    }
}
