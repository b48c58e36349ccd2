//! Text → PostgreSQL's binary form, for rows that come from fixtures instead of a database.

use serde::de::IgnoredAny;

use super::PgKind;
use super::civil::{self, DAY_US};

/// A text that is not a value of the kind. Says the kind alone: the text may be patient data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// PostgreSQL would not read it either.
    #[error("the text does not read as {0}")]
    Invalid(PgKind),
    /// A kind without a text form here.
    #[error("values of type {0} cannot be written as text")]
    Unsupported(PgKind),
}

/// Appends the binary form of `text`, read as PostgreSQL's input functions do (ISO dates and times, `{a,b}` arrays,
/// `\x` hex for `bytea`). A `timestamp with time zone` without an offset is UTC.
pub fn binary(kind: &PgKind, text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let start = out.len();
    let done = match kind {
        PgKind::Other(_) => return Err(ValueError::Unsupported(kind.clone())),
        PgKind::Array(of) if matches!(**of, PgKind::Array(_) | PgKind::Other(_)) => {
            return Err(ValueError::Unsupported(kind.clone()));
        }
        PgKind::Array(of) => array(of, text, out),
        _ => scalar(kind, text, out),
    };
    done.ok_or_else(|| {
        out.truncate(start);
        ValueError::Invalid(kind.clone())
    })
}

fn scalar(kind: &PgKind, text: &str, out: &mut Vec<u8>) -> Option<()> {
    let trimmed = text.trim();
    match kind {
        PgKind::Text | PgKind::Char => out.extend_from_slice(text.as_bytes()),
        PgKind::Bool => out.push(match trimmed.to_ascii_lowercase().as_str() {
            "t" | "true" | "y" | "yes" | "on" | "1" => 1,
            "f" | "false" | "n" | "no" | "off" | "0" => 0,
            _ => return None,
        }),
        PgKind::Int2 => out.extend_from_slice(&trimmed.parse::<i16>().ok()?.to_be_bytes()),
        PgKind::Int4 => out.extend_from_slice(&trimmed.parse::<i32>().ok()?.to_be_bytes()),
        PgKind::Int8 => out.extend_from_slice(&trimmed.parse::<i64>().ok()?.to_be_bytes()),
        PgKind::Float4 => out.extend_from_slice(&trimmed.parse::<f32>().ok()?.to_be_bytes()),
        PgKind::Float8 => out.extend_from_slice(&trimmed.parse::<f64>().ok()?.to_be_bytes()),
        PgKind::Numeric => numeric(trimmed, out)?,
        PgKind::Date => {
            let days = match trimmed {
                "infinity" => i32::MAX,
                "-infinity" => i32::MIN,
                _ => i32::try_from(date(trimmed)?).ok()?,
            };
            out.extend_from_slice(&days.to_be_bytes());
        }
        PgKind::Time => out.extend_from_slice(&time(trimmed)?.to_be_bytes()),
        PgKind::Timestamp => out.extend_from_slice(&timestamp(trimmed, false)?.to_be_bytes()),
        PgKind::TimestampTz => out.extend_from_slice(&timestamp(trimmed, true)?.to_be_bytes()),
        PgKind::Uuid => uuid(trimmed, out)?,
        PgKind::Json => {
            serde_json::from_str::<IgnoredAny>(text).ok()?;
            out.extend_from_slice(text.as_bytes());
        }
        PgKind::Jsonb => {
            serde_json::from_str::<IgnoredAny>(text).ok()?;
            out.push(1);
            out.extend_from_slice(text.as_bytes());
        }
        PgKind::Bytea => hex(trimmed.strip_prefix("\\x")?, out)?,
        PgKind::Array(_) | PgKind::Other(_) => return None,
    }
    Some(())
}

fn hex(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    for [high, low] in pairs {
        out.push(digit(*high)? << 4 | digit(*low)?);
    }
    rest.is_empty().then_some(())
}

