//! The part of a mapping above `resource:` (§2.3): where rows come from and what identifies them.

use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, nearest};
use super::shape;
use super::source::{SourceId, Span};
use super::sql::{self, Problem};
use super::tree::{Header, List, Members, Name, Patient, Rows, RowsKind, Split, SqlText};
use super::yaml::{Entry, Kind, Node, Scalar};

mod changes;

/// Every key a mapping may have, `resource` included.
pub(crate) const KEYS: [&str; 15] = [
    "sql", "table", "key", "updated", "skew", "deleted", "lists", "patient", "members", "search", "split", "optional",
    "extends", "about", "resource",
];

/// Every key of `members`.
const MEMBERS: [&str; 9] = ["sql", "table", "parent", "patient", "group", "joined", "start", "end", "inactive"];

const COLUMN: &str = "a column's name";
const COLUMNS: &str = "a column's name, or a list of them: `[a, b]`";

/// The SQL files of a pack, by the name a mapping calls them.
pub(super) type SqlFiles<'a> = BTreeMap<&'a str, (SourceId, &'a str)>;

/// Reads the header of the mapping `node`.
///
/// `None` when there is no knowing where its rows come from or what identifies them.
pub(super) fn read(node: &Node, sql: &SqlFiles<'_>, out: &mut Vec<Diagnostic>) -> Option<Header> {
    let entries = shape::object(node, "mapping", out)?;
    shape::known_keys(entries, "a mapping", &KEYS, out);
    let place = entries.first().map_or(node.span, |entry| entry.key.span);
    let mut reader = Reader { sql, out };
    let rows = reader.rows(entries, "a mapping", place);
    let key = node.get("key").map(|value| reader.columns(value, "key")).unwrap_or_default();
    if node.get("key").is_none() {
        let rows = node.entry("sql").or_else(|| node.entry("table")).map_or(place, |entry| entry.key.span);
        reader.missing(rows, "a mapping", "key").help("name the columns that identify a row: `key: id`");
    }
    let header = Header {
        key: key.clone(),
        updated: node.get("updated").map(|value| reader.columns(value, "updated")).unwrap_or_default(),
        skew: node.entry("skew").and_then(|entry| reader.skew(node, entry)).unwrap_or_default(),
        deleted: node.get("deleted").and_then(|value| reader.deleted(value, &key)),
        lists: node.get("lists").map(|value| reader.lists(value, &key)).unwrap_or_default(),
        patient: match node.get("patient") {
            None => Patient::Derived,
            Some(value) if value.text() == Some("none") => Patient::None(value.span),
            Some(value) => reader.column(value, "patient").map_or(Patient::Derived, Patient::Column),
        },
        members: node.entry("members").and_then(|entry| reader.members(entry, node, &key)),
        search: node.get("search").map(|value| reader.search(value)).unwrap_or_default(),
        split: match node.get("split") {
            None => Split::FirstKey,
            Some(value) if value.text() == Some("none") => Split::None,
            Some(value) => reader.column(value, "split").map_or(Split::FirstKey, Split::Column),
        },
        optional: node
            .get("optional")
            .and_then(|value| shape::boolean(value, "optional", reader.out))
            .unwrap_or_default(),
        about: node
            .get("about")
            .and_then(|value| shape::text(value, "about", "text", reader.out))
            .map(|text| text.text.trim_end().to_owned()),
        rows: rows?,
    };
    (!header.key.is_empty()).then_some(header)
}

struct Reader<'a, 'o> {
    sql: &'a SqlFiles<'a>,
    out: &'o mut Vec<Diagnostic>,
}

/// A diagnostic just reported, for a word more.
struct Reported<'a>(&'a mut Vec<Diagnostic>);

impl Reported<'_> {
    fn help(self, text: &str) {
        if let Some(last) = self.0.pop() {
            self.0.push(last.help(text));
        }
    }
}

