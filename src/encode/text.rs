//! Text straight into bytes: JSON strings, integers, uuids, base64, json documents.

use base64::Engine as _;

use super::Invalid;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// All pairs of decimal digits.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

/// All pairs of hexadecimal digits.
const BYTES: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut n = 0;
    while n < 256 {
        pairs[n] = [HEX[n >> 4], HEX[n & 15]];
        n += 1;
    }
    pairs
};

/// Two decimal digits of a number below 100.
#[inline]
pub(super) fn pair(n: u32) -> [u8; 2] {
    PAIRS[(n % 100) as usize]
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// A set high bit in the lowest byte that JSON escapes (and maybe in bytes above it, which mean nothing).
#[inline]
fn escapes(word: u64) -> u64 {
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    (control | (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash)) & HIGH
}

#[inline]
fn escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// True when the bytes are ASCII and stand in a JSON string as they are.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut seen = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        seen |= escapes(word) | (word & HIGH);
    }
    if let ([.., last], false) = (words, rest.is_empty()) {
        // The tail once more, together with bytes already seen.
        let mut tail = [0; 8];
        tail[..8 - rest.len()].copy_from_slice(&last[rest.len()..]);
        tail[8 - rest.len()..].copy_from_slice(rest);
        let word = u64::from_le_bytes(tail);
        return seen | escapes(word) | (word & HIGH) == 0;
    }
    seen == 0 && !rest.iter().any(|byte| escaped(*byte) || !byte.is_ascii())
}

/// Number of leading bytes that JSON does not escape.
#[inline]
fn unescaped_len(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (nth, word) in words.iter().enumerate() {
        let found = escapes(u64::from_le_bytes(*word));
        if found != 0 {
            return nth * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    words.len() * 8 + rest.iter().position(|byte| escaped(*byte)).unwrap_or(rest.len())
}

/// The bytes as the content of a JSON string, without its quotes. They must be UTF-8.
#[inline]
pub(super) fn escape(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
        return Ok(());
    }
    escape_any(bytes, out)
}

#[cold]
#[inline(never)]
fn escape_any(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    utf8(bytes)?;
    let mut rest = bytes;
    loop {
        let (clean, tail) = rest.split_at(unescaped_len(rest));
        out.extend_from_slice(clean);
        let Some((byte, after)) = tail.split_first() else { return Ok(()) };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            other => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&BYTES[*other as usize]);
            }
        }
        rest = after;
    }
}

/// The bytes as a JSON string. They must be UTF-8.
#[inline]
pub(super) fn string(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    escape(bytes, out)?;
    out.push(b'"');
    Ok(())
}

/// The bytes as text, if they are UTF-8.
#[inline]
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, Invalid> {
    std::str::from_utf8(bytes).map_err(|_utf8_error| Invalid)
}

/// The text with the characters that HTML reserves written as entities, as handlebars does it.
pub(super) fn html(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'\'' => out.extend_from_slice(b"&#x27;"),
            b'`' => out.extend_from_slice(b"&#x60;"),
            b'=' => out.extend_from_slice(b"&#x3D;"),
            other => out.push(other),
        }
    }
}

/// Blank in SQL's sense of an empty answer: space, tab, newline, return. Other Unicode spaces are content.
#[inline]
pub(super) fn is_blank_byte(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// True when there is nothing but blanks.
#[inline]
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    match bytes {
        [first, ..] if *first > b' ' => false,
        _ => bytes.iter().all(|byte| is_blank_byte(*byte)),
    }
}

/// The bytes without blanks at both ends.
#[inline]
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_blank_byte(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_blank_byte(*last)
    {
        bytes = rest;
    }
    bytes
}

/// The bytes without spaces at the end: what `char(n)` means.
#[inline]
pub(super) fn trim_padding(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' '] = bytes {
        bytes = rest;
    }
    bytes
}

