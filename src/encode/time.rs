//! Dates and times: own calendar arithmetic, and the offsets of one time zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::text::pair;
use super::{EncodeError, Invalid};
use crate::row::civil::{self, DAY_US, ERA_DAYS};

const SECOND_US: i64 = 1_000_000;
/// Microseconds in 400 years; the calendar, week days included, repeats after them.
const ERA_US: i64 = ERA_DAYS * DAY_US;
/// 0001-01-01 and 10000-01-01 as microseconds since 2000-01-01: FHIR's years.
const FIRST_US: i64 = -730_119 * DAY_US;
const END_US: i64 = 2_921_940 * DAY_US;
/// Seconds from 1970-01-01 to 2000-01-01.
const EPOCH_S: i64 = 946_684_800;
/// From this year on a zone's rules are taken to repeat every 400 years (data files list years up to 2087).
const LAST_LISTED: i64 = 2_100;

/// A stretch of time with one offset from UTC.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    /// First microsecond, UTC.
    utc: i64,
    /// First local microsecond that no other stretch has.
    local: i64,
    /// First local microsecond after `local` that another stretch has too, or no stretch has.
    local_end: i64,
    /// Microseconds to add to UTC.
    offset: i64,
}

/// All offsets of a time zone, with the stretch used last at hand.
#[derive(Debug)]
pub(super) struct Zone {
    stretches: Vec<Stretch>,
    last: usize,
    /// Offsets are written `Z`.
    utc: bool,
    /// From here on times are looked up 400 years (or several times that) earlier.
    repeat_us: i64,
}

impl Zone {
    /// The zone with this IANA name.
    pub(super) fn new(name: &str) -> Result<Self, EncodeError> {
        let zone = TimeZone::get(name).map_err(|source| EncodeError::Zone { name: name.to_owned(), source })?;
        let offset_us = |seconds: i32| i64::from(seconds) * SECOND_US;
        let repeat_us = civil::days(LAST_LISTED + 400, 1, 1) * DAY_US;
        let mut starts: Vec<(i64, i64)> = vec![(i64::MIN, offset_us(zone.to_offset(Timestamp::MIN).seconds()))];
        for transition in zone.following(Timestamp::MIN) {
            let utc = (transition.timestamp().as_second() - EPOCH_S) * SECOND_US;
            if utc > repeat_us + DAY_US {
                break;
            }
            let offset = offset_us(transition.offset().seconds());
            if starts.last().is_some_and(|(_, before)| *before != offset) {
                starts.push((utc, offset));
            }
        }
        let mut stretches: Vec<Stretch> = Vec::with_capacity(starts.len());
        for (nth, (utc, offset)) in starts.iter().copied().enumerate() {
            let before = nth.checked_sub(1).and_then(|nth| starts.get(nth));
            let after = starts.get(nth + 1);
            stretches.push(Stretch {
                utc,
                local: before.map_or(i64::MIN, |(_, theirs)| utc + offset.max(*theirs)),
                local_end: after.map_or(i64::MAX, |(end, theirs)| end + offset.min(*theirs)),
                offset,
            });
        }
        Ok(Self { stretches, last: 0, utc: matches!(name, "UTC" | "Etc/UTC"), repeat_us })
    }

    /// The same moment of the calendar within the years that are listed.
    #[inline]
    fn listed(&self, us: i64) -> i64 {
        if us < self.repeat_us { us } else { us - ((us - self.repeat_us) / ERA_US + 1) * ERA_US }
    }

    #[inline]
    fn stretch(&self, nth: usize) -> Stretch {
        // Both searches give a number below the length, and no zone is without a stretch.
        self.stretches.get(nth).copied().unwrap_or(Stretch {
            utc: i64::MIN,
            local: i64::MIN,
            local_end: i64::MAX,
            offset: 0,
        })
    }

    /// The offset in force at an instant.
    #[inline]
    fn offset_at(&mut self, utc: i64) -> i64 {
        let utc = self.listed(utc);
        let last = self.stretch(self.last);
        let next = self.stretches.get(self.last + 1).map_or(i64::MAX, |next| next.utc);
        if utc >= last.utc && utc < next {
            return last.offset;
        }
        self.last = self.stretches.partition_point(|stretch| stretch.utc <= utc).saturating_sub(1);
        self.stretch(self.last).offset
    }