impl Reader<'_, '_> {
    fn missing(&mut self, place: Span, what: &str, key: &str) -> Reported<'_> {
        let error = Diagnostic::error("M108", place, format!("{what} needs `{key}`"));
        self.out.push(error.label(format!("`{key}` is missing")));
        Reported(self.out)
    }

    /// `sql:` or `table:`, exactly one.
    fn rows(&mut self, entries: &[Entry], what: &str, place: Span) -> Option<Rows> {
        let entry = |key: &str| entries.iter().find(|entry| entry.key.text == key);
        match (entry("sql"), entry("table")) {
            (Some(sql), None) => self.statement(&sql.value),
            (None, Some(table)) => self.table(&table.value),
            (Some(sql), Some(table)) => {
                let error = Diagnostic::error("M105", table.key.span, format!("{what} has `sql` or `table`, not both"));
                self.out.push(error.label("rows come from one of them").also(sql.key.span, "the other"));
                None
            }
            (None, None) => {
                let advice = "write `sql: file.sql` for a query in sql/, or `table: schema.name`";
                self.missing(place, what, "sql` or `table").help(advice);
                None
            }
        }
    }

    fn statement(&mut self, value: &Node) -> Option<Rows> {
        let Kind::Scalar(Scalar { text, lines, .. }) = &value.kind else {
            self.out.push(shape::wrong(value, "sql", "a file in sql/, or a statement after `|`"));
            return None;
        };
        let kind = if lines.is_empty() { self.sql_file(value, text)? } else { self.inline(value, text, lines)? };
        Some(Rows { kind: RowsKind::Sql(kind), span: value.span })
    }

    fn inline(&mut self, value: &Node, text: &str, lines: &[u32]) -> Option<SqlText> {
        let text = match sql::statement(text) {
            Ok(text) => text.to_owned(),
            Err(problem) => {
                self.out.push(no_statement(&problem, value.span, |range| value.part(range.start, range.end)));
                return None;
            }
        };
        let line_starts = lines.iter().copied().take(text.split('\n').count()).collect();
        Some(SqlText { text, source: value.span.source, line_starts })
    }

    fn sql_file(&mut self, value: &Node, name: &str) -> Option<SqlText> {
        let Some(&(source, whole)) = self.sql.get(name) else {
            self.out.push(self.no_sql_file(value, name));
            return None;
        };
        // PostgreSQL does not know the byte-order mark some editors write.
        let text = whole.strip_prefix('\u{feff}').unwrap_or(whole);
        let offset = whole.len() - text.len();
        let place = |start: usize, end: usize| Span::new(source, offset + start, offset + end);
        match sql::statement(text) {
            Ok(text) => {
                let newlines = text.match_indices('\n').map(|(newline, _)| newline + 1);
                let line_starts = [0].into_iter().chain(newlines).map(|start| (offset + start) as u32).collect();
                Some(SqlText { text: text.to_owned(), source, line_starts })
            }
            Err(problem) => {
                let error = no_statement(&problem, place(0, 0), |range| place(range.start, range.end));
                self.out.push(error.also(value.span, "used here"));
                None
            }
        }
    }

    fn no_sql_file(&self, value: &Node, name: &str) -> Diagnostic {
        let first = name.split_whitespace().next().unwrap_or("").to_ascii_lowercase();
        if ["select", "with"].contains(&&*first) {
            return Diagnostic::error("M107", value.span, "`sql` names a file here")
                .label("this looks like a statement")
                .help("write `sql: |` and the statement on the lines below it, indented");
        }
        let error = Diagnostic::error("M107", value.span, format!("no file `{name}` in sql/")).label("no such file");
        let base = name.rsplit('/').next().unwrap_or(name);
        match self.sql.get_key_value(base).map(|(name, _)| *name).or_else(|| nearest(name, self.sql.keys().copied())) {
            Some(near) => error.edit("did you mean", value.span, near),
            None => error,
        }
    }

    fn table(&mut self, value: &Node) -> Option<Rows> {
        let name = shape::text(value, "table", "a table's name, like `ehr.patients`", self.out)?;
        let kind = match table_parts(&name.text).as_deref() {
            Some([table]) => RowsKind::Table { schema: None, name: table.clone() },
            Some([schema, table]) => RowsKind::Table { schema: Some(schema.clone()), name: table.clone() },
            _ => {
                let error = Diagnostic::error("M105", name.span, format!("`{}` is not a table's name", name.text))
                    .label("a name, or `schema.name`")
                    .help("a name with other characters needs SQL's quotes inside YAML's: `table: '\"Order Lines\"'`");
                self.out.push(error);
                return None;
            }
        };
        Some(Rows { kind, span: value.span })
    }

    fn optional_column(&mut self, node: &Node, key: &str) -> Option<Name> {
        node.get(key).and_then(|value| self.column(value, key))
    }

    fn column(&mut self, value: &Node, what: &str) -> Option<Name> {
        let name = shape::text(value, what, COLUMN, self.out)?;
        self.column_name(&name, what)
    }

    fn columns(&mut self, value: &Node, what: &str) -> Vec<Name> {
        if let Some(text) = value.text().filter(|text| text.contains(',') && !text.contains('"')) {
            let error = Diagnostic::error("M105", value.span, format!("`{what}` must be {COLUMNS}"));
            self.out.push(error.edit("make it a list", value.span, format!("[{text}]")));
            return Vec::new();
        }
        let names = shape::texts(value, what, COLUMNS, self.out);
        let names: Vec<Name> = names.iter().filter_map(|name| self.column_name(name, what)).collect();
        for (n, name) in names.iter().enumerate() {
            if let Some(first) = names.iter().take(n).find(|first| first.text == name.text) {
                let error = Diagnostic::error("M102", name.span, format!("`{what}` names `{}` twice", name.text));
                self.out.push(error.also(first.span, "first here"));
            }
        }
        names
    }

    /// A bare name, as in SQL; an odd one in double quotes.
    fn column_name(&mut self, name: &Name, what: &str) -> Option<Name> {
        let text = name.text.trim();
        if let Some(quoted) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            return Some(Name { text: quoted.replace("\"\"", "\""), span: name.span });
        }
        let error = |label: &str| {
            let message = format!("`{what}` must be {COLUMN}, bare as in SQL");
            Diagnostic::error("M105", name.span, message).label(label)
        };
        if let Some(bare) = text.strip_prefix('$') {
            self.out.push(error("`$` belongs to values, below `resource:`").edit("write", name.span, bare));
            return None;
        }
        if !text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            let help = format!("a name with other characters needs SQL's quotes inside YAML's: `'\"{text}\"'`");
            self.out.push(error("not a column's name").help(help));
            return None;
        }
        Some(Name { text: text.to_owned(), span: name.span })
    }

    /// Columns that hold the key of something else.
    fn key_columns(&mut self, node: &Node, key: &str, of: &str, wanted: &[Name], place: Span) -> Vec<Name> {
        let Some(value) = node.get(key) else {
            self.missing(place, of, key);
            return Vec::new();
        };
        let columns = self.columns(value, key);
        if !columns.is_empty() && !wanted.is_empty() && columns.len() != wanted.len() {
            let (given, needed) = (columns.len(), wanted.len());
            let names: Vec<&str> = wanted.iter().map(|name| &*name.text).collect();
            let error = Diagnostic::error("M403", value.span, format!("the key has {needed} columns, `{key}` {given}"))
                .label(format!("must hold {}, in this order", names.join(", ")));
            self.out.push(match wanted.first().zip(wanted.last()) {
                Some((first, last)) => error.also(Span { end: last.span.end, ..first.span }, "the key"),
                None => error,
            });
        }
        columns
    }

    fn lists(&mut self, value: &Node, parent: &[Name]) -> Vec<List> {
        let entries = shape::object(value, "lists", self.out).unwrap_or_default();
        entries.iter().filter_map(|entry| self.list(entry, parent)).collect()
    }

    fn list(&mut self, entry: &Entry, parent_key: &[Name]) -> Option<List> {
        let (name, value) = (&entry.key, &entry.value);
        let what = format!("list `{}`", name.text);
        let starts = name.text.starts_with(|c: char| c.is_ascii_alphabetic());
        if !starts || !name.text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
            let error = Diagnostic::error("M105", name.span, format!("`{}` cannot name a list", name.text));
            self.out.push(error.label("a letter, then letters, digits, `-` and `_`"));
        }
        let entries = shape::object(value, &name.text, self.out)?;
        shape::known_keys(entries, &what, &["sql", "table", "parent", "order", "key", "lists"], self.out);
        let rows = self.rows(entries, &what, name.span);
        let parent = self.key_columns(value, "parent", &what, parent_key, name.span);
        let order = value.get("order").map(|order| self.columns(order, "order")).unwrap_or_default();
        if value.get("order").is_none() {
            let warning = Diagnostic::warning("M602", name.span, format!("{what} has no `order`"))
                .label("its items come in no particular order")
                .help("name the column they are ordered by: `order: …`");
            self.out.push(warning);
        }
        let key = value.get("key").map(|key| self.columns(key, "key")).unwrap_or_default();
        if let Some(lists) = value.entry("lists").filter(|_| value.get("key").is_none()) {
            let missing = self.missing(name.span, &what, "key");
            missing.help("a list with lists of its own must say which columns identify an item");
            // Their `parent` cannot be compared with anything.
            self.lists(&lists.value, &[]);
            return None;
        }
        let lists = value.get("lists").map(|lists| self.lists(lists, &key)).unwrap_or_default();
        Some(List { name: name.clone(), rows: rows?, parent, order, key, lists })
    }

    fn members(&mut self, entry: &Entry, mapping: &Node, key: &[Name]) -> Option<Members> {
        let value = &entry.value;
        let made = mapping.get("resource").and_then(|resource| resource.get("resourceType")?.text());
        if made.is_some_and(|made| made != "Group") {
            let error = Diagnostic::error("M103", entry.key.span, "only a mapping of Group has `members`");
            self.out.push(error.label("not known here"));
        }
        let entries = shape::object(value, "members", self.out)?;
        shape::known_keys(entries, "`members`", &MEMBERS, self.out);
        let rows = self.rows(entries, "`members`", entry.key.span);
        let parent = self.key_columns(value, "parent", "`members`", key, entry.key.span);
        let patient = self.optional_column(value, "patient");
        if value.get("patient").is_none() {
            self.missing(entry.key.span, "`members`", "patient").help("name the column with the patient's key");
        }
        let mut optional = |key| self.optional_column(value, key);
        let (group, joined) = (optional("group"), optional("joined"));
        let (start, end, inactive) = (optional("start"), optional("end"), optional("inactive"));
        Some(Members { rows: rows?, parent, patient: patient?, group, joined, start, end, inactive })
    }

    fn search(&mut self, value: &Node) -> Vec<(Name, Option<Name>)> {
        let entries = shape::object(value, "search", self.out).unwrap_or_default();
        let mut bindings = Vec::new();
        for entry in entries {
            if entry.value.text() == Some("none") {
                bindings.push((entry.key.clone(), None));
            } else if let Some(column) = self.column(&entry.value, &format!("search.{}", entry.key.text)) {
                bindings.push((entry.key.clone(), Some(column)));
            }
        }
        bindings
    }
}

