//! Why a resource looks as it does: each element of a mapping beside where its value comes from, and, for what is not
//! in the resource, the rule that left it out and the columns, codes and conditions of this row that made it so.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::prepare::Prepared;
use super::seen::{Absence, Level, Look};
use crate::encode::Watched;
use crate::fhir::elements::{elements, heads};
use crate::mapping::print::condition;
use crate::mapping::tree::{
    Arg, ColumnRef, Condition, Expr, Item, ItemKind, Leaf, List, Mapping, Member, Object, Over, Part, Value,
};
use crate::plan::program::{Compiled, Site};

/// One line per element: path, `=` or `-` (left out), and its origin or the reason.
pub fn why(prepared: &Prepared, compiled: &Compiled, watched: &Watched, resource: &Json) -> String {
    lines(prepared, compiled, watched, resource, |_| true)
}

/// The same of a row that was rejected because something was empty: what led to it.
pub fn why_rejected(prepared: &Prepared, compiled: &Compiled, watched: &Watched, site: &Site) -> String {
    if !matches!(site.code, "R206" | "R405") {
        return String::new();
    }
    let of = site.path.trim_end_matches("[x]");
    lines(prepared, compiled, watched, &Json::Null, |path| {
        // Without the names of lists: `Patient.telecom[contacts].value`.
        let path: String = path.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect();
        path.starts_with(of) || of.strip_prefix(&path).is_some_and(|rest| rest.starts_with('.'))
    })
}

fn lines(
    prepared: &Prepared,
    compiled: &Compiled,
    watched: &Watched,
    resource: &Json,
    wanted: impl Fn(&str) -> bool,
) -> String {
    let Some(mapping) = prepared.pack.mappings.iter().find(|mapping| mapping.name == compiled.mapping) else {
        return String::new();
    };
    let levels = vec![Level::Rows(mapping.name.clone())];
    let mut lines = Lines { prepared, mapping, look: Look { compiled, watched }, levels, rows: Vec::new() };
    lines.object(&mapping.root, &mapping.resource_type, &[resource]);
    lines.rows.retain(|(path, ..)| wanted(path));
    let width = lines.rows.iter().map(|(path, ..)| path.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (path, written, origin) in lines.rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {path:<width$}  {origin}", if written { '=' } else { '-' });
    }
    text
}

struct Lines<'a> {
    prepared: &'a Prepared,
    mapping: &'a Mapping,
    look: Look<'a>,
    /// The rows that columns are of, outermost first.
    levels: Vec<Level>,
    rows: Vec<(String, bool, String)>,
}

impl<'a> Lines<'a> {
    // ---- lines ----------------------------------------------------------------------------------------------

    /// `found` are the places of the resource where this object may stand: several below a list.
    fn object(&mut self, object: &'a Object, path: &str, found: &[&Json]) {
        for member in &object.members {
            let below: Vec<&Json> = found.iter().filter_map(|json| json.get(&member.name)).collect();
            self.member(member, object, &format!("{path}.{}", member.name), &below, found);
        }
    }

    fn member(&mut self, member: &'a Member, object: &Object, path: &str, below: &[&Json], around: &[&Json]) {
        if below.is_empty() && member.choice.is_some() {
            let before = object.members.iter().take_while(|other| other.name != member.name);
            let taken = before
                .filter(|other| other.choice == member.choice)
                .find(|other| around.iter().any(|json| json.get(&other.name).is_some()));
            if let Some(taken) = taken {
                let origin = format!("left out: the choice is `{}`, which stands before it", taken.name);
                self.rows.push((path.to_owned(), false, origin));
                return;
            }
        }
        if below.is_empty() {
            let absence = self.member_absence(member);
            self.left_out(path, &absence, &member.value);
        } else {
            self.value(&member.value, path, below);
        }
    }

    fn left_out(&mut self, path: &str, absence: &Absence, value: &Value) {
        let unknown = if let Value::Leaf(_) = value { "its text is blank" } else { "nothing of it has a value" };
        let reason = absence.reason().unwrap_or(unknown);
        self.rows.push((path.to_owned(), false, format!("left out: {reason}")));
    }

    /// What is written, at least in some rows.
    fn value(&mut self, value: &'a Value, path: &str, found: &[&Json]) {
        match value {
            Value::Leaf(leaf) => {
                let mut origin = self.origin(leaf);
                if let Some(reason) = joined(&self.leaf_absences(leaf)) {
                    let _ = write!(origin, " ({reason})");
                }
                self.rows.push((path.to_owned(), true, origin));
            }
            Value::Object(object) => self.object(object, path, found),
            Value::List(items) => {
                let inner: Vec<&Json> = found.iter().filter_map(|json| json.as_array()).flatten().collect();
                for item in items {
                    self.item(item, path, &inner);
                }
            }
        }
    }