    /// The offset of a local time: in a gap the later one, in an overlap the first one, and `true` in both.
    #[inline]
    fn offset_of_local(&mut self, local: i64) -> (i64, bool) {
        let local = self.listed(local);
        let last = self.stretch(self.last);
        if local >= last.local && local < last.local_end {
            return (last.offset, false);
        }
        self.last = self.stretches.partition_point(|stretch| stretch.local <= local).saturating_sub(1);
        let found = self.stretch(self.last);
        if local < found.local_end {
            return (found.offset, false);
        }
        let next = self.stretch((self.last + 1).min(self.stretches.len() - 1));
        let in_gap = next.offset > found.offset;
        (if in_gap { next.offset } else { found.offset }, true)
    }

    /// Appends a `timestamptz` (microseconds since 2000-01-01T00:00Z) in this zone, without quotes.
    #[inline]
    pub(super) fn instant(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
        let utc = micros(bytes)?;
        if !(FIRST_US..END_US).contains(&utc) {
            return Err(Invalid);
        }
        let offset = self.offset_at(utc);
        self.write(utc, offset, out)
    }

    /// Appends a `timestamp` (local microseconds since 2000-01-01) with its offset in this zone, without quotes.
    /// True when the local time does not exist or exists twice.
    #[inline]
    pub(super) fn local(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<bool, Invalid> {
        let local = micros(bytes)?;
        if !(FIRST_US..END_US).contains(&local) {
            return Err(Invalid);
        }
        let (offset, adjusted) = self.offset_of_local(local);
        self.write(local - offset, offset, out)?;
        Ok(adjusted)
    }

    #[inline]
    fn write(&self, utc: i64, offset: i64, out: &mut Vec<u8>) -> Result<(), Invalid> {
        // FHIR's offsets have no seconds; those of local mean time do. The instant is kept.
        let minutes = offset / (60 * SECOND_US);
        let local = utc + minutes * 60 * SECOND_US;
        if !(FIRST_US..END_US).contains(&local) {
            return Err(Invalid);
        }
        let (year, month, day) = civil::date(local.div_euclid(DAY_US));
        let of_day = local.rem_euclid(DAY_US);
        let mut text = *b"0000-00-00T00:00:00.000000+00:00";
        put_date(&mut text, year as u32, month, day);
        put_clock(&mut text, 11, of_day);
        let micros = (of_day % SECOND_US) as u32;
        let mut len = 19 + put_fraction(&mut text, 20, micros);
        if self.utc {
            text[len] = b'Z';
            len += 1;
        } else {
            let unsigned = minutes.unsigned_abs() as u32;
            text[len] = if minutes < 0 { b'-' } else { b'+' };
            put(&mut text, len + 1, unsigned / 60);
            text[len + 3] = b':';
            put(&mut text, len + 4, unsigned % 60);
            len += 6;
        }
        out.extend_from_slice(&text[..len]);
        Ok(())
    }
}

#[inline]
fn put(text: &mut [u8], at: usize, n: u32) {
    let [high, low] = pair(n);
    text[at] = high;
    text[at + 1] = low;
}

#[inline]
fn put_date(text: &mut [u8], year: u32, month: u32, day: u32) {
    put(text, 0, year / 100);
    put(text, 2, year % 100);
    put(text, 5, month);
    put(text, 8, day);
}

#[inline]
fn put_clock(text: &mut [u8], at: usize, of_day: i64) {
    let seconds = (of_day / SECOND_US) as u32;
    put(text, at, seconds / 3_600);
    put(text, at + 3, seconds / 60 % 60);
    put(text, at + 6, seconds % 60);
}

/// Writes three or six digits at `at` (after a point that stands there) if there is a fraction; the bytes used,
/// point included.
#[inline]
fn put_fraction(text: &mut [u8], at: usize, micros: u32) -> usize {
    if micros == 0 {
        return 0;
    }
    put(text, at, micros / 10_000);
    put(text, at + 2, micros / 100 % 100);
    put(text, at + 4, micros % 100);
    if micros.is_multiple_of(1_000) { 4 } else { 7 }
}

#[inline]
fn micros(bytes: &[u8]) -> Result<i64, Invalid> {
    bytes.try_into().map(i64::from_be_bytes).map_err(|_wrong_length| Invalid)
}

fn day_number(bytes: &[u8]) -> Result<i64, Invalid> {
    bytes.try_into().map(i32::from_be_bytes).map(i64::from).map_err(|_wrong_length| Invalid)
}

/// Appends a `date` (days since 2000-01-01) without quotes; years beyond 1–9999 and infinities are invalid.
#[inline]
pub(super) fn date(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    let days = day_number(bytes)?;
    if !(FIRST_US / DAY_US..END_US / DAY_US).contains(&days) {
        return Err(Invalid);
    }
    let (year, month, day) = civil::date(days);
    let mut text = *b"0000-00-00";
    put_date(&mut text, year as u32, month, day);
    out.extend_from_slice(&text);
    Ok(())
}

/// Appends a `time` (microseconds since midnight) without quotes; 24:00 is invalid in FHIR.
pub(super) fn time(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    let of_day = micros(bytes)?;
    if !(0..DAY_US).contains(&of_day) {
        return Err(Invalid);
    }
    let mut text = *b"00:00:00.000000";
    put_clock(&mut text, 0, of_day);
    let len = 8 + put_fraction(&mut text, 9, (of_day % SECOND_US) as u32);
    out.extend_from_slice(&text[..len]);
    Ok(())
}

/// Appends a `date` as PostgreSQL prints it.
pub(super) fn date_database(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    let days = day_number(bytes)?;
    match days as i32 {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        _ => {
            let era = calendar_day(days, out);
            out.extend_from_slice(era);
        }
    }
    Ok(())
}

/// Appends a `time` as PostgreSQL prints it.
pub(super) fn time_database(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    let of_day = micros(bytes)?;
    if !(0..=DAY_US).contains(&of_day) {
        return Err(Invalid);
    }
    clock(of_day, out);
    Ok(())
}

/// Appends a `timestamp` as PostgreSQL prints it, or a `timestamptz` as it does in a session in UTC.
pub(super) fn timestamp_database(bytes: &[u8], zone: &str, out: &mut Vec<u8>) -> Result<(), Invalid> {
    let us = micros(bytes)?;
    match us {
        i64::MAX => out.extend_from_slice(b"infinity"),
        i64::MIN => out.extend_from_slice(b"-infinity"),
        _ => {
            let era = calendar_day(us.div_euclid(DAY_US), out);
            out.push(b' ');
            clock(us.rem_euclid(DAY_US), out);
            out.extend_from_slice(zone.as_bytes());
            out.extend_from_slice(era);
        }
    }
    Ok(())
}

/// Appends a day of any year, and gives what is to follow the time of day.
fn calendar_day(days: i64, out: &mut Vec<u8>) -> &'static [u8] {
    let (year, month, day) = civil::date(days);
    let (year, era): (i64, &[u8]) = if year < 1 { (1 - year, b" BC") } else { (year, b"") };
    out.extend_from_slice(format!("{year:04}-{month:02}-{day:02}").as_bytes());
    era
}

