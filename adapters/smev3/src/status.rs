//! `InteractionStatusType`: each version knows other values (PROTOCOL §3.7).

use crate::version::Version;

/// The value that says the same, or the nearest, in a version.
pub(crate) fn in_version(status: &str, version: Version) -> &str {
    match (version, status) {
        (Version::V1_1, "messageIsDelivered") => "responseIsDelivered",
        (Version::V1_2 | Version::V1_3, "responseIsDelivered") => "messageIsDelivered",
        (Version::V1_1, "responseIsRejectedBySmev") => "requestIsRejectedBySmev",
        (Version::V1_1, "messageIsArchived") => "cancelled",
        (Version::V1_1 | Version::V1_2, "requestIsProcessed") => "requestIsAcceptedBySmev",
        (Version::V1_1 | Version::V1_2, "responseIsQueued" | "responseIsProcessed") => "responseIsAcceptedBySmev",
        _ => status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: [&str; 8] = [
        "doesNotExist",
        "requestIsQueued",
        "requestIsAcceptedBySmev",
        "requestIsRejectedBySmev",
        "underProcessing",
        "responseIsAcceptedBySmev",
        "cancelled",
        "responseIsDelivered",
    ];
    const REAL: [&str; 10] = [
        "doesNotExist",
        "requestIsQueued",
        "requestIsAcceptedBySmev",
        "requestIsRejectedBySmev",
        "underProcessing",
        "responseIsAcceptedBySmev",
        "responseIsRejectedBySmev",
        "cancelled",
        "messageIsArchived",
        "messageIsDelivered",
    ];
    const NEW: [&str; 3] = ["requestIsProcessed", "responseIsQueued", "responseIsProcessed"];

    #[test]
    fn every_status_has_a_value_in_every_version() {
        for status in OLD.iter().chain(&REAL).chain(&NEW) {
            assert!(OLD.contains(&in_version(status, Version::V1_1)), "{status}");
            assert!(REAL.contains(&in_version(status, Version::V1_2)), "{status}");
            let newest = in_version(status, Version::V1_3);
            assert!(REAL.contains(&newest) || NEW.contains(&newest), "{status}");
        }
    }
}