fn uuid(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let bare = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let digits: String = bare.chars().filter(|c| *c != '-').collect();
    if digits.len() == 32 { hex(&digits, out) } else { None }
}

/// All-digit text of bounded length as a number.
fn number(text: &str, len: std::ops::RangeInclusive<usize>) -> Option<i64> {
    (len.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn date(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let (year, month, day) = (number(year, 4..=6)?, number(month, 2..=2)? as u32, number(day, 2..=2)? as u32);
    (year >= 1 && day >= 1 && day <= civil::month_len(year, month)).then(|| civil::days(year, month, day))
}

fn time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.split(':');
    let hour = number(parts.next()?, 1..=2)?;
    let minute = number(parts.next()?, 2..=2)?;
    let second = parts.next().map_or(Some(0), |second| number(second, 2..=2))?;
    let micros = if fraction.is_empty() { 0 } else { number(&format!("{fraction:0<6}"), 6..=6)? };
    let us = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros;
    (parts.next().is_none() && minute < 60 && second <= 60 && us <= DAY_US).then_some(us)
}

fn timestamp(text: &str, with_zone: bool) -> Option<i64> {
    match text {
        "infinity" => return Some(i64::MAX),
        "-infinity" => return Some(i64::MIN),
        _ => {}
    }
    let Some((day, rest)) = text.split_once(['T', ' ']) else { return date(text).map(|days| days * DAY_US) };
    let (clock, offset) = match rest.find(['Z', '+', '-']) {
        None => (rest, 0),
        Some(_) if !with_zone => return None,
        Some(at) => {
            let (clock, zone) = rest.split_at(at);
            (clock.trim_end(), if zone == "Z" { 0 } else { offset(zone)? })
        }
    };
    date(day)?.checked_mul(DAY_US)?.checked_add(time(clock)? - offset)
}

/// `+05`, `-04:30`, `+0530` in microseconds.
fn offset(zone: &str) -> Option<i64> {
    let (sign, digits) = zone.split_at(1);
    let (hours, minutes) = match digits.split_once(':') {
        Some(pair) => pair,
        None if digits.len() == 4 => digits.split_at(2),
        None => (digits, "00"),
    };
    let (hours, minutes) = (number(hours, 1..=2)?, number(minutes, 2..=2)?);
    let us = (hours * 60 + minutes) * 60_000_000;
    (hours < 16 && minutes < 60).then_some(if sign == "-" { -us } else { us })
}

/// `-12.50`, `1e3`, `NaN`, `Infinity` as base-10000 digits with a display scale.
fn numeric(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let special = match text.to_ascii_lowercase().as_str() {
        "nan" => Some(0xC000_u16),
        "infinity" | "inf" | "+infinity" | "+inf" => Some(0xD000),
        "-infinity" | "-inf" => Some(0xF000),
        _ => None,
    };
    if let Some(sign) = special {
        for half in [0, 0, sign, 0] {
            out.extend_from_slice(&half.to_be_bytes());
        }
        return Some(());
    }
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) || !(-20_000..=140_000).contains(&exponent) {
        return None;
    }
    let scale = (fraction.len() as i32 - exponent).max(0);
    // The decimal point stands before digit `point`; groups of four are counted from it.
    let point = whole.len() as i32 + exponent;
    let first_group = point.div_euclid(4) + i32::from(point.rem_euclid(4) != 0);
    let at = |index: i32| {
        usize::try_from(index).ok().and_then(|index| digits.get(index)).map_or(0, |digit| u16::from(digit - b'0'))
    };
    let mut groups: Vec<u16> = Vec::new();
    let mut start = point - first_group * 4;
    while start < digits.len() as i32 {
        groups.push((0..4).fold(0, |group, nth| group * 10 + at(start + nth)));
        start += 4;
    }
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let mut weight = first_group - 1 - leading as i32;
    groups.drain(..leading);
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    let weight = i16::try_from(weight).ok()?;
    let scale = u16::try_from(scale).ok().filter(|scale| *scale <= 16_383)?;
    let sign: u16 = if negative && !groups.is_empty() { 0x4000 } else { 0 };
    out.extend_from_slice(&u16::try_from(groups.len()).ok()?.to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&scale.to_be_bytes());
    for group in groups {
        out.extend_from_slice(&group.to_be_bytes());
    }
    Some(())
}

