//! The stretch of time that a FHIR date, dateTime or instant stands for, by how precise it is.

use std::ops::Range;

use jiff::civil;
use jiff::tz::TimeZone;

use super::instant::{Clock, Manner, Precision, Scan};

/// Microseconds since the Unix epoch, the end not included: `2024-05` is all of May. What names no zone is read in
/// `zone`. `None` for what is no date. A minute may end the text (search parameters may leave seconds out).
pub fn covers(text: &str, zone: &TimeZone) -> Option<Range<i64>> {
    let mut scan = Scan::new(text);
    let date = scan.date()?;
    let number = |value: i64| i8::try_from(value).ok();
    let start = civil::Date::new(i16::try_from(date.year).ok()?, number(date.month)?, number(date.day)?).ok()?;
    if scan.is_done() {
        let end = match date.precision {
            Precision::Year => start.checked_add(jiff::Span::new().years(1)),
            Precision::Month => start.checked_add(jiff::Span::new().months(1)),
            Precision::Day => start.tomorrow(),
        };
        // After the last day of the calendar there is none.
        return Some(midnight(start, zone)..end.map_or(i64::MAX, |end| midnight(end, zone)));
    }
    let separated = date.precision == Precision::Day && (scan.take(b'T') || scan.take(b't'));
    let Clock { micros, unit } = scan.clock().filter(|_| separated)?;
    let low = if scan.is_done() {
        let time = civil::DateTime::from_parts(start, civil::Time::midnight());
        let time = time.checked_add(jiff::Span::new().try_microseconds(micros).ok()?).ok()?;
        time.to_zoned(zone.clone()).ok()?.timestamp().as_microsecond()
    } else {
        let offset = scan.zone(Manner::Tolerant).filter(|_| scan.is_done())?;
        date.midnight() + micros - offset
    };
    Some(low..low + unit)
}

/// On the last and first days of the calendar, where a zone's offset would lead out of it, that of UTC: `9999-12-31`
/// stands for "for ever" in many stores.
fn midnight(date: civil::Date, zone: &TimeZone) -> i64 {
    let naive = || date.at(0, 0, 0, 0).duration_since(civil::date(1970, 1, 1).at(0, 0, 0, 0)).as_micros();
    date.to_zoned(zone.clone())
        .map_or_else(|_| i64::try_from(naive()).unwrap_or(i64::MAX), |zoned| zoned.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::instant::Instant;

    fn spans(text: &str, zone: &str) -> Option<(String, String)> {
        let at = |micros| Instant::from_unix_micros(micros).map_or_else(|| "end".to_owned(), Instant::to_micros);
        covers(text, &TimeZone::get(zone).expect("a zone")).map(|span| (at(span.start), at(span.end)))
    }

    #[test]
    fn by_precision_and_zone() {
        for (text, zone, low, high) in [
            ("2024", "UTC", "2024-01-01T00:00:00.000000Z", "2025-01-01T00:00:00.000000Z"),
            ("2024-02", "UTC", "2024-02-01T00:00:00.000000Z", "2024-03-01T00:00:00.000000Z"),
            ("2024-02-29", "Europe/Berlin", "2024-02-28T23:00:00.000000Z", "2024-02-29T23:00:00.000000Z"),
            // The clock is put forward on this day.
            ("2024-03-31", "Europe/Berlin", "2024-03-30T23:00:00.000000Z", "2024-03-31T22:00:00.000000Z"),
            ("2024-05-01T10:30", "UTC", "2024-05-01T10:30:00.000000Z", "2024-05-01T10:31:00.000000Z"),
            ("2024-05-01T10:30:05", "America/New_York", "2024-05-01T14:30:05.000000Z", "2024-05-01T14:30:06.000000Z"),
            ("2024-05-01T10:30:05+02:00", "UTC", "2024-05-01T08:30:05.000000Z", "2024-05-01T08:30:06.000000Z"),
            ("2024-05-01T10:30:05 02:00", "UTC", "2024-05-01T08:30:05.000000Z", "2024-05-01T08:30:06.000000Z"),
            ("2024-05-01T10:30:05.12Z", "UTC", "2024-05-01T10:30:05.120000Z", "2024-05-01T10:30:05.130000Z"),
            ("2024-05-01T10:30:05.1234567Z", "UTC", "2024-05-01T10:30:05.123456Z", "2024-05-01T10:30:05.123457Z"),
        ] {
            assert_eq!(spans(text, zone), Some((low.to_owned(), high.to_owned())), "{text}");
        }
        for text in ["9999", "9999-12-31"] {
            assert_eq!(spans(text, "America/New_York").map(|(_, high)| high), Some("end".to_owned()), "{text}");
        }
        assert!(spans("0001-01-01", "Europe/Berlin").is_some());
        for text in ["", "24", "2024-13", "2024-02-30", "2024-05T10:00", "2024-05-01T", "2024-05-01T10", "2024-05-01x"]
        {
            assert_eq!(spans(text, "UTC"), None, "{text}");
        }
    }
}