/// Decimal digits.
#[inline]
pub(super) fn int(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// `true` / `false`.
#[inline]
pub(super) fn boolean(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// 16 bytes as hyphenated lower-case hexadecimal.
#[inline]
pub(super) fn uuid(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    let bytes: &[u8; 16] = bytes.try_into().map_err(|_wrong_length| Invalid)?;
    let mut text = [b'-'; 36];
    let mut at = 0;
    let mut nth = 0;
    while nth < 16 {
        if matches!(nth, 4 | 6 | 8 | 10) {
            at += 1;
        }
        let [high, low] = BYTES[bytes[nth] as usize];
        text[at] = high;
        text[at + 1] = low;
        at += 2;
        nth += 1;
    }
    out.extend_from_slice(&text);
    Ok(())
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(bytes.iter().flat_map(|byte| BYTES[*byte as usize]));
}

/// Base64 with padding, without quotes.
pub(super) fn base64(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    let start = out.len();
    let len = base64::encoded_len(bytes.len(), true).ok_or(Invalid)?;
    out.resize(start + len, 0);
    let target = out.get_mut(start..).ok_or(Invalid)?;
    base64::engine::general_purpose::STANDARD.encode_slice(bytes, target).map_err(|_too_small| Invalid)?;
    Ok(())
}

/// A json document that the database has checked: white space outside strings goes, all else stays.
pub(super) fn json(text: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    utf8(text)?;
    let mut rest = text;
    while let Some(first) = rest.first() {
        let len = match first {
            b'"' => string_len(rest),
            _ if is_blank_byte(*first) => {
                rest = &rest[1..];
                continue;
            }
            _ => rest.iter().position(|byte| *byte == b'"' || is_blank_byte(*byte)).unwrap_or(rest.len()),
        };
        let (run, after) = rest.split_at(len);
        out.extend_from_slice(run);
        rest = after;
    }
    Ok(())
}

/// Length of the JSON string at the start, quotes included.
fn string_len(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// True for `null`, `{}`, `[]` and `""`, with any white space.
pub(super) fn is_empty_json(text: &[u8]) -> bool {
    let text = trim(text);
    match text {
        b"" | b"null" | b"\"\"" => true,
        [b'{', inner @ .., b'}'] | [b'[', inner @ .., b']'] => is_blank(inner),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<(), Invalid>) -> String {
        let mut out = Vec::new();
        match write(&mut out) {
            Ok(()) => String::from_utf8(out).unwrap(),
            Err(Invalid) => "invalid".to_owned(),
        }
    }

    #[test]
    fn strings() {
        for (text, expected) in [
            ("", r#""""#),
            ("O'Brien", r#""O'Brien""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\u{7f}\""),
            ("seven b\"", r#""seven b\"""#),
            ("eight byt\"es and more", r#""eight byt\"es and more""#),
            ("Größe 測定", "\"Größe 測定\""),
        ] {
            assert_eq!(written(|out| string(text.as_bytes(), out)), expected);
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_invalid() {
        for bytes in [&b"\xff"[..], b"abcdefgh\xc3", b"\xed\xa0\x80", b"0123456\x80"] {
            assert_eq!(written(|out| string(bytes, out)), "invalid");
            assert_eq!(written(|out| json(bytes, out)), "invalid");
        }
    }

    #[test]
    fn blanks() {
        for (text, blank) in
            [("", true), (" \t\r\n", true), (" x", false), ("\u{a0}", false), ("\u{2003}", false), ("\u{1}", false)]
        {
            assert_eq!(is_blank(text.as_bytes()), blank, "{text:?}");
        }
        assert_eq!(trim(b" \n a b\t"), b"a b");
        assert_eq!(trim_padding(b" a \t  "), b" a \t");
    }

    #[test]
    fn documents() {
        for (text, expected, empty) in [
            (r#"{"a": 1.50, "b c": [ 1 , null ]}"#, r#"{"a":1.50,"b c":[1,null]}"#, false),
            ("{\n\t\"a\" : \" x \\\" \\\\\" }", r#"{"a":" x \" \\"}"#, false),
            (" [ ] ", "[]", true),
            ("{ }", "{}", true),
            (" null ", "null", true),
            ("\"\"", "\"\"", true),
            ("[null]", "[null]", false),
        ] {
            assert_eq!(written(|out| json(text.as_bytes(), out)), expected);
            assert_eq!(is_empty_json(text.as_bytes()), empty, "{text}");
        }
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, expected) in [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"\xfb\xff", "+/8=")] {
            assert_eq!(written(|out| base64(bytes, out)), expected);
        }
    }

    proptest! {
        #[test]
        fn strings_are_as_serde_json_writes_them(text in "(?s)([ -~]|[\\x00-\\x1f\"\\\\]|.){0,40}") {
            prop_assert_eq!(
                written(|out| string(text.as_bytes(), out)),
                serde_json::to_string(&text).unwrap()
            );
        }

        #[test]
        fn any_bytes_are_a_string_or_invalid(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            let expected = match std::str::from_utf8(&bytes) {
                Ok(text) => serde_json::to_string(text).unwrap(),
                Err(_) => "invalid".to_owned(),
            };
            prop_assert_eq!(written(|out| string(&bytes, out)), expected);
        }

        #[test]
        fn uuids_are_as_the_crate_writes_them(bytes in any::<[u8; 16]>()) {
            prop_assert_eq!(written(|out| uuid(&bytes, out)), uuid::Uuid::from_bytes(bytes).to_string());
        }

        #[test]
        fn html_is_escaped_and_comes_back(text in ".{0,30}") {
            let escaped = written(|out| { html(&text, out); Ok(()) });
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            let back = escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"")
                .replace("&#x27;", "'").replace("&#x60;", "`").replace("&#x3D;", "=").replace("&amp;", "&");
            prop_assert_eq!(back, text);
        }
    }
}