/// PostgreSQL's number of the type, as it stands in an array's header.
fn type_oid(kind: &PgKind) -> u32 {
    match kind {
        PgKind::Bool => 16,
        PgKind::Bytea => 17,
        PgKind::Int8 => 20,
        PgKind::Int2 => 21,
        PgKind::Int4 => 23,
        PgKind::Json => 114,
        PgKind::Float4 => 700,
        PgKind::Float8 => 701,
        PgKind::Char => 1042,
        PgKind::Date => 1082,
        PgKind::Time => 1083,
        PgKind::Timestamp => 1114,
        PgKind::TimestampTz => 1184,
        PgKind::Numeric => 1700,
        PgKind::Uuid => 2950,
        PgKind::Jsonb => 3802,
        PgKind::Text | PgKind::Array(_) | PgKind::Other(_) => 25,
    }
}

/// `{a,"b c",NULL}`, or nested braces of equal lengths.
fn array(of: &PgKind, text: &str, out: &mut Vec<u8>) -> Option<()> {
    let mut parser = ArrayText { rest: text.trim(), lens: Vec::new(), depth: None, elements: Vec::new() };
    parser.braces(0)?;
    if !parser.rest.is_empty() {
        return None;
    }
    let lens = if parser.elements.is_empty() { Vec::new() } else { parser.lens };
    out.extend_from_slice(&(lens.len() as i32).to_be_bytes());
    out.extend_from_slice(&i32::from(parser.elements.contains(&None)).to_be_bytes());
    out.extend_from_slice(&type_oid(of).to_be_bytes());
    for len in &lens {
        out.extend_from_slice(&(*len as i32).to_be_bytes());
        out.extend_from_slice(&1_i32.to_be_bytes());
    }
    for element in parser.elements {
        let Some(element) = element else {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            continue;
        };
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        scalar(of, &element, out)?;
        let len = i32::try_from(out.len() - at - 4).ok()?;
        out.get_mut(at..at + 4)?.copy_from_slice(&len.to_be_bytes());
    }
    Some(())
}

struct ArrayText<'a> {
    rest: &'a str,
    /// Elements per dimension, outermost first.
    lens: Vec<usize>,
    /// The depth that all elements are at.
    depth: Option<usize>,
    elements: Vec<Option<String>>,
}