    fn item(&mut self, item: &'a Item, path: &str, found: &[&Json]) {
        let absence = self.item_absence(item);
        match &item.kind {
            ItemKind::One(value) => {
                let path = format!("{path}[]");
                if let Absence::Always(_) = absence {
                    self.left_out(&path, &absence, value);
                } else {
                    self.value(value, &path, found);
                }
            }
            ItemKind::Each { over, body, .. } => {
                let path = format!("{path}[{}]", self.list(over).1);
                if let Absence::Always(_) = absence {
                    self.left_out(&path, &absence, body);
                } else {
                    let level = self.list(over).0;
                    self.levels.push(level);
                    self.value(body, &path, found);
                    self.levels.pop();
                }
            }
        }
    }

    /// Where a leaf's value comes from.
    fn origin(&self, leaf: &Leaf) -> String {
        match &leaf.expr {
            Expr::Constant(_) => "constant".to_owned(),
            Expr::Column(expr) => {
                let mut terms: Vec<String> = expr
                    .terms
                    .iter()
                    .map(|term| {
                        let map = term.via.and_then(|id| self.prepared.pack.code_maps.get(id.0));
                        let via = map.map(|map| format!(" via code map {}", map.name)).unwrap_or_default();
                        format!("column {}{via}", written_name(&term.column))
                    })
                    .collect();
                terms.extend(expr.fallback.as_ref().map(|_| "constant".to_owned()));
                terms.join(", or ")
            }
            Expr::Text(text) => {
                let mut columns = Vec::new();
                part_columns(&text.parts, &mut columns);
                let kind = text
                    .refers
                    .as_ref()
                    .map_or_else(|| "template".to_owned(), |refers| format!("reference to mapping {}", refers.mapping));
                if columns.is_empty() { kind } else { format!("{kind} over {}", columns.join(", ")) }
            }
        }
    }

    // ---- what is empty (§2.7) -------------------------------------------------------------------------------

    fn column(&self, column: &ColumnRef) -> Absence {
        let level = self.levels.iter().rev().nth(column.up.into());
        level.map_or(Absence::No, |level| self.look.column(level, column, &written_name(column)))
    }

    /// The columns and codes that a leaf may be without.
    fn leaf_absences(&self, leaf: &Leaf) -> Vec<Absence> {
        match &leaf.expr {
            Expr::Constant(_) => Vec::new(),
            Expr::Column(expr) => expr
                .terms
                .iter()
                .map(|term| {
                    let map = term.via.and_then(|id| self.prepared.pack.code_maps.get(id.0));
                    let level = self.levels.iter().rev().nth(term.column.up.into());
                    match (map, level) {
                        (Some(map), Some(level)) => {
                            self.look.code(level, &term.column, &written_name(&term.column), &map.name)
                        }
                        _ => self.column(&term.column),
                    }
                })
                .collect(),
            Expr::Text(text) => text.parts.iter().flat_map(needed).map(|column| self.column(column)).collect(),
        }
    }

    fn value_absence(&mut self, value: &'a Value) -> Absence {
        match value {
            Value::Leaf(leaf) => {
                let absences = self.leaf_absences(leaf);
                match &leaf.expr {
                    Expr::Column(expr) if expr.fallback.is_none() => Absence::all(&absences),
                    Expr::Text(_) => Absence::any(&absences),
                    _ => Absence::No,
                }
            }
            Value::Object(object) => self.object_absence(object),
            Value::List(items) => {
                let items: Vec<Absence> = items.iter().map(|item| self.item_absence(item)).collect();
                Absence::all(&items)
            }
        }
    }

    fn item_absence(&mut self, item: &'a Item) -> Absence {
        let guard = self.guards(&item.guards);
        if let Absence::Always(_) = guard {
            return guard;
        }
        let value = match &item.kind {
            ItemKind::One(value) => self.value_absence(value),
            ItemKind::Each { over, body, .. } => {
                let (level, name) = self.list(over);
                if self.look.rows(&level) == 0 {
                    return Absence::Always(format!("list {name} has no row for it"));
                }
                self.levels.push(level);
                let absence = self.value_absence(body);
                self.levels.pop();
                absence
            }
        };
        Absence::any(&[guard, value])
    }

    fn member_absence(&mut self, member: &'a Member) -> Absence {
        let guard = self.guards(&member.guards);
        if let Absence::Always(_) = guard {
            return guard;
        }
        let value = self.value_absence(&member.value);
        Absence::any(&[guard, value])
    }

    fn guards(&self, guards: &[Condition]) -> Absence {
        let of = |guard: &Condition| {
            let columns = guard.columns();
            let Some(first) = columns.first() else { return Absence::No };
            self.look.condition(first.span, &condition(guard)).map(|reason| {
                let empty: Vec<Absence> = columns.iter().map(|column| self.column(column)).collect();
                match joined(&empty) {
                    Some(empty) => format!("{reason} ({empty})"),
                    None => reason.to_owned(),
                }
            })
        };
        Absence::any(&guards.iter().map(of).collect::<Vec<_>>())
    }

