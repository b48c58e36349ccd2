//! What a header says of changes: `updated`, `skew`, `deleted`.

use super::Reader;
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::shape;
use crate::mapping::tree::{Deleted, Name};
use crate::mapping::yaml::{Entry, Node};

const DAY: u64 = 86_400;

impl Reader<'_, '_> {
    /// Seconds of `skew:`.
    pub(super) fn skew(&mut self, mapping: &Node, entry: &Entry) -> Option<u64> {
        let wanted = "a time up to a day, as in 30s, 5min or 1h";
        if mapping.get("updated").is_none() && mapping.get("deleted").is_none() {
            let error = Diagnostic::error("M108", entry.key.span, "`skew` needs `updated` or `deleted`");
            self.out.push(error.label("there are no stamps that it could be about"));
        }
        let text = shape::text(&entry.value, "skew", wanted, self.out)?;
        let seconds = seconds(text.text.trim()).filter(|seconds| *seconds <= DAY);
        if seconds.is_none() {
            self.out.push(shape::wrong(&entry.value, "skew", wanted));
        }
        seconds
    }

    pub(super) fn deleted(&mut self, value: &Node, key: &[Name]) -> Option<Deleted> {
        let Some(entries) = value.entries() else {
            let wanted = "a column's name, or `{table: …, key: …, at: …}`";
            let name = shape::text(value, "deleted", wanted, self.out)?;
            return self.column_name(&name, "deleted").map(Deleted::Column);
        };
        shape::known_keys(entries, "`deleted`", &["sql", "table", "key", "at"], self.out);
        let place = entries.first().map_or(value.span, |entry| entry.key.span);
        let rows = self.rows(entries, "`deleted`", place);
        let key = self.key_columns(value, "key", "`deleted`", key, place);
        let at = self.optional_column(value, "at");
        if value.get("at").is_none() {
            self.missing(place, "`deleted`", "at").help("name the column with the time of deletion");
        }
        Some(Deleted::Rows { rows: rows?, key, at: at? })
    }
}

/// A whole number and `s`, `min` or `h`.
fn seconds(text: &str) -> Option<u64> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let factor = match text.get(unit..)?.trim_start() {
        "s" => 1,
        "min" => 60,
        "h" => 3_600,
        _ => return None,
    };
    text.get(..unit)?.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, want) in [("30s", Some(30)), ("5 min", Some(300)), ("1h", Some(3_600)), ("0s", Some(0))] {
            assert_eq!(seconds(text), want, "{text}");
        }
        for text in ["", "30", "s", "-1s", "1.5h", "1m", "99999999999999999999s", "9999999999999999h"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
