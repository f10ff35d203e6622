//! Figures as people read them, in conditions, tables and warnings.

/// Octets for a person, with at most one decimal: `8.4 MB`.
pub fn show_size(octets: u64) -> String {
    let (factor, unit) = match octets {
        0..1_000 => return format!("{octets} B"),
        1_000..1_000_000 => (1e3, "KB"),
        1_000_000..1_000_000_000 => (1e6, "MB"),
        _ => (1e9, "GB"),
    };
    // Precision beyond 53 bits is of no interest to a reader.
    #[allow(clippy::cast_precision_loss)]
    let value = octets as f64 / factor;
    format!("{value:.1} {unit}")
}

/// Seconds for a person: `45s`, `12m 30s`, `3h 5m`, `4d 2h`.
pub fn show_seconds(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// The same in Russian: `45 с`, `12 мин 30 с`, `3 ч 5 мин`, `4 дн 2 ч`.
pub fn show_seconds_ru(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} с"),
        (0, 0, _) => format!("{minutes} мин {} с", seconds % 60),
        (0, _, _) => format!("{hours} ч {minutes} мин"),
        _ => format!("{days} дн {hours} ч"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_round_figures() {
        assert_eq!(show_size(999), "999 B");
        assert_eq!(show_size(8_400_000), "8.4 MB");
        assert_eq!(show_size(1_234_567_890), "1.2 GB");
        assert_eq!(show_seconds(59), "59s");
        assert_eq!(show_seconds(750), "12m 30s");
        assert_eq!(show_seconds(352_800), "4d 2h");
        assert_eq!(
            [45, 750, 11_100, 352_800].map(show_seconds_ru),
            ["45 с", "12 мин 30 с", "3 ч 5 мин", "4 дн 2 ч"]
        );
    }
}
