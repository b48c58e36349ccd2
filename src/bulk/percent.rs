//! Percent-encoding, as clients write it: a bad escape stays what it is.

use std::fmt::Write as _;

/// The text with its escapes undone, `+` read as a blank where `form` says so; none if it is not UTF-8.
pub(super) fn decode(text: &str, form: Form) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = || Some(digit(*after.first()?)? << 4 | digit(*after.get(1)?)?);
        match (first, escape()) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
                continue;
            }
            (b'+', _) if form == Form::Query => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// Where the text stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The query of a URL: `+` is a blank.
    Query,
    /// A query inside a parameter, which was decoded once: `+` is a plus (K-62).
    Inner,
}

/// The text as it may stand in the query of a URL.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, query, inner) in [
            ("a%2Cb%2cc", "a,b,c", "a,b,c"),
            ("a+b%20c%2B", "a b c+", "a+b c+"),
            ("100%", "100%", "100%"),
            ("%zz%4", "%zz%4", "%zz%4"),
            ("%252C", "%2C", "%2C"),
            ("%C3%A9é", "éé", "éé"),
        ] {
            assert_eq!(decode(text, Form::Query).as_deref(), Some(query), "{text}");
            assert_eq!(decode(text, Form::Inner).as_deref(), Some(inner), "{text}");
        }
        assert_eq!(decode("%FF", Form::Query), None);
    }
}
