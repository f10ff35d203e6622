//! `xs:dateTime` as clients write it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// Reads a moment. A missing offset means Moscow time, as on the bus; digits beyond nanoseconds are dropped; what lies
/// beyond the last moment that can be told (in the year 9999), with a year of more digits too, becomes that one.
/// `None` if it is no date and time.
pub fn date_time(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once('T')?;
    if text.len() > 96 || !text.is_ascii() {
        return None;
    }
    let (year, month_and_day) = date.split_once('-')?;
    if year.len() > 4 && !year.starts_with('0') && year.bytes().all(|b| b.is_ascii_digit()) {
        // 2000 has every day that any year can have.
        return date_time(&format!("2000-{month_and_day}T{time}")).map(|_| Timestamp::MAX);
    }
    let zone = time.find(['Z', 'z', '+', '-']);
    let (clock, zone) = time.split_at(zone.unwrap_or(time.len()));
    let (seconds, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction = &fraction[..fraction.len().min(9)];
    let point = if fraction.is_empty() { "" } else { "." };
    let (seconds, next_day) = if seconds == "24:00:00" {
        ("00:00:00", true)
    } else {
        (seconds, false)
    };
    let mut local: DateTime = format!("{date}T{seconds}{point}{fraction}").parse().ok()?;
    if next_day {
        local = local.checked_add(jiff::Span::new().days(1)).unwrap_or(DateTime::MAX);
    }
    let offset = match zone {
        "" => MOSCOW,
        "Z" | "z" => Offset::UTC,
        _ => offset(zone)?,
    };
    let moment = TimeZone::fixed(offset).to_timestamp(local);
    Some(moment.unwrap_or(if local.year() > 0 {
        Timestamp::MAX
    } else {
        Timestamp::MIN
    }))
}

/// The offset of the bus.
pub(crate) const MOSCOW: Offset = Offset::constant(3);

fn offset(text: &str) -> Option<Offset> {
    let (sign, digits) = text.split_at(1);
    let (hours, minutes) = digits.split_once(':')?;
    let number = |text: &str| {
        (text.len() == 2)
            .then(|| text.parse::<u8>().ok())
            .flatten()
            .map(i32::from)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    let seconds = (hours * 60 + minutes) * 60;
    Offset::from_seconds(if sign == "-" { -seconds } else { seconds }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        date_time(text).map(|t| t.to_string())
    }

    #[test]
    fn the_forms_of_real_clients_are_read() {
        assert_eq!(
            read("2015-12-01T14:27:11+03:00").as_deref(),
            Some("2015-12-01T11:27:11Z")
        );
        assert_eq!(read("2015-12-01T14:27:11").as_deref(), Some("2015-12-01T11:27:11Z"));
        assert_eq!(read("2015-12-01T14:27:11Z").as_deref(), Some("2015-12-01T14:27:11Z"));
        assert_eq!(
            read("2015-12-01T14:27:11.1234567-05:30").as_deref(),
            Some("2015-12-01T19:57:11.1234567Z")
        );
        assert_eq!(
            read("2015-12-01T14:27:11.123456789012Z").as_deref(),
            Some("2015-12-01T14:27:11.123456789Z")
        );
        assert_eq!(read("2015-12-31T24:00:00Z").as_deref(), Some("2016-01-01T00:00:00Z"));
    }

    #[test]
    fn what_lies_beyond_the_last_moment_becomes_it() {
        for text in [
            "9999-12-31T23:59:59",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.999-14:00",
            "9999-12-31T24:00:00Z",
            "10000-01-01T00:00:00",
            "123456789-02-29T00:00:00+03:00",
        ] {
            assert_eq!(date_time(text), Some(Timestamp::MAX), "{text}");
        }
        assert!(read("9999-12-30T21:59:59").is_some_and(|text| text.starts_with("9999-12-30T18:59:59")));
        assert_eq!(read("12345-13-01T00:00:00"), None);
        assert_eq!(read("02015-12-01T14:27:11"), None);
    }

    #[test]
    fn other_texts_are_no_moment() {
        for text in [
            "",
            "T",
            "2015-12-01",
            "2015-13-01T00:00:00Z",
            "2015-12-01T14:27:11+3",
            "2015-12-01T14:27:11+15:00",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}", tail in "[0-9:.TZ+-]{0,30}") {
            let _ = date_time(&text);
            let _ = date_time(&format!("2015-12-01T{tail}"));
        }
    }
}
