//! Resource ids and the text of references.

use super::elements::{TypeKind, type_kind};

/// Longest id, in characters.
pub const MAX_ID_LENGTH: usize = 64;

/// Whether `byte` may stand in an id.
pub const fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.'
}

/// Whether `text` is a resource id: 1 to 64 ASCII letters, digits, `-` and `.`.
pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID_LENGTH).contains(&text.len()) && text.bytes().all(is_id_byte)
}

/// What the text of `Reference.reference` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceText<'a> {
    /// `#med`: a contained resource; `#` alone: the container.
    Contained(&'a str),
    /// `Patient/p1`, perhaps with `/_history/2`.
    Relative {
        /// `Patient`.
        resource_type: &'a str,
        /// `p1`.
        id: &'a str,
    },
    /// `https://example.org/fhir/Patient/p1`, `urn:uuid:…`: an absolute URI.
    Absolute(&'a str),
}

/// Reads the text of a reference; `None` when it is none of the forms FHIR allows in a stored resource (so neither a
/// search such as `Patient?identifier=1` nor an unknown type).
pub fn reference(text: &str) -> Option<ReferenceText<'_>> {
    if let Some(id) = text.strip_prefix('#') {
        return (id.is_empty() || is_id(id)).then_some(ReferenceText::Contained(id));
    }
    if is_absolute_uri(text) {
        return Some(ReferenceText::Absolute(text));
    }
    let mut parts = text.split('/');
    let (resource_type, id) = (parts.next()?, parts.next()?);
    let version_fits = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => true,
        (Some("_history"), Some(version), None) => is_id(version),
        _ => false,
    };
    let fits = type_kind(resource_type) == Some(TypeKind::Resource) && is_id(id) && version_fits;
    fits.then_some(ReferenceText::Relative { resource_type, id })
}

/// Whether `text` is a URI with a scheme: `https://…`, `urn:oid:…`. Blanks and control characters have no place in one.
pub fn is_absolute_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !rest.is_empty()
        && !rest.contains(|c: char| c.is_whitespace() || c.is_control() || "<>\"{}|\\^`".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let longest = "a".repeat(64);
        for good in ["1", "a.b-C", "-", ".", "b7e0", longest.as_str()] {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", "a_b", "a b", "é", "a/b", "a\n", &"a".repeat(65)] {
            assert!(!is_id(bad), "{bad}");
        }
    }

    #[test]
    fn references() {
        let relative = |resource_type, id| Some(ReferenceText::Relative { resource_type, id });
        assert_eq!(reference("Patient/p1"), relative("Patient", "p1"));
        assert_eq!(reference("Patient/p1/_history/2"), relative("Patient", "p1"));
        assert_eq!(reference("#med"), Some(ReferenceText::Contained("med")));
        assert_eq!(reference("#"), Some(ReferenceText::Contained("")));
        for absolute in ["https://example.org/fhir/Patient/1", "urn:uuid:0b0f7a6e-57a4-4b0e-9d33-4a4f0e6d0f0a"] {
            assert_eq!(reference(absolute), Some(ReferenceText::Absolute(absolute)));
        }
        for bad in [
            "",
            "Patient",
            "Patient/",
            "/Patient/1",
            "patient/1",
            "HumanName/1",
            "Patient/1/",
            "Patient/1/_history",
            "Patient/1/_history/2/3",
            "Patient?identifier=1",
            "Patient/a b",
            "#a b",
            "https://example.org/a b",
            "urn:",
            "1x:y",
        ] {
            assert_eq!(reference(bad), None, "{bad}");
        }
    }
}
