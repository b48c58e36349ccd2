//! Literals of dates and times as PostgreSQL stores them. Without an offset a time is UTC, as in a session of ours.

const EPOCH_DAYS: i64 = 10_957; // 1970-01-01 to 2000-01-01

pub(super) fn days(text: &str) -> Option<i64> {
    let mut parts = text.trim().splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() != 4 || month.len() != 2 || day.len() != 2 {
        return None;
    }
    let date = jiff::civil::Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()?;
    let epoch = jiff::civil::date(1970, 1, 1);
    let since = epoch.until(date).ok()?;
    Some(i64::from(since.get_days()) - EPOCH_DAYS)
}

pub(super) fn time_of_day(text: &str) -> Option<i64> {
    let (clock, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let mut parts = clock.split(':').map(|part| (part.len() == 2).then(|| part.parse::<i64>().ok()).flatten());
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    if parts.next().is_some() || hour > 24 || minute > 59 || second > 60 || fraction.len() > 6 {
        return None;
    }
    let micros: i64 = if fraction.is_empty() { 0 } else { format!("{fraction:0<6}").parse().ok()? };
    Some(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)
}

pub(super) fn timestamp(text: &str) -> Option<i64> {
    const DAY: i64 = 86_400_000_000;
    let text = text.trim();
    if text.len() <= 10 {
        return Some(days(text)? * DAY);
    }
    let date = days(text.get(..10)?)?;
    let rest = text.get(10..)?.strip_prefix(['T', ' '])?;
    let (clock, offset) = match rest.find(['Z', '+', '-']) {
        None => (rest, 0),
        Some(at) if &rest[at..] == "Z" => (&rest[..at], 0),
        Some(at) => {
            let sign = if rest[at..].starts_with('-') { -1 } else { 1 };
            let (hours, minutes) = rest[at + 1..].split_once(':').unwrap_or((&rest[at + 1..], "0"));
            (&rest[..at], sign * (hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?))
        }
    };
    Some(date * DAY + time_of_day(clock)? - offset * 60_000_000)
}

#[cfg(test)]
mod tests {
    #[test]
    fn literals_as_postgres_stores_them() {
        assert_eq!(super::days("2000-01-01"), Some(0));
        assert_eq!(super::days("1999-12-31"), Some(-1));
        assert_eq!(super::days("2023-02-29"), None);
        assert_eq!(super::timestamp("2000-01-01 00:00:01+00"), Some(1_000_000));
        assert_eq!(super::timestamp("2000-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(super::timestamp("2000-01-02"), Some(86_400_000_000));
        assert_eq!(super::time_of_day("09:30"), Some(34_200_000_000));
    }
}
