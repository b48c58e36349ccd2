//! `Accept`, `Accept-Encoding` and `Content-Type` as bulk clients send them (K-04, K-06, F-06, T-36).

/// Media types that a client who can read our JSON names.
const JSON: &[&str] = &[
    "application/fhir+json",
    "application/json",
    "application/json+fhir",
    "application/fhir+ndjson",
    "application/ndjson",
    // A browser's: it names HTML and shows JSON.
    "text/html",
];

/// Whether an answer in JSON is acceptable: unless the header excludes every form of it (K-06).
pub fn accepts_json<'a>(headers: impl Iterator<Item = &'a str>) -> bool {
    accepts_any(headers, JSON)
}

/// Whether one of `types` (lower case) is acceptable. No header, or one that says nothing, accepts everything.
pub fn accepts_any<'a>(headers: impl Iterator<Item = &'a str>, types: &[&str]) -> bool {
    let ranges: Vec<(String, u16)> = headers.flat_map(|header| weighted(header, is_media_range)).collect();
    // Of the ranges that match the most specific one counts (RFC 9110, 12.5.1).
    let quality = |wanted: &str| {
        let whole = wanted.split_once('/').map(|(kind, _)| format!("{kind}/*")).unwrap_or_default();
        [wanted, &whole, "*/*"].into_iter().find_map(|form| ranges.iter().find(|(range, _)| range == form))
    };
    ranges.is_empty() || types.iter().any(|wanted| quality(wanted).is_some_and(|(_, quality)| *quality > 0))
}

/// Whether a body of this `Content-Type` may be a FHIR Parameters resource in JSON; its charset does not matter (K-04).
pub fn is_json(content_type: &str) -> bool {
    let name = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    ["application/fhir+json", "application/json", "application/json+fhir"].contains(&name.as_str())
}

/// How the bytes of an answer may be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// As they are.
    Identity,
    /// `gzip`
    Gzip,
    /// `zstd`
    Zstd,
}

impl Coding {
    /// The value of `Content-Encoding`; as-is has none.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// What `Accept-Encoding` allows, in thousandths; 0 is a refusal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Encodings {
    /// `gzip`; not named is not asked for.
    pub gzip: u16,
    /// `zstd`; not named is not asked for.
    pub zstd: u16,
    /// As they are: `None` where it is not named, which allows it after all that are.
    pub identity: Option<u16>,
}

/// Reads `Accept-Encoding`. `*` speaks of as-is only: nothing is packed that was not asked for by name (F-06, T-26).
pub fn encodings<'a>(headers: impl Iterator<Item = &'a str>) -> Encodings {
    let mut found = Encodings::default();
    let mut any = None;
    for (name, quality) in headers.flat_map(|header| weighted(header, |_| true)) {
        match name.as_str() {
            "gzip" | "x-gzip" => found.gzip = quality,
            "zstd" => found.zstd = quality,
            "identity" => found.identity = Some(quality),
            "*" => any = Some(quality),
            _ => {}
        }
    }
    Encodings { identity: found.identity.or(any), ..found }
}

impl Encodings {
    /// The coding the client likes best, the earlier of `offered` among equals; none if it refuses all of them.
    pub fn choose(&self, offered: &[Coding]) -> Option<Coding> {
        // What is not named stands below every quality that can be.
        let rank = |coding: Coding| match coding {
            Coding::Gzip => 2 * u32::from(self.gzip),
            Coding::Zstd => 2 * u32::from(self.zstd),
            Coding::Identity => self.identity.map_or(1, |quality| 2 * u32::from(quality)),
        };
        let best = offered.iter().map(|coding| rank(*coding)).max().filter(|best| *best > 0)?;
        offered.iter().copied().find(|coding| rank(*coding) == best)
    }
}

/// The items of a header with their `q`, in lower case; parameters beside `q` are passed over, items of another form
/// too.
fn weighted(header: &str, is_item: fn(&str) -> bool) -> Vec<(String, u16)> {
    let item = |text: &str| {
        let mut parts = split_outside_quotes(text, ';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
        let quality =
            parts.filter_map(|part| part.split_once('=')).find(|(key, _)| key.trim().eq_ignore_ascii_case("q"));
        is_item(&name).then(|| (name, quality.map_or(1000, |(_, value)| thousandths(value.trim()))))
    };
    split_outside_quotes(header, ',').filter_map(item).collect()
}

fn is_media_range(name: &str) -> bool {
    name.split_once('/').is_some_and(|(kind, of)| !kind.is_empty() && !of.is_empty())
}

/// `0.8` is 800; what is no quality counts as 1, so that a typing mistake refuses nothing.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole != "0" || fraction.len() > 3 || !digits(fraction) {
        return 1000;
    }
    format!("{fraction:0<3}").parse().unwrap_or(1000)
}