/// The parts of `schema.name` as PostgreSQL reads them: quoted ones as they are, others in lower case.
fn table_parts(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            // A doubled quote inside stands for one.
            let mut part = String::new();
            let mut chars = quoted.char_indices().peekable();
            let end = loop {
                match chars.next()? {
                    (_, '"') if chars.peek().is_some_and(|&(_, next)| next == '"') => {
                        chars.next();
                        part.push('"');
                    }
                    (end, '"') => break end + 1,
                    (_, other) => part.push(other),
                }
            };
            parts.push(part);
            rest = quoted.get(end..)?;
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let part = rest.get(..end)?;
            let starts = part.starts_with(|c: char| c.is_alphabetic() || c == '_');
            if !starts || !part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$') {
                return None;
            }
            parts.push(part.to_ascii_lowercase());
            rest = rest.get(end..)?;
        }
        match rest.strip_prefix('.') {
            Some(next) => rest = next,
            None => return (rest.is_empty() && parts.iter().all(|part| !part.is_empty())).then_some(parts),
        }
    }
}

/// Why a text is no statement; `whole` is the place when it has none of its own.
fn no_statement(problem: &Problem, whole: Span, place: impl Fn(&std::ops::Range<usize>) -> Span) -> Diagnostic {
    match problem {
        Problem::Empty => Diagnostic::error("M302", whole, "there is no SQL statement here").label("empty"),
        Problem::Second(range) => Diagnostic::error("M302", place(range), "more than one SQL statement")
            .label("a second statement starts here")
            .help("a mapping or list reads from one statement; use `with` for helpers"),
        Problem::Unclosed(range) => {
            Diagnostic::error("M302", place(range), "this is never closed").label("opened here")
        }
        Problem::Parameter(range) => Diagnostic::error("M302", place(range), "a mapping's SQL has no parameters")
            .label("no value is given for it")
            .help("patients, times and ranges are added by the engine, around the statement"),
        Problem::NotAQuery(range) => Diagnostic::error("M302", place(range), "rows come from a query")
            .label("`select`, `with`, `values` or `table` is expected here"),
    }
}

#[cfg(test)]
mod tests;
