//! Durations and sizes as a person writes them: `"15m"`, `"30d"`, `"200ms"`, `"8 MiB"`, `"10 GB"`.

use std::time::Duration;

/// Parses a duration: a whole number and one of `ms`, `s`, `m`, `h`, `d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let fail = || format!("{text:?} is not a duration such as \"200ms\", \"30s\", \"15m\", \"48h\" or \"30d\"");
    let (number, unit) = split(text).ok_or_else(fail)?;
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(fail()),
    };
    let total = number
        .checked_mul(milliseconds)
        .filter(|total| *total <= 100 * 366 * 86_400_000);
    total
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is longer than a hundred years"))
}

/// Parses a size in octets: a whole number and one of `B`, `KB`, `MB`, `GB`, `TB` (powers of 1000) or `KiB`, `MiB`,
/// `GiB`, `TiB` (powers of 1024).
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let fail = || format!("{text:?} is not a size such as \"512 KiB\", \"8 MiB\" or \"10 GB\"");
    let (number, unit) = split(text).ok_or_else(fail)?;
    let factor: u64 = match unit {
        "B" => 1,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(fail()),
    };
    number
        .checked_mul(factor)
        .ok_or_else(|| format!("{text:?} is too large"))
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text.get(..digits)?.parse().ok()?, text.get(digits..)?.trim()))
}

/// A number of things: `1 error`, `2 errors`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_the_contract_are_understood() {
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("1095d"), Ok(Duration::from_secs(1095 * 86_400)));
        assert_eq!(duration("48 h"), Ok(Duration::from_secs(48 * 3600)));
        for wrong in [
            "",
            "15",
            "m",
            "-1m",
            "1.5h",
            "15 min",
            "99999999999999999999d",
            "40000d",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_know_thousands_from_1024() {
        assert_eq!(size("8 MiB"), Ok(8 * 1024 * 1024));
        assert_eq!(size("10 GB"), Ok(10_000_000_000));
        assert_eq!(size("512B"), Ok(512));
        for wrong in ["", "8", "8 M", "MiB", "1.5 GB", "99999999 TiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_person_reads_round_figures() {
        assert_eq!(
            (count(1, "error"), count(0, "error")),
            ("1 error".to_owned(), "0 errors".to_owned())
        );
    }
}