impl ArrayText<'_> {
    fn eat(&mut self, c: char) -> bool {
        let rest = self.rest.trim_start();
        let eaten = rest.strip_prefix(c);
        self.rest = eaten.unwrap_or(rest);
        eaten.is_some()
    }

    fn braces(&mut self, depth: usize) -> Option<()> {
        if !self.eat('{') || depth >= 6 {
            return None;
        }
        if self.eat('}') {
            return Some(());
        }
        let mut len = 0;
        loop {
            if self.rest.trim_start().starts_with('{') {
                self.braces(depth + 1)?;
            } else {
                if *self.depth.get_or_insert(depth) != depth {
                    return None;
                }
                let element = self.element()?;
                self.elements.push(element);
            }
            len += 1;
            if self.eat('}') {
                break;
            }
            if !self.eat(',') {
                return None;
            }
        }
        if self.lens.len() <= depth {
            self.lens.resize(depth + 1, 0);
        }
        let known = self.lens.get_mut(depth)?;
        if *known != 0 && *known != len {
            return None;
        }
        *known = len;
        Some(())
    }

    #[expect(clippy::option_option, reason = "not an element, NULL, or a text")]
    fn element(&mut self) -> Option<Option<String>> {
        let quoted = self.eat('"');
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        loop {
            let (at, c) = chars.next()?;
            match c {
                '"' if quoted => {
                    self.rest = self.rest.get(at + 1..)?;
                    return Some(Some(text));
                }
                ',' | '}' if !quoted => {
                    self.rest = self.rest.get(at..)?;
                    let bare = text.trim_end();
                    return match bare {
                        "" => None,
                        _ if bare.eq_ignore_ascii_case("null") => Some(None),
                        _ => Some(Some(bare.to_owned())),
                    };
                }
                '{' | '"' if !quoted => return None,
                '\\' => text.push(chars.next()?.1),
                _ => text.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex_of(kind: &str, text: &str) -> String {
        let mut out = Vec::new();
        match binary(&PgKind::from_sql_name(kind), text, &mut out) {
            Ok(()) => out.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")),
            Err(_) => "error".to_owned(),
        }
    }

    /// Expected bytes are what PostgreSQL 15's `…_send` functions return.
    #[test]
    fn as_postgres_sends_it() {
        for (kind, text, expected) in [
            ("boolean", "t", "01"),
            ("smallint", "-2", "fffe"),
            ("integer", "65536", "00010000"),
            ("bigint", "x", "error"),
            ("real", "1.5", "3fc00000"),
            ("double precision", "-0.1", "bfb999999999999a"),
            ("numeric", "0", "0000000000000000"),
            ("numeric", "1.50", "000200000000000200011388"),
            ("numeric", "-12345.6789", "0003000140000004000109291a85"),
            ("numeric", "0.0001", "0001ffff000000040001"),
            ("numeric", "10000", "00010001000000000001"),
            ("numeric", "1e4", "00010001000000000001"),
            ("numeric", "-0.00", "0000000000000002"),
            ("numeric", "NaN", "00000000c0000000"),
            ("numeric", "1.2.3", "error"),
            ("date", "1990-07-21", "fffff285"),
            ("date", "infinity", "7fffffff"),
            ("date", "2023-02-29", "error"),
            ("time", "09:30", "00000007f67a9600"),
            ("timestamp", "2026-03-08 09:30:00.125", "0002ef7eb2eb9e48"),
            ("timestamp", "2026-03-08T09:30:00Z", "error"),
            ("timestamptz", "2000-01-01T00:00:01Z", "00000000000f4240"),
            ("timestamptz", "2000-01-01 01:00:00+01", "0000000000000000"),
            ("uuid", "A3F1C2D4-0001-4c5e-9b7a-1f2e3d4c5b6a", "a3f1c2d400014c5e9b7a1f2e3d4c5b6a"),
            ("uuid", "a3f1", "error"),
            ("json", "{\"a\": 1}", "7b2261223a20317d"),
            ("jsonb", "[]", "015b5d"),
            ("json", "{", "error"),
            ("bytea", "\\xdeadBEEF", "deadbeef"),
            ("text[]", "{}", "000000000000000000000019"),
            ("integer[]", "{1,NULL}", "00000001000000010000001700000002000000010000000400000001ffffffff"),
            ("text[]", r#"{a, "b ,\"c" }"#, "00000001000000000000001900000002000000010000000161000000056220 2c2263"),
            (
                "integer[]",
                "{{1},{2}}",
                "0000000200000000000000170000000200000001000000010000000100000004000000010000000400000002",
            ),
            ("integer[]", "{1,{2}}", "error"),
            ("integer[]", "{1,2", "error"),
            ("interval", "1 day", "error"),
        ] {
            assert_eq!(hex_of(kind, text), expected.replace(' ', ""), "{kind} {text}");
        }
    }

    #[test]
    fn nothing_is_left_behind_by_a_bad_value() {
        let mut out = vec![7];
        let kind = PgKind::Array(Box::new(PgKind::Int4));
        assert_eq!(binary(&kind, "{1,x}", &mut out), Err(ValueError::Invalid(kind)));
        assert_eq!(out, [7]);
    }
}