    /// Rules 3 and 6: the head, what FHIR requires, and otherwise whatever depends on the row.
    fn object_absence(&mut self, object: &'a Object) -> Absence {
        let absences: Vec<Absence> = object.members.iter().map(|member| self.member_absence(member)).collect();
        let of = |wanted: &dyn Fn(&Member) -> bool| -> Vec<Absence> {
            let pairs = object.members.iter().zip(&absences);
            pairs.filter(|(member, _)| wanted(member)).map(|(_, absence)| absence.clone()).collect()
        };
        let heads = heads(&object.type_path);
        let headed = Absence::all(&of(&|member| heads.contains(&member.element.as_str())));
        if let Absence::Always(reason) = headed {
            let name = object.members.iter().find(|member| heads.contains(&member.element.as_str()));
            let name = name.map_or("", |member| member.name.as_str());
            return Absence::Always(format!("its head `{name}` is empty: {reason}"));
        }
        let mut parts = vec![headed];
        for element in elements(&object.type_path).iter().filter(|element| element.min > 0) {
            let missing = Absence::all(&of(&|member| member.element == element.name));
            parts.push(missing.map(|reason| format!("FHIR requires `{}`: {reason}", element.name)));
        }
        if !object.members.iter().any(|member| heads.contains(&member.element.as_str())) {
            parts.push(Absence::all(&of(&depends)));
        }
        Absence::any(&parts)
    }

    /// The rows of a list, and its name.
    fn list(&self, over: &Over) -> (Level, String) {
        match over {
            Over::List(at) => {
                let (mut rows, mut lists): (String, &[List]) = (self.mapping.name.clone(), &self.mapping.header.lists);
                let mut name = String::new();
                for list in at.iter().map_while(|at| lists.get(*at).inspect(|list| lists = &list.lists)) {
                    name.clone_from(&list.name.text);
                    let _ = write!(rows, "/{name}");
                }
                (Level::Rows(rows), name)
            }
            Over::Column(column) => {
                let level = self.levels.iter().rev().nth(column.up.into());
                let rows = match level {
                    Some(Level::Rows(rows)) => rows.clone(),
                    _ => String::new(),
                };
                let path = std::iter::once(&column.name).chain(&column.json).cloned().collect();
                (Level::Items(rows, path), format!("${}", written_name(column)))
            }
        }
    }
}

fn joined(absences: &[Absence]) -> Option<String> {
    let mut reasons: Vec<&str> = absences.iter().filter_map(Absence::reason).collect();
    reasons.dedup();
    (!reasons.is_empty()).then(|| reasons.join(", "))
}

/// Whether anything of the row takes part in a member.
fn depends(member: &Member) -> bool {
    fn value(of: &Value) -> bool {
        match of {
            Value::Leaf(leaf) => match &leaf.expr {
                Expr::Constant(_) => false,
                Expr::Column(_) => true,
                Expr::Text(text) => text.parts.iter().any(|part| !matches!(part, Part::Literal(_))),
            },
            Value::Object(object) => object.members.iter().any(depends),
            Value::List(items) => items.iter().any(|item| {
                !item.guards.is_empty()
                    || match &item.kind {
                        ItemKind::One(one) => value(one),
                        ItemKind::Each { .. } => true,
                    }
            }),
        }
    }
    !member.guards.is_empty() || value(&member.value)
}

/// The columns a part of a text cannot do without.
fn needed(part: &Part) -> Vec<&ColumnRef> {
    match part {
        Part::Column(column) | Part::Apply(_, column) => vec![column],
        Part::Uuid { args, .. } | Part::Sha256(args) => args.iter().filter_map(arg_column).collect(),
        Part::Render { required, .. } => required.iter().collect(),
        Part::Literal(_) | Part::When { .. } => Vec::new(),
    }
}

fn arg_column(arg: &Arg) -> Option<&ColumnRef> {
    match arg {
        Arg::Column(column) => Some(column),
        Arg::Literal(_) => None,
    }
}

fn written_name(column: &ColumnRef) -> String {
    let mut name = format!("{}{}", "../".repeat(column.up.into()), column.name);
    for step in &column.json {
        name.push('.');
        name.push_str(step);
    }
    name
}

fn part_columns(parts: &[Part], columns: &mut Vec<String>) {
    for part in parts {
        let named: Vec<&ColumnRef> = match part {
            Part::Render { columns: named, .. } => named.iter().collect(),
            Part::When { then, otherwise, .. } => {
                part_columns(then, columns);
                part_columns(otherwise, columns);
                continue;
            }
            part => needed(part),
        };
        for name in named.into_iter().map(written_name) {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
    }
}
