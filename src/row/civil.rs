//! The proleptic Gregorian calendar over PostgreSQL's day numbers (0 is 2000-01-01).

/// Microseconds of a day.
pub const DAY_US: i64 = 86_400_000_000;

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;

/// Days from 0000-03-01 to 1970-01-01.
const ERA_SHIFT: i64 = 719_468;

/// Days in 400 years.
pub const ERA_DAYS: i64 = 146_097;

/// Year (astronomical: 0 is 1 BC), month 1–12 and day 1–31 of a day number.
#[inline]
pub fn date(days: i64) -> (i64, u32, u32) {
    let shifted = days + EPOCH_DAYS + ERA_SHIFT;
    let era = shifted.div_euclid(ERA_DAYS);
    let of_era = shifted.rem_euclid(ERA_DAYS) as u32;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + i64::from(year_of_era) + i64::from(month <= 2), month, day)
}

/// The day number of a date; months and days may be any that exist.
pub fn days(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    era * ERA_DAYS + of_era - ERA_SHIFT - EPOCH_DAYS
}

/// Days in a month, 0 when the month does not exist.
pub fn month_len(year: i64, month: u32) -> u32 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        for (day, expected) in [
            (0, (2000, 1, 1)),
            (-1, (1999, 12, 31)),
            (59, (2000, 2, 29)),
            (9_563, (2026, 3, 8)),
            (-730_119, (1, 1, 1)),
            (-730_120, (0, 12, 31)),
            (2_921_939, (9999, 12, 31)),
        ] {
            assert_eq!(date(day), expected);
            assert_eq!(days(expected.0, expected.1, expected.2), day);
        }
    }

    #[test]
    fn every_day_of_two_eras_comes_back() {
        let mut before = date(-ERA_DAYS - 1);
        for day in -ERA_DAYS..=ERA_DAYS {
            let now = date(day);
            assert!(now > before, "days ascend");
            assert!(now.2 >= 1 && now.2 <= month_len(now.0, now.1));
            assert_eq!(days(now.0, now.1, now.2), day);
            before = now;
        }
    }
}
