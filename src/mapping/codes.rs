//! Code maps (§2.8): CSV, or a FHIR ConceptMap as JSON.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::diagnostic::{Diagnostic, nearest};
use super::project::{self, UNMAPPED, is_absolute_uri};
use super::source::{SourceId, Span};
use super::tree::{CodeMap, CodeRow, Fallback, Name, Target, Unmapped};

mod concept_map;
mod csv;

pub(super) use concept_map::read as concept_map;

/// Mistakes after which the rest of a file is not looked at.
const MAX_MISTAKES: usize = 20;

/// Names for URIs that may stand in a `system` column, built-in ones included.
pub(super) type Aliases = BTreeMap<String, String>;

/// Reads the CSV code map called `name`.
pub(super) fn csv(
    name: &str,
    source: SourceId,
    text: &str,
    aliases: &Aliases,
    out: &mut Vec<Diagnostic>,
) -> Option<CodeMap> {
    let before = out.len();
    let mut records = csv::Records::new(source, text);
    let columns = columns(records.next(out), source, out)?;
    let mut builder = Builder::new(name, source, aliases);
    while let Some(record) = records.next(out) {
        if out.len() - before >= MAX_MISTAKES {
            let place = record.first().map_or(Span::new(source, 0, 0), |field| field.span);
            let stop = Diagnostic::warning("M503", place, "the rest of this file was not checked");
            out.push(stop.note(format!("there are {MAX_MISTAKES} mistakes above")));
            break;
        }
        let record: Vec<&Name> = record.iter().collect();
        if let Some(row) = columns.row(&record, out) {
            builder.add(row, out);
        }
    }
    Some(builder.map)
}

/// Where the columns that mean something stand in a record.
struct Columns {
    width: usize,
    source: usize,
    code: usize,
    system: Option<usize>,
    display: Option<usize>,
}

/// The first line.
fn columns(header: Option<Vec<Name>>, source: SourceId, out: &mut Vec<Diagnostic>) -> Option<Columns> {
    const WANTED: &str = "the first line must be `source,code` or `source,system,code,display`";
    let Some(header) = header else {
        out.push(Diagnostic::error("M503", Span::new(source, 0, 0), WANTED).label("this file is empty"));
        return None;
    };
    let place = |name: &str| header.iter().position(|field| field.text.trim() == name);
    let known = ["source", "system", "code", "display"];
    for (n, field) in header.iter().enumerate() {
        let text = field.text.trim();
        if let Some(first) = header.iter().take(n).find(|first| first.text.trim() == text && known.contains(&text)) {
            let error = Diagnostic::error("M503", field.span, format!("two columns are called `{text}`"));
            out.push(error.also(first.span, "first here"));
            return None;
        }
        // A misspelt column would be taken for a comment.
        let absent = known.into_iter().filter(|name| place(name).is_none());
        if let Some(near) = nearest(text, absent).filter(|_| !known.contains(&text)) {
            let error = Diagnostic::error("M503", field.span, format!("code maps have no column `{text}`"));
            out.push(error.label("would be a comment").edit("did you mean", field.span, near));
            return None;
        }
    }
    let (Some(source), Some(code)) = (place("source"), place("code")) else {
        let ends = header.first().zip(header.last());
        let span = ends.map_or(Span::new(source, 0, 0), |(first, last)| Span { end: last.span.end, ..first.span });
        out.push(Diagnostic::error("M503", span, WANTED).label("no `source` and `code` here"));
        return None;
    };
    Some(Columns { width: header.len(), source, code, system: place("system"), display: place("display") })
}

/// One row, its fields trimmed where FHIR cannot have space.
struct Row {
    source: Name,
    system: Option<Name>,
    code: Name,
    display: Option<String>,
}

impl Columns {
    fn row(&self, record: &[&Name], out: &mut Vec<Diagnostic>) -> Option<Row> {
        let last = [Some(self.source), Some(self.code), self.system, self.display].into_iter().flatten().max()?;
        let (given, width) = (record.len(), self.width);
        if given <= last || given > width {
            let span =
                record.first().zip(record.last()).map(|(first, end)| Span { end: end.span.end, ..first.span })?;
            let count = if given == 1 { "1 field".to_owned() } else { format!("{given} fields") };
            let error = Diagnostic::error("M503", span, format!("this row has {count}, the first line {width}"));
            let quotes = "a field that holds a comma stands in double quotes";
            out.push(if given > width { error.help(quotes) } else { error });
            return None;
        }
        let field = |place: usize| record.get(place).map(|field| trimmed(field));
        let filled = |place: Option<usize>| place.and_then(field).filter(|field| !field.text.is_empty());
        let source = (*record.get(self.source)?).clone();
        if source.text.trim() != source.text {
            let warning = Diagnostic::warning("M503", source.span, "this source value has spaces around it");
            out.push(warning.label("only a value with the same spaces is this one"));
        }
        Some(Row {
            source,
            system: filled(self.system),
            code: field(self.code)?,
            display: filled(self.display).map(|field| field.text),
        })
    }
}