fn clock(of_day: i64, out: &mut Vec<u8>) {
    let mut text = *b"00:00:00.000000";
    put_clock(&mut text, 0, of_day);
    let micros = (of_day % SECOND_US) as u32;
    put_fraction(&mut text, 9, micros);
    let mut len = if micros == 0 { 8 } else { text.len() };
    while len > 9 && text[len - 1] == b'0' {
        len -= 1;
    }
    out.extend_from_slice(&text[..len]);
}

#[cfg(test)]
mod tests {
    use jiff::civil::DateTime;
    use jiff::tz::{AmbiguousOffset, Offset};
    use proptest::prelude::*;

    use super::*;
    use crate::row::{PgKind, value::binary};

    fn wire(kind: &str, text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        binary(&PgKind::from_sql_name(kind), text, &mut out).unwrap();
        out
    }

    fn printed<T>(write: impl FnOnce(&mut Vec<u8>) -> Result<T, Invalid>) -> String {
        let mut out = Vec::new();
        match write(&mut out) {
            Ok(_) => String::from_utf8(out).unwrap(),
            Err(Invalid) => "invalid".to_owned(),
        }
    }

    #[test]
    fn dates_and_times() {
        for (kind, text, expected) in [
            ("date", "1990-07-21", "1990-07-21"),
            ("date", "0001-01-01", "0001-01-01"),
            ("date", "9999-12-31", "9999-12-31"),
            ("date", "10000-01-01", "invalid"),
            ("date", "infinity", "invalid"),
            ("date", "-infinity", "invalid"),
            ("time", "09:30", "09:30:00"),
            ("time", "23:59:59.9", "23:59:59.900"),
            ("time", "00:00:00.000001", "00:00:00.000001"),
            ("time", "24:00", "invalid"),
        ] {
            let bytes = wire(kind, text);
            let write = |out: &mut Vec<u8>| if kind == "date" { date(&bytes, out) } else { time(&bytes, out) };
            assert_eq!(printed(write), expected, "{kind} {text}");
        }
        assert_eq!(printed(|out| date(&(-730_120_i32).to_be_bytes(), out)), "invalid", "1 BC");
        assert_eq!(printed(|out| date(b"abc", out)), "invalid");
    }

