//! Written forms of FHIR R4 primitives that text columns must match.

use super::text::is_blank_byte;
use crate::plan::program::Syntax;
use crate::row::civil;

/// True when trimmed text has the form. Every form is ASCII except codes, URIs and base64's white space.
pub(super) fn matches(syntax: Syntax, text: &[u8]) -> bool {
    match syntax {
        Syntax::Code => is_code(text),
        Syntax::Id => is_id(text),
        Syntax::Uri => !text.is_empty() && !text.iter().any(|byte| is_blank_byte(*byte)),
        Syntax::Oid => text.strip_prefix(b"urn:oid:").is_some_and(is_oid),
        Syntax::Uuid => text.strip_prefix(b"urn:uuid:").is_some_and(is_uuid),
        Syntax::Date => partial_date(text).is_some_and(|(_, rest)| rest.is_empty()),
        Syntax::DateTime => partial_date(text).is_some_and(|(whole, rest)| {
            rest.is_empty() || (whole && rest.strip_prefix(b"T").is_some_and(is_zoned_time))
        }),
        Syntax::Instant => {
            partial_date(text).is_some_and(|(whole, rest)| whole && rest.strip_prefix(b"T").is_some_and(is_zoned_time))
        }
        Syntax::Time => clock(text).is_some_and(<[u8]>::is_empty),
        Syntax::Decimal => is_decimal(text),
        Syntax::Integer(least) => is_integer(least, text),
        Syntax::Boolean => matches!(text, b"true" | b"false"),
        Syntax::Base64 => is_base64(text),
    }
}

/// True when the form is written without quotes.
pub(super) fn is_bare(syntax: Syntax) -> bool {
    matches!(syntax, Syntax::Decimal | Syntax::Integer(_) | Syntax::Boolean)
}

/// `[A-Za-z0-9\-\.]{1,64}`
pub(super) fn is_id(text: &[u8]) -> bool {
    (1..=64).contains(&text.len())
        && text.iter().all(|byte| matches!(byte, b'-' | b'.') || byte.is_ascii_alphanumeric())
}

/// `[^\s]+(\s[^\s]+)*`
fn is_code(text: &[u8]) -> bool {
    !text.is_empty() && text.split(|byte| is_blank_byte(*byte)).all(|word| !word.is_empty())
}

/// `[0-2](\.(0|[1-9][0-9]*))+`
fn is_oid(text: &[u8]) -> bool {
    let mut arcs = text.split(|byte| *byte == b'.');
    matches!(arcs.next(), Some(b"0" | b"1" | b"2")) && text.contains(&b'.') && arcs.all(is_whole_number)
}

fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// `0|[1-9][0-9]*`
fn is_whole_number(text: &[u8]) -> bool {
    match text {
        b"0" => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn is_integer(least: u8, text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    is_whole_number(digits)
        && text != b"-0"
        && std::str::from_utf8(text).ok().and_then(|text| text.parse::<i32>().ok()).is_some_and(|value| match least {
            0 => true,
            1 => value >= 0,
            _ => value >= 1,
        })
}

/// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`
fn is_decimal(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let (mantissa, exponent) = cut(unsigned, |byte| matches!(byte, b'e' | b'E'));
    let (whole, fraction) = cut(mantissa, |byte| byte == b'.');
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_whole_number(whole)
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| {
            digits(exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent))
        })
}

/// What stands before and after the first such byte.
fn cut(text: &[u8], at: impl Fn(u8) -> bool) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| at(*byte)) {
        Some(found) => (&text[..found], Some(&text[found + 1..])),
        None => (text, None),
    }
}

/// Groups of four from the alphabet, white space between them, padding at the end alone.
fn is_base64(text: &[u8]) -> bool {
    let (mut len, mut padding) = (0_usize, 0_usize);
    for byte in text.iter().filter(|byte| !is_blank_byte(**byte)) {
        len += 1;
        match byte {
            b'=' => padding += 1,
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'/' if padding == 0 => {}
            _ => return false,
        }
    }
    len > 0 && len.is_multiple_of(4) && padding <= 2
}

/// The number that these digits are.
fn number<const N: usize>(digits: &[u8; N]) -> Option<u32> {
    digits.iter().try_fold(0, |n, byte| byte.is_ascii_digit().then(|| n * 10 + u32::from(byte - b'0')))
}

/// A year, a month or a day at the start: true if a day, and what follows.
fn partial_date(text: &[u8]) -> Option<(bool, &[u8])> {
    let (year, rest) = text.split_first_chunk::<4>()?;
    let year = number(year).filter(|year| *year > 0)?;
    let Some(([b'-', month @ ..], rest)) = rest.split_first_chunk::<3>() else { return Some((false, rest)) };
    let month = number::<2>(month).filter(|month| (1..=12).contains(month))?;
    let Some(([b'-', day @ ..], rest)) = rest.split_first_chunk::<3>() else { return Some((false, rest)) };
    let day = number::<2>(day)?;
    (1..=civil::month_len(i64::from(year), month)).contains(&day).then_some((true, rest))
}