fn trimmed(field: &Name) -> Name {
    let text = field.text.trim();
    // Only a field that stands in the file as it is can have a narrower place.
    let same = (field.span.end - field.span.start) as usize == field.text.len();
    let start = field.text.len() - field.text.trim_start().len();
    let end = start + text.len();
    let span = if same {
        Span { start: field.span.start + start as u32, end: field.span.start + end as u32, ..field.span }
    } else {
        field.span
    };
    Name { text: text.to_owned(), span }
}

/// A code map in the making.
struct Builder<'a> {
    aliases: &'a Aliases,
    map: CodeMap,
    /// Source code → its row.
    listed: HashMap<String, usize>,
    /// Places of the `*` row and of the row with an empty source.
    other: Option<Span>,
    empty: Option<Span>,
    /// Systems already reported: one mistake, however many rows share it.
    unknown: HashSet<String>,
}

impl<'a> Builder<'a> {
    fn new(name: &str, source: SourceId, aliases: &'a Aliases) -> Self {
        let map = CodeMap { name: name.to_owned(), source, rows: Vec::new(), empty: None, other: None };
        Self { aliases, map, listed: HashMap::new(), other: None, empty: None, unknown: HashSet::new() }
    }

    fn add(&mut self, row: Row, out: &mut Vec<Diagnostic>) {
        let system = match row.system {
            None => None,
            Some(system) => match self.system(&system, out) {
                Some(uri) => Some(uri),
                None => return,
            },
        };
        let special = match row.code.text.strip_prefix('!') {
            None => None,
            Some(word) => match special(word, row.code.span, out) {
                Some(special) => Some(special),
                None => return,
            },
        };
        if row.code.text.is_empty() {
            let error = Diagnostic::error("M503", row.code.span, "this row has no code");
            out.push(error.label("a code, or for `*` one like `!omit`"));
            return;
        }
        let target = Target { system: system.clone(), code: row.code.text, display: row.display, span: row.code.span };
        let fallback = match special {
            Some(special) => Fallback::Special(special, system),
            None => Fallback::Targets(vec![target.clone()]),
        };
        match &*row.source.text {
            "*" => once(&mut self.other, row.source.span, "`*` stands twice", out, || self.map.other = Some(fallback)),
            "" => {
                let message = "two rows have an empty source";
                once(&mut self.empty, row.source.span, message, out, || self.map.empty = Some(fallback));
            }
            _ if special.is_some() => {
                let error =
                    Diagnostic::error("M503", target.span, format!("`{}` needs the source `*` or none", target.code));
                out.push(error.label("says what becomes of values that are not listed, or of NULL"));
            }
            _ => self.list(row.source, target, out),
        }
    }

    fn list(&mut self, source: Name, target: Target, out: &mut Vec<Diagnostic>) {
        let rows = &mut self.map.rows;
        let place = *self.listed.entry(source.text.clone()).or_insert_with(|| {
            rows.push(CodeRow { source: source.text, targets: Vec::new() });
            rows.len() - 1
        });
        let Some(row) = rows.get_mut(place) else { return };
        let same = |before: &&Target| before.code == target.code && before.system == target.system;
        if let Some(before) = row.targets.iter().find(same) {
            let warning = Diagnostic::warning("M503", target.span, "this row stands twice");
            out.push(warning.also(before.span, "first here"));
            return;
        }
        row.targets.push(target);
    }

    /// An alias's URI, or the absolute URI itself.
    fn system(&mut self, system: &Name, out: &mut Vec<Diagnostic>) -> Option<String> {
        if let Some(uri) = self.aliases.get(&system.text) {
            return Some(uri.clone());
        }
        if is_absolute_uri(&system.text) {
            return Some(system.text.clone());
        }
        if !self.unknown.insert(system.text.clone()) {
            return None;
        }
        let error = Diagnostic::error("M209", system.span, format!("`{}` is neither a URI nor an alias", system.text))
            .label("the code's system");
        out.push(match nearest(&system.text, self.aliases.keys().map(String::as_str)) {
            Some(near) => error.edit("did you mean", system.span, near),
            None => error.help("give it a name under `alias:` in project.yaml"),
        });
        None
    }
}

/// Runs `set` the first time, reports a second one.
fn once(seen: &mut Option<Span>, span: Span, message: &str, out: &mut Vec<Diagnostic>, set: impl FnOnce()) {
    if let Some(first) = *seen {
        out.push(Diagnostic::error("M503", span, message).also(first, "first here"));
        return;
    }
    *seen = Some(span);
    set();
}

/// The meaning of `!word`.
fn special(word: &str, span: Span, out: &mut Vec<Diagnostic>) -> Option<Unmapped> {
    let special = project::unmapped(word);
    if special.is_none() {
        let error = Diagnostic::error("M503", span, format!("no special code `!{word}`"))
            .note("special codes: !omit, !text, !same, !absent, !error");
        out.push(match nearest(word, UNMAPPED) {
            Some(near) => error.edit("did you mean", span, format!("!{near}")),
            None => error,
        });
    }
    special
}

#[cfg(test)]
mod tests;
