//! Why a resource looks as it does: each element of a mapping beside where its value comes from, and, for what is
//! not in the resource, what it depends on. Pure: the checked tree and one resource, no row.

use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::mapping::source::Sources;
use crate::mapping::tree::{
    Arg, ColumnRef, Expr, Item, ItemKind, Leaf, Mapping, Member, Object, Over, Pack, Part, Value,
};

/// One line per element: path, `=` or `-` (left out), and its origin.
pub fn why(pack: &Pack, sources: &Sources, mapping: &Mapping, resource: &Json) -> String {
    let mut lines = Lines { pack, sources, rows: Vec::new() };
    lines.object(&mapping.root, &mapping.resource_type, &[resource]);
    let width = lines.rows.iter().map(|(path, ..)| path.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (path, written, origin) in lines.rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {path:<width$}  {origin}", if written { '=' } else { '-' });
    }
    text
}

struct Lines<'a> {
    pack: &'a Pack,
    sources: &'a Sources,
    rows: Vec<(String, bool, String)>,
}

impl Lines<'_> {
    /// `found` are the places of the resource where this object may stand: several below a list.
    fn object(&mut self, object: &Object, path: &str, found: &[&Json]) {
        for member in &object.members {
            let below: Vec<&Json> = found.iter().filter_map(|json| json.get(&member.name)).collect();
            self.member(member, object, &format!("{path}.{}", member.name), &below, found);
        }
    }

    fn member(&mut self, member: &Member, object: &Object, path: &str, below: &[&Json], around: &[&Json]) {
        let mut conditions = Vec::new();
        if !member.guards.is_empty() {
            conditions.push("its $if is true".to_owned());
        }
        if below.is_empty() && member.choice.is_some() {
            let taken = object.members.iter().find(|other| {
                other.choice == member.choice
                    && other.name != member.name
                    && around.iter().any(|json| json.get(&other.name).is_some())
            });
            if let Some(taken) = taken {
                let origin = format!("left out: the choice is `{}`, which stands before it", taken.name);
                self.rows.push((path.to_owned(), false, origin));
                return;
            }
        }
        self.value(&member.value, path, below, &conditions);
    }

    fn value(&mut self, value: &Value, path: &str, found: &[&Json], conditions: &[String]) {
        match value {
            Value::Leaf(leaf) => self.leaf(leaf, path, !found.is_empty(), conditions),
            Value::Object(object) if found.is_empty() => {
                let mut columns = Vec::new();
                object_columns(object, &mut columns);
                let mut needs = conditions.to_vec();
                needs.push(if columns.is_empty() {
                    "something in it".to_owned()
                } else {
                    format!("something in it, from {}", columns.join(", "))
                });
                self.rows.push((path.to_owned(), false, format!("left out: it needs that {}", needs.join(" and "))));
            }
            Value::Object(object) => self.object(object, path, found),
            Value::List(items) => {
                let inner: Vec<&Json> = found.iter().filter_map(|json| json.as_array()).flatten().collect();
                for Item { guards, kind } in items {
                    let mut conditions = conditions.to_vec();
                    if !guards.is_empty() {
                        conditions.push("its $if is true".to_owned());
                    }
                    match kind {
                        ItemKind::One(value) => self.value(value, &format!("{path}[]"), &inner, &conditions),
                        ItemKind::Each { over, body, span } => {
                            let name = match over {
                                Over::List(_) => self.sources.slice(*span).to_owned(),
                                Over::Column(column) => format!("${}", column.name),
                            };
                            conditions.push(format!("list {name} has a row for it"));
                            self.value(body, &format!("{path}[{name}]"), &inner, &conditions);
                        }
                    }
                }
            }
        }
    }

    fn leaf(&mut self, leaf: &Leaf, path: &str, written: bool, conditions: &[String]) {
        let origin = match &leaf.expr {
            Expr::Constant(_) => "constant".to_owned(),
            Expr::Column(expr) => {
                let mut terms: Vec<String> = expr
                    .terms
                    .iter()
                    .map(|term| {
                        let map = term.via.and_then(|id| self.pack.code_maps.get(id.0));
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
        };
        if written {
            self.rows.push((path.to_owned(), true, origin));
            return;
        }
        let mut needs = conditions.to_vec();
        if !matches!(leaf.expr, Expr::Constant(_)) {
            needs.push(format!("{origin} is not empty"));
        }
        let why = if needs.is_empty() { "the object around it is left out".to_owned() } else { needs.join(" and ") };
        self.rows.push((path.to_owned(), false, format!("left out: it needs that {why}")));
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

fn add(column: &ColumnRef, columns: &mut Vec<String>) {
    let name = written_name(column);
    if !columns.contains(&name) {
        columns.push(name);
    }
}

fn part_columns(parts: &[Part], columns: &mut Vec<String>) {
    for part in parts {
        match part {
            Part::Column(column) | Part::Apply(_, column) => add(column, columns),
            Part::Uuid { args, .. } | Part::Sha256(args) => {
                for arg in args {
                    if let Arg::Column(column) = arg {
                        add(column, columns);
                    }
                }
            }
            Part::Render { columns: named, .. } => named.iter().for_each(|column| add(column, columns)),
            Part::When { then, otherwise, .. } => {
                part_columns(then, columns);
                part_columns(otherwise, columns);
            }
            Part::Literal(_) => {}
        }
    }
}

fn object_columns(object: &Object, columns: &mut Vec<String>) {
    for member in &object.members {
        value_columns(&member.value, columns);
    }
}

fn value_columns(value: &Value, columns: &mut Vec<String>) {
    match value {
        Value::Leaf(leaf) => match &leaf.expr {
            Expr::Constant(_) => {}
            Expr::Column(expr) => expr.terms.iter().for_each(|term| add(&term.column, columns)),
            Expr::Text(text) => part_columns(&text.parts, columns),
        },
        Value::Object(object) => object_columns(object, columns),
        Value::List(items) => {
            for item in items {
                match &item.kind {
                    ItemKind::One(value) => value_columns(value, columns),
                    ItemKind::Each { body, .. } => value_columns(body, columns),
                }
            }
        }
    }
}
