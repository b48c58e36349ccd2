//! Whose columns the names at a place are, and how rows of lists come into a condition.

use super::Turned;
use super::condition::Condition;
use crate::mapping::tree::{ColumnRef, Name, Over};
use crate::plan::bind::from_item;
use crate::plan::catalog::RowSource;
use crate::plan::columns::{list_at, list_name, order_of};
use crate::plan::select::{quote_ident, quote_literal};
use crate::row::PgKind;

/// What names are columns of.
#[derive(Clone)]
pub(super) enum Names<'a> {
    /// Rows of the mapping, or of a list at this place of its header.
    Rows { rows: &'a RowSource, alias: String, path: Vec<usize> },
    /// Items of a json array.
    Json { alias: String },
    /// Elements of an array.
    Array { alias: String, of: PgKind },
}

impl Turned<'_> {
    /// A column in SQL, and its type.
    pub(super) fn column(&self, column: &ColumnRef) -> Option<(String, PgKind)> {
        match self.names(column)? {
            Names::Rows { rows, alias, .. } => {
                let (_, found) = rows.column(&column.name)?;
                let raw = format!("{alias}.{}", quote_ident(&column.name));
                match found.kind {
                    _ if column.json.is_empty() => Some((raw, found.kind.clone())),
                    PgKind::Json | PgKind::Jsonb => Some((field(&raw, &column.json), PgKind::Text)),
                    _ => None,
                }
            }
            Names::Json { alias } => {
                let steps: Vec<String> = [&column.name].into_iter().chain(&column.json).cloned().collect();
                Some((field(&format!("{alias}.v"), &steps), PgKind::Text))
            }
            Names::Array { alias, of } => {
                (column.name == "value" && column.json.is_empty()).then(|| (format!("{alias}.v"), of.clone()))
            }
        }
    }

    /// Whether a column is a field of a json array's items.
    pub(super) fn in_json(&self, column: &ColumnRef) -> bool {
        matches!(self.names(column), Some(Names::Json { .. }))
    }

    fn names(&self, column: &ColumnRef) -> Option<&Names<'_>> {
        self.scopes.iter().rev().nth(usize::from(column.up))
    }

    /// That `is` holds of one of the things that are iterated.
    pub(super) fn each(&self, over: &Over, is: &dyn Fn(&Turned<'_>) -> Condition) -> Condition {
        let found = match over {
            Over::List(path) => self.list(path),
            Over::Column(column) => self.elements(column),
        };
        let Some((from, names, tie)) = found else { return Condition::Maybe };
        let mut inner = self.clone();
        inner.scopes.push(names);
        exists(&from, &tie, is(&inner))
    }

    /// That `is` holds of an element of an array.
    pub(super) fn items(&self, array: &str, of: &PgKind, is: &dyn Fn(&str, &PgKind) -> Condition) -> Condition {
        let alias = self.alias();
        exists(&format!("unnest({array}) {alias}(v)"), &[], is(&format!("{alias}.v"), of))
    }

    fn alias(&self) -> String {
        format!("s{}", self.scopes.len())
    }

    /// Rows of a list, and what ties them to the rows around them, as the list's own statement does.
    fn list(&self, path: &[usize]) -> Option<(String, Names<'_>, Vec<String>)> {
        let header = &self.mapping.header;
        let (_, above) = path.split_last()?;
        let Some(Names::Rows { rows: outer, alias: outer_alias, path: here }) = self.scopes.last() else { return None };
        if here != above {
            return None;
        }
        let list = list_at(&header.lists, path)?;
        let rows = self.catalog.rows.get(&list_name(&self.mapping.name, &header.lists, path))?;
        let keys = if above.is_empty() { &header.key } else { &list_at(&header.lists, above)?.key };
        let alias = self.alias();
        let side = |rows: &RowSource, alias: &str, name: &Name| {
            let (_, found) = rows.column(&name.text)?;
            // Below the first level they are joined as they are.
            let plain = || Some(format!("{alias}.{}", quote_ident(&name.text)));
            if above.is_empty() { order_of(alias, &name.text, &found.kind) } else { plain() }
        };
        let pairs = list.parent.iter().zip(keys);
        let tie = pairs
            .map(|(child, key)| Some(format!("{} = {}", side(rows, &alias, child)?, side(outer, outer_alias, key)?)));
        let tie: Vec<String> = tie.collect::<Option<_>>()?;
        Some((from_item(&list.rows, &alias), Names::Rows { rows, alias, path: path.to_vec() }, tie))
    }

    /// Elements of an array, or items of a json array.
    fn elements(&self, column: &ColumnRef) -> Option<(String, Names<'_>, Vec<String>)> {
        let Names::Rows { rows, alias, .. } = self.names(column)? else { return None };
        let (_, found) = rows.column(&column.name)?;
        let raw = format!("{alias}.{}", quote_ident(&column.name));
        let alias = self.alias();
        match &found.kind {
            PgKind::Array(of) if column.json.is_empty() => {
                Some((format!("unnest({raw}) {alias}(v)"), Names::Array { alias, of: (**of).clone() }, Vec::new()))
            }
            PgKind::Json | PgKind::Jsonb => {
                let document = match column.json.as_slice() {
                    [] => format!("{raw}::jsonb"),
                    steps => format!("({raw}::jsonb #> array[{}])", literals(steps)),
                };
                let from = format!(
                    "jsonb_array_elements(case jsonb_typeof({document}) when 'array' then {document} end) {alias}(v)"
                );
                Some((from, Names::Json { alias }, Vec::new()))
            }
            _ => None,
        }
    }
}

fn exists(from: &str, tie: &[String], condition: Condition) -> Condition {
    let tie = tie.iter().fold(String::new(), |text, one| text + one + " and ");
    condition.within(&format!("exists (select from {from} where {tie}"), ")")
}

/// The text at a path of a json document.
fn field(document: &str, steps: &[String]) -> String {
    format!("({document}::jsonb #>> array[{}])", literals(steps))
}

fn literals(steps: &[String]) -> String {
    steps.iter().map(|step| quote_literal(step)).collect::<Vec<_>>().join(",")
}
