//! Points in time, and the text forms of FHIR's date, dateTime, time and instant.

use std::fmt;
use std::str::FromStr;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// A point in time: microseconds since 1970-01-01T00:00:00Z, from year 1 to year 9999 in UTC (what FHIR can write).
///
/// `Display` writes a FHIR instant in UTC with milliseconds, rounded down: `2026-03-01T09:30:00.123Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

/// Why a text is no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a FHIR instant, such as 2026-03-01T09:30:00Z")]
pub struct NotAnInstant;

impl Instant {
    /// The first instant there is, 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800 * SECOND);
    /// The last, 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_800 * SECOND - 1);

    /// From microseconds since the Unix epoch; `None` beyond [`MIN`](Self::MIN) and [`MAX`](Self::MAX).
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        Some(Self(micros)).filter(|instant| (Self::MIN..=Self::MAX).contains(instant))
    }

    /// Microseconds since the Unix epoch.
    pub const fn unix_micros(self) -> i64 {
        self.0
    }

    /// The FHIR instant in UTC with all microseconds: `2026-03-01T09:30:00.123456Z`.
    pub fn to_micros(self) -> String {
        format!("{}.{:06}Z", Seconds(self), self.0.rem_euclid(SECOND))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}Z", Seconds(*self), self.0.rem_euclid(SECOND) / 1_000)
    }
}

/// Writes an instant up to its second.
struct Seconds(Instant);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.0.div_euclid(DAY));
        let second = self.0.0.rem_euclid(DAY) / SECOND;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

/// Reads what clients send as an instant, generously: `YYYY-MM-DDThh:mm:ss[.fraction]` with `Z` or `±hh:mm`, also
/// `2024`, `2024-05` and `2024-05-01` (their first moment in UTC). `t` and `z` may be lower case, a blank may stand
/// where `+` was meant (a query string not escaped), the fraction has 1 to 9 digits and is cut to microseconds. A time
/// of day without a zone is ambiguous and refused. Second 60 is the first of the next minute.
impl FromStr for Instant {
    type Err = NotAnInstant;

    fn from_str(text: &str) -> Result<Self, NotAnInstant> {
        tolerant(text).ok_or(NotAnInstant)
    }
}

fn tolerant(text: &str) -> Option<Instant> {
    let mut scan = Scan(text.as_bytes());
    let date = scan.date()?;
    let midnight = date.midnight();
    if scan.is_done() {
        return Instant::from_unix_micros(midnight);
    }
    let separated = date.precision == Precision::Day && (scan.take(b'T') || scan.take(b't'));
    let (time, digits) = scan.time().filter(|_| separated)?;
    let offset = scan.zone(Manner::Tolerant)?;
    Instant::from_unix_micros(midnight + time - offset).filter(|_| digits <= 9 && scan.is_done())
}

/// Whether `text` is a FHIR date: `2024`, `2024-05` or `2024-05-31`, a real day.
pub fn is_date(text: &str) -> bool {
    let mut scan = Scan(text.as_bytes());
    scan.date().is_some() && scan.is_done()
}

/// Whether `text` is a FHIR dateTime: a [date](is_date) or an [instant](is_instant).
pub fn is_date_time(text: &str) -> bool {
    is_date(text) || is_instant(text)
}

/// Whether `text` is a FHIR instant: a day, a time to the second or finer, and a zone.
pub fn is_instant(text: &str) -> bool {
    let mut scan = Scan(text.as_bytes());
    scan.date().is_some_and(|date| date.precision == Precision::Day)
        && scan.take(b'T')
        && scan.time().is_some()
        && scan.zone(Manner::Strict).is_some()
        && scan.is_done()
}

/// Whether `text` is a FHIR time: `hh:mm:ss`, perhaps with a fraction; `24:00` is none.
pub fn is_time(text: &str) -> bool {
    let mut scan = Scan(text.as_bytes());
    scan.time().is_some() && scan.is_done()
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    Year,
    Month,
    Day,
}

pub(super) struct Date {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) precision: Precision,
}