/// The pieces of `text` between `mark`s that do not stand in a quoted string.
pub(super) fn split_outside_quotes(text: &str, mark: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |c: char| {
        let plain = !std::mem::take(&mut escaped);
        match c {
            '\\' if quoted && plain => escaped = true,
            '"' if plain => quoted ^= true,
            _ => return c == mark && !quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // K-06 T-36
    #[test]
    fn json_is_refused_by_those_alone_who_exclude_it() {
        for accepted in [
            &[][..],
            &[""],
            &[","],
            &["nonsense"],
            &["*/*"],
            &["application/fhir+json"],
            &["Application/JSON"],
            &["application/fhir+ndjson"],
            &["application/json;charset=utf-8"],
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
            &["text/html"],
            &["application/fhir+xml", "application/*;q=0.1"],
            &["application/fhir+json, */*;q=0.1"],
            &["application/fhir+json;q=0, application/json"],
            &["application/fhir+json; q=\"1\""],
            &["*/*;q=0, application/json;q=0.001"],
        ] {
            assert!(accepts_json(accepted.iter().copied()), "{accepted:?}");
        }
        for refused in [
            &["application/fhir+xml"][..],
            &["application/xml, text/turtle"],
            &["*/*;q=0"],
            &["application/fhir+xml, application/json;q=0"],
            &["application/*;q=0, text/plain"],
            &["text/plain;x=\"application/json, */*\""],
        ] {
            assert!(!accepts_json(refused.iter().copied()), "{refused:?}");
        }
    }

    // K-04 T-08
    #[test]
    fn bodies_that_may_be_parameters() {
        for fits in ["application/fhir+json", "application/json; charset=UTF-8", "Application/json+fhir ;charset=x"] {
            assert!(is_json(fits), "{fits}");
        }
        for other in ["", "text/json", "application/xml", "application/fhir+xml", "application/x-www-form-urlencoded"] {
            assert!(!is_json(other), "{other}");
        }
    }

    // F-06 T-26
    #[test]
    fn codings() {
        use Coding::{Gzip, Identity, Zstd};
        let stored_gzip = &[Gzip, Identity][..];
        for (header, offered, want) in [
            (None, stored_gzip, Some(Identity)),
            (Some(""), stored_gzip, Some(Identity)),
            (Some("gzip"), stored_gzip, Some(Gzip)),
            (Some("gzip"), &[Identity, Gzip], Some(Gzip)),
            (Some("x-gzip, deflate"), stored_gzip, Some(Gzip)),
            (Some("gzip, deflate, br, identity"), stored_gzip, Some(Gzip)),
            (Some("gzip, deflate, br, identity"), &[Identity, Gzip], Some(Identity)),
            (Some("gzip;q=0"), stored_gzip, Some(Identity)),
            (Some("gzip;q=0.5, identity;q=0.8"), stored_gzip, Some(Identity)),
            (Some("gzip;q=0.5, identity;q=0.4"), stored_gzip, Some(Gzip)),
            (Some("GZIP ; Q=0.5"), stored_gzip, Some(Gzip)),
            (Some("*"), stored_gzip, Some(Identity)),
            (Some("*;q=0"), stored_gzip, None),
            (Some("identity;q=0"), stored_gzip, None),
            (Some("identity;q=0, gzip;q=0.001"), stored_gzip, Some(Gzip)),
            (Some("*;q=0, gzip"), stored_gzip, Some(Gzip)),
            (Some("zstd, gzip"), &[Zstd, Gzip, Identity], Some(Zstd)),
            (Some("zstd;q=0.9, gzip"), &[Zstd, Gzip, Identity], Some(Gzip)),
            (Some("br"), &[Zstd, Gzip, Identity], Some(Identity)),
        ] {
            assert_eq!(encodings(header.into_iter()).choose(offered), want, "{header:?} {offered:?}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read(headers in prop::collection::vec("[ -~é]{0,40}", 0..3)) {
            let all = || headers.iter().map(String::as_str);
            accepts_json(all());
            let chosen = encodings(all()).choose(&[Coding::Identity, Coding::Gzip, Coding::Zstd]);
            // F-06: never packed unasked.
            let named = |name: &str| headers.iter().any(|header| header.to_ascii_lowercase().contains(name));
            prop_assert!(chosen != Some(Coding::Gzip) || named("gzip"));
            prop_assert!(chosen != Some(Coding::Zstd) || named("zstd"));
        }
    }
}
