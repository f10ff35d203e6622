//! `xs:dateTime` as the bus writes it: milliseconds and the offset of Moscow (PROTOCOL §3.7).

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// `2020-05-20T07:52:37.000+03:00`
pub(crate) fn date_time(at: Timestamp) -> String {
    let moscow = TimeZone::fixed(Offset::constant(3));
    at.to_zoned(moscow).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
}

/// Reads an `xs:dateTime`. One without an offset is taken as Moscow time.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().or_else(|_| format!("{text}+03:00").parse()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_moscow_time_with_milliseconds() {
        let at: Timestamp = "2020-05-20T04:52:37.5Z".parse().unwrap();
        assert_eq!(date_time(at), "2020-05-20T07:52:37.500+03:00");
        assert_eq!(parse("2020-05-20T07:52:37.500+03:00"), Some(at));
        assert_eq!(parse("2020-05-20T07:52:37.500"), Some(at));
        assert_eq!(parse("yesterday"), None);
    }
}