    #[test]
    fn instants() {
        for (zone, text, expected) in [
            ("America/New_York", "2026-03-08T14:31:02Z", "2026-03-08T10:31:02-04:00"),
            ("America/New_York", "2026-03-08T14:05:09.125Z", "2026-03-08T10:05:09.125-04:00"),
            ("America/New_York", "2026-03-08T06:59:59.999999Z", "2026-03-08T01:59:59.999999-05:00"),
            ("America/New_York", "2026-03-08T07:00:00Z", "2026-03-08T03:00:00-04:00"),
            ("America/New_York", "1850-01-01T12:00:00Z", "1850-01-01T07:04:00-04:56"),
            ("Asia/Kolkata", "2026-03-08T14:31:02Z", "2026-03-08T20:01:02+05:30"),
            ("Europe/London", "2026-01-08T14:31:02Z", "2026-01-08T14:31:02+00:00"),
            ("UTC", "2026-03-08T14:31:02.5Z", "2026-03-08T14:31:02.500Z"),
            ("UTC", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("America/New_York", "0001-01-01T00:00:00Z", "invalid"),
            ("America/New_York", "9999-07-01T12:00:00Z", "9999-07-01T08:00:00-04:00"),
            ("Asia/Tokyo", "9999-12-31T23:00:00Z", "invalid"),
            ("UTC", "infinity", "invalid"),
            ("UTC", "-infinity", "invalid"),
        ] {
            let bytes = wire("timestamptz", text);
            assert_eq!(printed(|out| Zone::new(zone).unwrap().instant(&bytes, out)), expected, "{zone} {text}");
        }
    }

    #[test]
    fn local_times() {
        for (zone, text, expected, adjusted) in [
            ("America/New_York", "2026-03-08 09:30:00", "2026-03-08T09:30:00-04:00", false),
            ("America/New_York", "2026-03-08 01:59:59", "2026-03-08T01:59:59-05:00", false),
            ("America/New_York", "2026-03-08 02:00:00", "2026-03-08T02:00:00-04:00", true),
            ("America/New_York", "2026-03-08 02:59:59", "2026-03-08T02:59:59-04:00", true),
            ("America/New_York", "2026-03-08 03:00:00", "2026-03-08T03:00:00-04:00", false),
            ("America/New_York", "2026-11-01 00:59:59", "2026-11-01T00:59:59-04:00", false),
            ("America/New_York", "2026-11-01 01:30:00", "2026-11-01T01:30:00-04:00", true),
            ("America/New_York", "2026-11-01 02:00:00", "2026-11-01T02:00:00-05:00", false),
            ("Pacific/Apia", "2011-12-30 12:00:00", "2011-12-30T12:00:00+14:00", true),
            ("UTC", "2026-03-08 02:30:00.120", "2026-03-08T02:30:00.120Z", false),
        ] {
            let bytes = wire("timestamp", text);
            let mut out = Vec::new();
            assert_eq!(Zone::new(zone).unwrap().local(&bytes, &mut out), Ok(adjusted), "{zone} {text}");
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn an_unknown_zone_is_an_error() {
        assert!(matches!(Zone::new("Mars/Base"), Err(EncodeError::Zone { .. })));
    }

    /// Expected texts are PostgreSQL 15's.
    #[test]
    fn as_the_database_prints_them() {
        for (kind, text, expected) in [
            ("timestamptz", "2026-03-08T14:31:02.5Z", "2026-03-08 14:31:02.5+00"),
            ("timestamp", "2026-03-08 14:31:02.120", "2026-03-08 14:31:02.12"),
            ("timestamp", "2026-03-08 09:30:00", "2026-03-08 09:30:00"),
            ("timestamptz", "infinity", "infinity"),
            ("timestamp", "-infinity", "-infinity"),
            ("date", "12345-01-01", "12345-01-01"),
            ("date", "infinity", "infinity"),
            ("time", "09:30:00.5", "09:30:00.5"),
            ("time", "24:00", "24:00:00"),
        ] {
            let bytes = wire(kind, text);
            let write = |out: &mut Vec<u8>| match kind {
                "date" => date_database(&bytes, out),
                "time" => time_database(&bytes, out),
                "timestamp" => timestamp_database(&bytes, "", out),
                _ => timestamp_database(&bytes, "+00", out),
            };
            assert_eq!(printed(write), expected, "{kind} {text}");
        }
        let ides = civil::days(-43, 3, 15);
        assert_eq!(printed(|out| date_database(&(ides as i32).to_be_bytes(), out)), "0044-03-15 BC");
        let us = (ides * DAY_US + 36_000 * SECOND_US).to_be_bytes();
        assert_eq!(printed(|out| timestamp_database(&us, "+00", out)), "0044-03-15 10:00:00+00 BC");
    }

    const ZONES: [&str; 12] = [
        "America/New_York",
        "Europe/London",
        "Europe/Dublin",
        "Africa/Casablanca",
        "Australia/Lord_Howe",
        "Asia/Kolkata",
        "Asia/Tehran",
        "Pacific/Apia",
        "America/St_Johns",
        "Asia/Pyongyang",
        "Europe/Berlin",
        "UTC",
    ];

    fn minutes(offset: Offset) -> i64 {
        i64::from(offset.seconds()) / 60
    }

    fn expected(instant: Timestamp, offset_minutes: i64, utc: bool) -> String {
        let shown = Offset::from_seconds(offset_minutes as i32 * 60).unwrap().to_datetime(instant);
        let fraction = match shown.subsec_nanosecond() / 1_000 {
            0 => String::new(),
            us if us % 1_000 == 0 => format!(".{:03}", us / 1_000),
            us => format!(".{us:06}"),
        };
        let (sign, unsigned) = (if offset_minutes < 0 { '-' } else { '+' }, offset_minutes.abs());
        let zone = if utc { "Z".to_owned() } else { format!("{sign}{:02}:{:02}", unsigned / 60, unsigned % 60) };
        format!("{}{fraction}{zone}", shown.strftime("%Y-%m-%dT%H:%M:%S"))
    }

    /// Any time of FHIR's years but the first and last day, with seconds, milliseconds or microseconds, often near
    /// a change of a zone's offset.
    fn times() -> impl Strategy<Value = (usize, i64)> {
        let any_time = (0..ZONES.len(), FIRST_US + DAY_US..END_US - DAY_US);
        let near_change = (0..ZONES.len(), 1_900_i16..2_600, any::<prop::sample::Index>(), -90_i64..90).prop_map(
            |(zone, year, index, minutes)| {
                let rules = TimeZone::get(ZONES[zone]).unwrap();
                let start = jiff::civil::date(year, 1, 1).to_zoned(TimeZone::UTC).unwrap().timestamp();
                let changes: Vec<i64> =
                    rules.following(start).take(4).map(|change| change.timestamp().as_second()).collect();
                let at = if changes.is_empty() { start.as_second() } else { changes[index.index(changes.len())] };
                (zone, (at - EPOCH_S + minutes * 60) * SECOND_US)
            },
        );
        (prop_oneof![any_time, near_change], prop_oneof![Just(SECOND_US), Just(1_000), Just(1)])
            .prop_map(|((zone, us), unit)| (zone, us.div_euclid(unit) * unit))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn instants_are_as_jiff_has_them(several in prop::collection::vec(times(), 1..4)) {
            for (zone, us) in several {
                let rules = TimeZone::get(ZONES[zone]).unwrap();
                let instant = Timestamp::from_microsecond(us + EPOCH_S * SECOND_US).unwrap();
                let minutes = minutes(rules.to_offset(instant));
                let ours = printed(|out| Zone::new(ZONES[zone]).unwrap().instant(&us.to_be_bytes(), out));
                prop_assert_eq!(ours, expected(instant, minutes, ZONES[zone] == "UTC"));
            }
        }

        #[test]
        fn local_times_are_as_jiff_has_them((zone, us) in times(), warm_up in times()) {
            let rules = TimeZone::get(ZONES[zone]).unwrap();
            let local: DateTime = Offset::UTC
                .to_datetime(Timestamp::from_microsecond(us + EPOCH_S * SECOND_US).unwrap());
            let (offset, adjusted) = match rules.to_ambiguous_timestamp(local).offset() {
                AmbiguousOffset::Unambiguous { offset } => (offset, false),
                AmbiguousOffset::Gap { after, .. } => (after, true),
                AmbiguousOffset::Fold { before, .. } => (before, true),
            };
            let mut ours = Zone::new(ZONES[zone]).unwrap();
            let _ = ours.instant(&warm_up.1.to_be_bytes(), &mut Vec::new());
            let mut out = Vec::new();
            prop_assert_eq!(ours.local(&us.to_be_bytes(), &mut out), Ok(adjusted));
            let instant = offset.to_timestamp(local).unwrap();
            prop_assert_eq!(
                String::from_utf8(out).unwrap(),
                expected(instant, minutes(offset), ZONES[zone] == "UTC")
            );
        }
    }
}
