use proptest::prelude::*;

use super::*;

fn micros(text: &str) -> Option<i64> {
    text.parse().ok().map(Instant::unix_micros)
}

#[test]
fn texts_clients_send() {
    const NINE: i64 = 1_772_357_400 * SECOND; // 2026-03-01T09:30:00Z
    for (text, expected) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-03-01T09:30:00Z", NINE),
        ("2026-03-01t09:30:00z", NINE),
        ("2026-03-01T11:00:00+01:30", NINE),
        ("2026-03-01T11:00:00 01:30", NINE),
        ("2026-03-01T04:30:00-05:00", NINE),
        ("2026-02-28T19:30:00-14:00", NINE),
        ("2026-03-01T09:30:00-00:00", NINE),
        ("2026-03-01T09:30:00.1Z", NINE + 100_000),
        ("2026-03-01T09:30:00.123456Z", NINE + 123_456),
        ("2026-03-01T09:30:00.123456999Z", NINE + 123_456),
        ("2026-03-01T09:29:60Z", NINE),
        ("2024", 1_704_067_200 * SECOND),
        ("2024-05", 1_714_521_600 * SECOND),
        ("2024-05-01", 1_714_521_600 * SECOND),
        ("2024-02-29T00:00:00Z", 1_709_164_800 * SECOND),
        ("0001-01-01T00:00:00Z", Instant::MIN.unix_micros()),
        ("9999-12-31T23:59:59.999999Z", Instant::MAX.unix_micros()),
    ] {
        assert_eq!(micros(text), Some(expected), "{text}");
    }
}

#[test]
fn texts_refused() {
    for text in [
        "",
        "now",
        "24",
        "0000",
        "2024-",
        "2024-13",
        "2024-00-01",
        "2024-02-30",
        "2023-02-29",
        "1900-02-29",
        "2024-5-1",
        "2024-05-01T",
        "2024-05-01T10:00:00",
        "2024-05T10:00:00Z",
        "2024T10:00:00Z",
        "2024-05-01 10:00:00Z",
        "2024-05-01T10:00Z",
        "2024-05-01T24:00:00Z",
        "2024-05-01T10:60:00Z",
        "2024-05-01T10:00:61Z",
        "2024-05-01T10:00:00.Z",
        "2024-05-01T10:00:00.1234567890Z",
        "2024-05-01T10:00:00+0100",
        "2024-05-01T10:00:00+14:01",
        "2024-05-01T10:00:00+1:00",
        "2024-05-01T10:00:00Zx",
        " 2024",
        "2024 ",
        "+2024",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:60Z",
        "２０２４",
    ] {
        assert_eq!(micros(text), None, "{text}");
    }
}

#[test]
fn printing_rounds_down() {
    let print = |micros| Instant::from_unix_micros(micros).map(|instant| (instant.to_string(), instant.to_micros()));
    let expected = |millis: &str, micros: &str| Some((millis.to_owned(), micros.to_owned()));
    assert_eq!(print(1_999), expected("1970-01-01T00:00:00.001Z", "1970-01-01T00:00:00.001999Z"));
    assert_eq!(print(-1), expected("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999999Z"));
    assert_eq!(print(i64::MAX), None);
    assert_eq!(print(Instant::MAX.unix_micros() + 1), None);
    assert_eq!(Instant::MIN.to_string(), "0001-01-01T00:00:00.000Z");
    assert_eq!(Instant::MAX.to_micros(), "9999-12-31T23:59:59.999999Z");
}

#[test]
fn fhir_texts() {
    let kinds = |text| (is_date(text), is_date_time(text), is_instant(text), is_time(text));
    for (text, expected) in [
        ("1958", (true, true, false, false)),
        ("1958-11", (true, true, false, false)),
        ("1958-11-30", (true, true, false, false)),
        ("1958-11-31", (false, false, false, false)),
        ("2000-02-29", (true, true, false, false)),
        ("2100-02-29", (false, false, false, false)),
        ("0000", (false, false, false, false)),
        ("1958-11-30T08:00:00Z", (false, true, true, false)),
        ("1958-11-30T08:00:00.123456789012+05:30", (false, true, true, false)),
        ("1958-11-30T08:00:60Z", (false, true, true, false)),
        ("1958-11-30T08:00:00", (false, false, false, false)),
        ("1958-11-30t08:00:00z", (false, false, false, false)),
        ("1958-11-30T08:00:00 05:30", (false, false, false, false)),
        ("1958-11T08:00:00Z", (false, false, false, false)),
        ("08:00:00", (false, false, false, true)),
        ("08:00:00.5", (false, false, false, true)),
        ("23:59:60", (false, false, false, true)),
        ("24:00:00", (false, false, false, false)),
        ("08:00", (false, false, false, false)),
        ("08:00:00Z", (false, false, false, false)),
        ("8:00:00", (false, false, false, false)),
        ("", (false, false, false, false)),
    ] {
        assert_eq!(kinds(text), expected, "{text}");
    }
}

fn any_instant() -> impl Strategy<Value = Instant> {
    (Instant::MIN.0..=Instant::MAX.0).prop_map(Instant)
}

proptest! {
    #[test]
    fn what_is_printed_is_read(instant in any_instant()) {
        prop_assert!(is_instant(&instant.to_string()) && is_instant(&instant.to_micros()));
        prop_assert_eq!(instant.to_micros().parse(), Ok(instant));
        prop_assert_eq!(micros(&instant.to_string()), Some(instant.0 - instant.0.rem_euclid(1_000)));
    }

    #[test]
    fn order_is_that_of_the_text(a in any_instant(), b in any_instant()) {
        prop_assert_eq!(a.cmp(&b), a.to_micros().cmp(&b.to_micros()));
    }

    #[test]
    fn the_calendar_is_jiffs(instant in any_instant()) {
        if let Ok(theirs) = jiff::Timestamp::from_microsecond(instant.0) {
            prop_assert_eq!(format!("{theirs:.6}"), instant.to_micros());
        }
    }

    #[test]
    fn offsets_are_jiffs(instant in any_instant(), minutes in -840_i32..=840) {
        let (sign, size) = if minutes < 0 { ('-', -minutes) } else { ('+', minutes) };
        let text = format!("{}{sign}{:02}:{:02}", instant.to_micros().trim_end_matches('Z'), size / 60, size % 60);
        if let Ok(theirs) = text.parse::<jiff::Timestamp>() {
            let inside = Instant::from_unix_micros(theirs.as_microsecond());
            prop_assert_eq!(text.parse().ok(), inside);
        }
    }

    #[test]
    fn nothing_panics(text in "\\PC*") {
        let _ = (text.parse::<Instant>(), is_date(&text), is_date_time(&text), is_time(&text));
    }

    #[test]
    fn both_manners_agree_where_neither_is_generous(text in DATE_TIMES) {
        // At the ends of time an offset may lead beyond what an instant can be.
        prop_assume!(!text.starts_with("0001-01-01") && !text.starts_with("9999-12-31"));
        prop_assert_eq!(is_date_time(&text), text.parse::<Instant>().is_ok());
    }
}

/// Texts of the right shape, many of them no real time.
const DATE_TIMES: &str = "[0-9]{4}(-[01][0-9](-[0-3][0-9](T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]\
    (\\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-6][0-9]))?)?)?";