/// `hh:mm:ss` and a fraction at the start; what follows.
fn clock(text: &[u8]) -> Option<&[u8]> {
    let ([h1, h2, b':', m1, m2, b':', s1, s2], rest) = text.split_first_chunk::<8>()? else { return None };
    let within = |high, low, most| number(&[high, low]).is_some_and(|n| n <= most);
    if !within(*h1, *h2, 23) || !within(*m1, *m2, 59) || !within(*s1, *s2, 60) {
        return None;
    }
    let Some(fraction) = rest.strip_prefix(b".") else { return Some(rest) };
    let len = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (len > 0).then(|| &fraction[len..])
}

/// A time of day with `Z` or an offset of at most 14 hours.
fn is_zoned_time(text: &[u8]) -> bool {
    match clock(text) {
        Some(b"Z") => true,
        Some([b'+' | b'-', h1, h2, b':', m1, m2]) => match (number(&[*h1, *h2]), number(&[*m1, *m2])) {
            (Some(hours), Some(minutes)) => minutes < 60 && hours * 60 + minutes <= 14 * 60,
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let long = "a".repeat(65);
        for (syntax, good, bad) in [
            (Syntax::Code, &["a", "final", "a b", "ä"][..], &["", " a", "a  b", "a "][..]),
            (Syntax::Id, &["a", "A-1.b", &long[..64]], &["", "a_b", "a b", &long, "ä"]),
            (Syntax::Uri, &["http://x.org/a", "urn:a", "a"], &["", "http://x org"]),
            (
                Syntax::Oid,
                &["urn:oid:1.2.840", "urn:oid:2.0"],
                &["urn:oid:1", "urn:oid:3.1", "urn:oid:1.02", "1.2", "urn:oid:1."],
            ),
            (
                Syntax::Uuid,
                &["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
                &[
                    "c757873d-ec9a-4326-a141-556f43239520",
                    "urn:uuid:C757873d-ec9a-4326-a141-556f43239520",
                    "urn:uuid:c757873d",
                ],
            ),
            (
                Syntax::Date,
                &["1958", "1958-11", "1958-11-03", "2024-02-29", "0001"],
                &[
                    "",
                    "0000",
                    "58",
                    "1958-13",
                    "1958-00",
                    "1958-1",
                    "2023-02-29",
                    "1958-11-3",
                    "1958-11-03T",
                    "1958-11-031",
                ],
            ),
            (
                Syntax::DateTime,
                &[
                    "1958",
                    "2026-03-08",
                    "2026-03-08T09:30:00Z",
                    "2026-03-08T09:30:00.5-04:00",
                    "2026-03-08T23:59:60+14:00",
                ],
                &[
                    "2026-03-08T09:30:00",
                    "2026-03-08T09:30Z",
                    "2026-03-08 09:30:00Z",
                    "2026-03T09:30:00Z",
                    "2026-03-08T24:00:00Z",
                    "2026-03-08T09:30:00.Z",
                    "2026-03-08T09:30:00+14:01",
                    "2026-03-08T09:30:00+0400",
                ],
            ),
            (Syntax::Instant, &["2026-03-08T09:30:00.125Z"], &["2026-03-08", "2026", "2026-03-08T09:30:00"]),
            (Syntax::Time, &["09:30:00", "09:30:00.1"], &["9:30:00", "09:30", "24:00:00", "09:60:00", "09:30:00."]),
            (
                Syntax::Decimal,
                &["0", "-1.50", "1e10", "2.5E-3", "0.0"],
                &["", "+1", "01", ".5", "1.", "1e", "NaN", "1,5", "--1"],
            ),
            (Syntax::Integer(0), &["0", "-5", "2147483647"], &["", "-0", "+5", "01", "2147483648", "1.0"]),
            (Syntax::Integer(1), &["0", "7"], &["-1"]),
            (Syntax::Integer(2), &["1"], &["0", "-1"]),
            (Syntax::Boolean, &["true", "false"], &["TRUE", "t", "1", ""]),
            (Syntax::Base64, &["Zg==", "Zm9v", "Zm9v Zm9v", "Zm8="], &["", "Zg", "Z===", "Zg==Zg==", "Zm9*"]),
        ] {
            for text in good {
                assert!(matches(syntax, text.as_bytes()), "{syntax:?} {text:?}");
            }
            for text in bad {
                assert!(!matches(syntax, text.as_bytes()), "{syntax:?} {text:?}");
            }
        }
    }
}