impl Date {
    /// Microseconds from the Unix epoch to its first moment in UTC.
    pub(super) fn midnight(&self) -> i64 {
        days(self.year, self.month, self.day) * DAY
    }
}

/// A time of day: microseconds since midnight, and how many of them it stands for.
pub(super) struct Clock {
    pub(super) micros: i64,
    pub(super) unit: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Strict,
    Tolerant,
}

/// What is still to be read.
pub(super) struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self(text.as_bytes())
    }

    pub(super) fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, byte: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// A number of exactly `N` digits.
    fn number<const N: usize>(&mut self) -> Option<i64> {
        let (digits, rest) =
            self.0.split_first_chunk::<N>().filter(|(digits, _)| digits.iter().all(u8::is_ascii_digit))?;
        self.0 = rest;
        Some(digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    }

    pub(super) fn date(&mut self) -> Option<Date> {
        let year = self.number::<4>().filter(|year| *year > 0)?;
        if !self.take(b'-') {
            return Some(Date { year, month: 1, day: 1, precision: Precision::Year });
        }
        let month = self.number::<2>().filter(|month| (1..=12).contains(month))?;
        if !self.take(b'-') {
            return Some(Date { year, month, day: 1, precision: Precision::Month });
        }
        let day = self.number::<2>().filter(|day| (1..=days_in(year, month)).contains(day))?;
        Some(Date { year, month, day, precision: Precision::Day })
    }

    /// Microseconds since midnight, and how many digits the fraction has.
    fn time(&mut self) -> Option<(i64, usize)> {
        let hour = self.number::<2>().filter(|hour| *hour < 24)?;
        let minute = self.take(b':').then(|| self.number::<2>()).flatten().filter(|minute| *minute < 60)?;
        let second = self.take(b':').then(|| self.number::<2>()).flatten().filter(|second| *second <= 60)?;
        let whole = (hour * 3600 + minute * 60 + second) * SECOND;
        if !self.take(b'.') {
            return Some((whole, 0));
        }
        let (mut fraction, mut digits) = (0, 0);
        while let Some(digit) = self.number::<1>() {
            fraction += [100_000, 10_000, 1_000, 100, 10, 1].get(digits).map_or(0, |weight| digit * weight);
            digits += 1;
        }
        (digits > 0).then_some((whole + fraction, digits))
    }

    /// A time of day to the minute, the second, or finer.
    pub(super) fn clock(&mut self) -> Option<Clock> {
        if let Some((micros, digits)) = Scan(self.0).time() {
            self.time()?;
            let unit = [SECOND, 100_000, 10_000, 1_000, 100, 10].get(digits).copied().unwrap_or(1);
            return Some(Clock { micros, unit });
        }
        let hour = self.number::<2>().filter(|hour| *hour < 24)?;
        let minute = self.take(b':').then(|| self.number::<2>()).flatten().filter(|minute| *minute < 60)?;
        Some(Clock { micros: (hour * 60 + minute) * 60 * SECOND, unit: 60 * SECOND })
    }

    /// Microseconds east of UTC.
    pub(super) fn zone(&mut self, manner: Manner) -> Option<i64> {
        let tolerant = manner == Manner::Tolerant;
        if self.take(b'Z') || (tolerant && self.take(b'z')) {
            return Some(0);
        }
        let east = self.take(b'+') || (tolerant && self.take(b' '));
        let sign = if east { 1 } else { self.take(b'-').then_some(-1)? };
        let hours = self.number::<2>()?;
        let minutes = self.take(b':').then(|| self.number::<2>()).flatten().filter(|minutes| *minutes < 60)?;
        let offset = hours * 60 + minutes;
        (offset <= 14 * 60).then_some(sign * offset * 60 * SECOND)
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar. Years are counted from March, so that a leap day ends one;
/// 400 of them have 146,097 days.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year * 365 + year / 4 - year / 100 + in_year - 719_468
}

/// The day of the Gregorian calendar; the opposite of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, in_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
#[path = "instant_tests.rs"]
mod tests;
