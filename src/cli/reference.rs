//! The parts of the book that follow from the sources: tables of the mapping reference, the list of diagnostics.
//!
//! A page says `<!-- generated: NAME -->` … `<!-- end -->`; [`fill`] writes the part between. `tests/docs.rs` holds
//! the pages to it.

use std::fmt::Write as _;

use super::explain;
use crate::fhir::alias;
use crate::mapping::catalogue::CODES;
use crate::mapping::diagnostic::Severity;
use crate::mapping::fragment::SHIPPED;
use crate::mapping::source::SourceId;
use crate::mapping::yaml;
use crate::plan::{accepted, accepts_json_field};
use crate::row::PgKind;

/// A generated part: its name and its Markdown.
type Part = (&'static str, fn() -> String);

/// Every generated part.
pub const PARTS: [Part; 5] = [
    ("header", header),
    ("types", types),
    ("fragments", fragments),
    ("aliases", aliases),
    ("diagnostics", diagnostics),
];

const END: &str = "<!-- end -->";

/// `page` with its generated parts written anew; the name of a part that does not exist, or that has no end, is the
/// error.
pub fn fill(page: &str) -> Result<String, String> {
    let mut filled = String::with_capacity(page.len());
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("<!-- generated: ") {
        let (name, after) = after.split_once(" -->\n").ok_or("a marker without an end")?;
        let (_, after) = after.split_once(END).ok_or_else(|| name.to_owned())?;
        let (_, part) = PARTS.iter().find(|(known, _)| *known == name).ok_or_else(|| name.to_owned())?;
        // Writing to a String cannot fail.
        let _ = write!(filled, "{before}<!-- generated: {name} -->\n\n{}\n{END}", part());
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// `SUMMARY.md` with one entry per page of a diagnostic, below that of their index.
pub fn summary(page: &str) -> String {
    const INDEX: &str = "](reference/diagnostics/index.md)";
    let mut filled = String::with_capacity(page.len());
    for line in page.lines() {
        if line.contains("](reference/diagnostics/") && !line.contains(INDEX) {
            continue;
        }
        filled.push_str(line);
        filled.push('\n');
        if line.contains(INDEX) {
            for (code, _) in explain::PAGES {
                // Writing to a String cannot fail.
                let _ = writeln!(filled, "  - [{code}](reference/diagnostics/{code}.md)");
            }
        }
    }
    filled
}

/// First lines of the page of a diagnostic.
pub fn diagnostic_title(code: &str) -> Option<String> {
    let info = crate::mapping::catalogue::info(code)?;
    Some(format!("# {code}: {}\n\n**{}.** {}.\n", info.slug, severity(info.severity), sentence(info.meaning)))
}

/// Keys of a mapping's header, in the order of the reference: key, value, meaning, default.
const HEADER: [[&str; 4]; 14] = [
    ["sql", "file in `sql/`, or a statement after `|`", "where rows come from", "this or `table`"],
    ["table", "table or view", "where rows come from", "this or `sql`"],
    ["key", "column or list", "identifies a row; ids, lists, splits and tombstones rest on it", "required"],
    [
        "updated",
        "column or list",
        "the last change: `--since`, `--until` and `meta.lastUpdated`",
        "none: exported whole",
    ],
    ["skew", "time", "how far stamps may lie before their transaction's start", "`0s`"],
    ["deleted", "column, or `{table, key, at}`", "which rows are gone", "none"],
    ["lists", "name → `{table, parent, order, key, lists}`", "1:N rows for `$each`", "none"],
    ["patient", "column or `none`", "the column that holds the patient's key", "[derived](derived.md)"],
    ["members", "`{table, parent, patient, group, start, end, inactive, joined}`", "Group only: who is in it", "none"],
    ["search", "parameter → column or `none`", "overrides derived search parameters", "[derived](derived.md)"],
    ["split", "column or `none`", "the column whose ranges are read in parallel", "first key column"],
    ["optional", "`true` or `false`", "skip this mapping if its table does not exist", "`false`"],
    ["extends", "mapping of the base pack", "this file is a patch", "none"],
    ["about", "text", "for people", "none"],
];

fn header() -> String {
    let mut table = String::from("| key | value | meaning | default |\n|---|---|---|---|\n");
    for [key, value, meaning, default] in HEADER {
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| `{key}` | {} | {meaning} | {default} |", value.replace('|', "\\|"));
    }
    table
}

/// FHIR's primitive types.
const PRIMITIVES: [&str; 20] = [
    "string",
    "markdown",
    "xhtml",
    "code",
    "id",
    "uri",
    "url",
    "canonical",
    "oid",
    "uuid",
    "boolean",
    "integer",
    "unsignedInt",
    "positiveInt",
    "decimal",
    "date",
    "dateTime",
    "instant",
    "time",
    "base64Binary",
];

fn types() -> String {
    let mut rows: Vec<(Vec<&str>, String)> = Vec::new();
    for name in PRIMITIVES {
        let columns = accepted(name).into_iter().map(|column| {
            let kind = match column.kind {
                PgKind::Char => "char(n)".to_owned(),
                kind => kind.to_string(),
            };
            match (column.checked, column.needs_zone) {
                (true, _) => format!("{kind} (checked)"),
                (_, true) => format!("{kind} (with `timezone`)"),
                _ => kind,
            }
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        let cells = format!("{columns} | {}", if accepts_json_field(name) { "yes" } else { "no" });
        match rows.last_mut().filter(|(_, known)| *known == cells) {
            Some((names, _)) => names.push(name),
            None => rows.push((vec![name], cells)),
        }
    }
    let mut table = String::from("| FHIR | from columns of type | from a json field |\n|---|---|---|\n");
    for (names, cells) in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| {} | {cells} |", names.join(", "));
    }
    table
}

fn fragments() -> String {
    let mut table = String::from("| fragment | type | parameters | |\n|---|---|---|---|\n");
    for (name, text) in SHIPPED {
        let about = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or("");
        let node = yaml::parse(SourceId(0), text, &mut Vec::new());
        let field = |key: &str| node.as_ref().and_then(|node| node.get(key));
        let params: Vec<String> = field("params")
            .and_then(|params| params.entries())
            .unwrap_or_default()
            .iter()
            .map(|entry| format!("`{}` ({})", entry.key.text, entry.value.text().unwrap_or("")))
            .collect();
        let fhir_type = field("type").and_then(|value| value.text()).unwrap_or("");
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| `{name}` | {fhir_type} | {} | {about} |", params.join(", "));
    }
    table
}

fn aliases() -> String {
    let mut table = String::from("| alias | URI |\n|---|---|\n");
    for (name, uri) in alias::builtins() {
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| `{name}` | `{uri}` |");
    }
    table
}

fn diagnostics() -> String {
    let mut table = String::from("| code | | name | meaning |\n|---|---|---|---|\n");
    for info in CODES {
        let (code, slug) = (info.code, info.slug);
        let severity = severity(info.severity).to_lowercase();
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| [{code}]({code}.md) | {severity} | {slug} | {} |", info.meaning);
    }
    table
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "Error",
        Severity::Warning => "Warning",
    }
}

/// With a capital letter, unless it starts with code or a file name.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if !text.starts_with("project.yaml") && !text.starts_with("columns.lock") => {
            first.to_uppercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::elements::{TypeKind, type_kind};
    use crate::mapping::header::KEYS;

    #[test]
    fn the_header_table_has_every_key() {
        let mut known: Vec<&str> = HEADER.iter().map(|[key, ..]| *key).chain(["resource"]).collect();
        let mut keys = KEYS;
        known.sort_unstable();
        keys.sort_unstable();
        assert_eq!(known, keys);
    }

    #[test]
    fn every_primitive_can_be_written_from_some_column() {
        for name in PRIMITIVES {
            assert_eq!(type_kind(name), Some(TypeKind::Primitive), "{name}");
            assert!(!accepted(name).is_empty(), "{name}");
        }
        assert!(types().contains("| date | text (checked), char(n) (checked), date | yes |"), "{}", types());
    }

    #[test]
    fn parts_are_filled_and_stay() {
        let page = "a\n<!-- generated: header -->\nold\n<!-- end -->\nb\n";
        let filled = fill(page).unwrap();
        assert!(
            filled.starts_with("a\n<!-- generated: header -->\n\n| key |") && filled.ends_with("<!-- end -->\nb\n")
        );
        assert_eq!(fill(&filled).unwrap(), filled);
        assert_eq!(fill("<!-- generated: nothing -->\n<!-- end -->"), Err("nothing".to_owned()));
        assert_eq!(fill("<!-- generated: header -->\n"), Err("header".to_owned()));
    }

    #[test]
    fn the_summary_lists_the_pages() {
        let page = "- [D](reference/diagnostics/index.md)\n  - [X1](reference/diagnostics/X1.md)\n- [E](e.md)\n";
        let filled = summary(page);
        assert!(!filled.contains("X1") && filled.ends_with("- [E](e.md)\n"));
        assert_eq!(summary(&filled), filled);
    }
}
