//! What `Range` and the conditional headers say about a file (F-12), as RFC 9110 has them.

use std::time::{Duration, SystemTime};

/// The bytes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of them.
    Whole,
    /// From the first to the second position, both included.
    Part(u64, u64),
    /// None that there are.
    Outside,
}

/// Reads `Range` for a file of `size` bytes. What is no single range of bytes asks for the whole.
pub(super) fn range(header: Option<&str>, size: u64) -> Wanted {
    let Some(header) = header else { return Wanted::Whole };
    let Some((unit, list)) = header.split_once('=') else { return Wanted::Whole };
    let position = |text: &str| -> Option<Option<u64>> {
        let text = text.trim();
        if text.is_empty() {
            return Some(None);
        }
        // A position beyond what can be counted lies outside of every file.
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| Some(text.parse().unwrap_or(u64::MAX)))
    };
    let Some((first, last)) = list.split_once('-').filter(|_| unit.trim().eq_ignore_ascii_case("bytes")) else {
        return Wanted::Whole;
    };
    match (position(first), position(last)) {
        (Some(Some(first)), Some(last)) => match last {
            Some(last) if last < first => Wanted::Whole,
            _ if first >= size => Wanted::Outside,
            Some(last) => Wanted::Part(first, last.min(size - 1)),
            None => Wanted::Part(first, size - 1),
        },
        (Some(None), Some(Some(0))) => Wanted::Outside,
        (Some(None), Some(Some(_))) if size == 0 => Wanted::Outside,
        (Some(None), Some(Some(count))) => Wanted::Part(size.saturating_sub(count), size - 1),
        _ => Wanted::Whole,
    }
}

/// What a client knows of a file already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "named like their headers")]
pub(super) struct Conditions<'a> {
    pub(super) if_match: Option<&'a str>,
    pub(super) if_none_match: Option<&'a str>,
    pub(super) if_modified_since: Option<SystemTime>,
    pub(super) if_unmodified_since: Option<SystemTime>,
    pub(super) if_range: Option<&'a str>,
}

/// What becomes of a request with conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is answered.
    Go,
    /// The client has it.
    NotModified,
    /// It expects another file.
    Failed,
}

impl Conditions<'_> {
    /// Judges them in the order of RFC 9110, 13.2.2. `tag` is a strong entity tag with its quotes.
    pub(super) fn judge(&self, tag: &str, modified: SystemTime) -> Verdict {
        let modified = whole_seconds(modified);
        if let Some(list) = self.if_match {
            if !names(list, tag, false) {
                return Verdict::Failed;
            }
        } else if self.if_unmodified_since.is_some_and(|since| modified > since) {
            return Verdict::Failed;
        }
        if let Some(list) = self.if_none_match {
            if names(list, tag, true) {
                return Verdict::NotModified;
            }
        } else if self.if_modified_since.is_some_and(|since| modified <= since) {
            return Verdict::NotModified;
        }
        Verdict::Go
    }

    /// Whether a range may be given: `If-Range` names this very file, or is not there.
    pub(super) fn allow_range(
        &self,
        tag: &str,
        modified: SystemTime,
        date: impl Fn(&str) -> Option<SystemTime>,
    ) -> bool {
        self.if_range.is_none_or(|text| {
            let text = text.trim();
            text == tag || (!text.starts_with(['"', 'W']) && date(text) == Some(whole_seconds(modified)))
        })
    }
}

/// Whether a list of entity tags has `tag`; weak ones count where `weak`.
fn names(list: &str, tag: &str, weak: bool) -> bool {
    list.split(',').map(str::trim).any(|item| {
        let plain = if weak { item.strip_prefix("W/").unwrap_or(item) } else { item };
        item == "*" || plain == tag
    })
}

/// HTTP dates have no fractions.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    // F-12 T-21
    #[test]
    fn ranges() {
        use Wanted::{Outside, Part, Whole};
        for (header, wanted) in [
            (None, Whole),
            (Some("bytes=0-0"), Part(0, 0)),
            (Some("bytes=0-"), Part(0, 9)),
            (Some("bytes=3-5"), Part(3, 5)),
            (Some("Bytes = 3 - 5"), Part(3, 5)),
            (Some("bytes=3-99"), Part(3, 9)),
            (Some("bytes=9-99999999999999999999999"), Part(9, 9)),
            (Some("bytes=-4"), Part(6, 9)),
            (Some("bytes=-99"), Part(0, 9)),
            (Some("bytes=10-"), Outside),
            (Some("bytes=99999999999999999999999-"), Outside),
            (Some("bytes=-0"), Outside),
            (Some("bytes=5-3"), Whole),
            (Some("bytes=-"), Whole),
            (Some("bytes=0-1,3-4"), Whole),
            (Some("bytes=a-b"), Whole),
            (Some("bytes=+1-2"), Whole),
            (Some("lines=0-1"), Whole),
            (Some("0-1"), Whole),
            (Some(""), Whole),
        ] {
            assert_eq!(range(header, 10), wanted, "{header:?}");
        }
        assert_eq!((range(Some("bytes=0-"), 0), range(Some("bytes=-5"), 0)), (Outside, Outside));
    }

    // F-12
    #[test]
    fn conditions() {
        use Verdict::{Failed, Go, NotModified};
        let second = Duration::from_secs(1);
        let modified = SystemTime::UNIX_EPOCH + 100 * second + second / 2;
        let exact = SystemTime::UNIX_EPOCH + 100 * second;
        let none = Conditions::default;
        for (conditions, verdict) in [
            (none(), Go),
            (Conditions { if_none_match: Some("\"a\""), ..none() }, NotModified),
            (Conditions { if_none_match: Some("\"x\", W/\"a\""), ..none() }, NotModified),
            (Conditions { if_none_match: Some("*"), ..none() }, NotModified),
            (Conditions { if_none_match: Some("\"x\""), if_modified_since: Some(exact), ..none() }, Go),
            (Conditions { if_modified_since: Some(exact), ..none() }, NotModified),
            (Conditions { if_modified_since: Some(exact - second), ..none() }, Go),
            (Conditions { if_match: Some("\"a\""), ..none() }, Go),
            (Conditions { if_match: Some("W/\"a\""), ..none() }, Failed),
            (Conditions { if_match: Some("\"x\""), ..none() }, Failed),
            (Conditions { if_unmodified_since: Some(exact), ..none() }, Go),
            (Conditions { if_unmodified_since: Some(exact - second), ..none() }, Failed),
        ] {
            assert_eq!(conditions.judge("\"a\"", modified), verdict, "{conditions:?}");
        }
        let date = |text: &str| (text == "then").then_some(exact);
        for (text, allowed) in [("\"a\"", true), ("W/\"a\"", false), ("\"x\"", false), ("then", true), ("else", false)]
        {
            let conditions = Conditions { if_range: Some(text), ..none() };
            assert_eq!(conditions.allow_range("\"a\"", modified, date), allowed, "{text}");
        }
        assert!(none().allow_range("\"a\"", modified, date));
    }
}
