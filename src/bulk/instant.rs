//! Instants as kick-off parameters write them.
//!
//! Clients differ, so more than FHIR's `instant` is read: partial dates (start of the period in UTC), lower-case `t`
//! and `z`, and a space where a `+` was meant (a `+` that nobody encoded).

use jiff::Timestamp;

/// Nanoseconds since 1970-01-01T00:00:00Z; none if `text` is not an instant or a date.
pub fn read(text: &str) -> Option<i128> {
    let text = text.trim().to_ascii_uppercase();
    let whole = match text.len() {
        4 => format!("{text}-01-01T00:00:00Z"),
        7 => format!("{text}-01T00:00:00Z"),
        10 => format!("{text}T00:00:00Z"),
        _ => text.replacen(' ', "+", 1),
    };
    let zoned = whole.strip_prefix_shape("0000-00-00T00:00:00")?;
    let zone = match zoned.strip_prefix('.') {
        None => zoned,
        Some(fraction) => {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            fraction.get(digits..).filter(|_| (1..=9).contains(&digits))?
        }
    };
    let offset = || zone.strip_prefix(['+', '-']).and_then(|zone| zone.strip_prefix_shape("00:00"));
    if zone != "Z" && offset() != Some("") {
        return None;
    }
    whole.parse().ok().map(Timestamp::as_nanosecond)
}

/// Microseconds since 1970-01-01T00:00:00Z as a FHIR instant in UTC; none outside the years 1 to 9999.
pub fn write(microseconds: i64) -> Option<String> {
    let instant = Timestamp::from_microsecond(microseconds).ok()?;
    let text = instant.to_string();
    (!text.starts_with('-') && !text.starts_with("0000")).then_some(text)
}

/// Reads by example.
trait Shape {
    /// What follows a prefix that has digits where `shape` has `0` and is equal to it elsewhere.
    fn strip_prefix_shape(&self, shape: &str) -> Option<&str>;
}

impl Shape for str {
    fn strip_prefix_shape(&self, shape: &str) -> Option<&str> {
        let (prefix, rest) = self.split_at_checked(shape.len())?;
        let fits = |(have, want): (u8, u8)| if want == b'0' { have.is_ascii_digit() } else { have == want };
        prefix.bytes().zip(shape.bytes()).all(fits).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_that_clients_send() {
        for (text, same_as) in [
            ("2024-05-01T10:20:30Z", "2024-05-01T10:20:30Z"),
            ("2024-05-01t10:20:30z", "2024-05-01T10:20:30Z"),
            ("2024-05-01T10:20:30.5Z", "2024-05-01T10:20:30.5Z"),
            ("2024-05-01T10:20:30.123456Z", "2024-05-01T10:20:30.123456Z"),
            ("2024-05-01T12:20:30+02:00", "2024-05-01T10:20:30Z"),
            ("2024-05-01T12:20:30 02:00", "2024-05-01T10:20:30Z"),
            ("2024-05-01T05:20:30-05:00", "2024-05-01T10:20:30Z"),
            (" 2024-05-01 ", "2024-05-01T00:00:00Z"),
            ("2024-05", "2024-05-01T00:00:00Z"),
            ("2024", "2024-01-01T00:00:00Z"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ] {
            let nanoseconds = read(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(write((nanoseconds.div_euclid(1000)) as i64).as_deref(), Some(same_as), "{text}");
        }
    }

    #[test]
    fn what_is_no_instant() {
        for text in [
            "",
            "now",
            "202",
            "24-05-01",
            "2024-13",
            "2024-02-30",
            "2024-05-01T10:20",
            "2024-05-01T10:20:30",
            "2024-05-01T10:20Z",
            "2024-05-01T25:20:30Z",
            "2024-05-01T10:20:30.Z",
            "2024-05-01T10:20:30.1234567890Z",
            "2024-05-01T10:20:30+02",
            "2024-05-01T10:20:30Z[UTC]",
            "2024-05-01 10:20:30Z",
            "２０２４-05-01T10:20:30Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
