//! Statements that prove things about the data inside an export's snapshot: ids are unique, references resolve.

use super::bind::from_item;
use super::select::{Filter, Param, Statement, quote_ident};
use crate::mapping::tree::{
    Arg, ColumnRef, Expr, ItemKind, Mapping, Object, Pack, Part, Refers, RowsKind, Text, Value,
};

/// Counts the keys that occur more than once among the driving rows, and those with a NULL.
///
/// One row of two `bigint`: keys that repeat, rows whose key is not whole.
pub fn repeated_keys(mapping: &Mapping) -> Statement {
    let from = from_item(&mapping.header.rows, "q");
    let key: Vec<String> = mapping.header.key.iter().map(|name| format!("q.{}", quote_ident(&name.text))).collect();
    let nulls: Vec<String> = key.iter().map(|column| format!("{column} is null")).collect();
    let (key, nulls) = (key.join(", "), nulls.join(" or "));
    Statement {
        text: format!(
            "select count(*) filter (where n > 1), coalesce(sum(n) filter (where incomplete), 0)::bigint from \
             (select count(*) as n, bool_or({nulls}) as incomplete from {from} group by {key}) k"
        ),
        params: Vec::new(),
    }
}

/// A statement that reads the ids of a type's rows as text, where SQL can write them as the engine does: literal text
/// and integer, uuid or text columns.
fn id_sql(mapping: &Mapping) -> Option<String> {
    let mut parts = Vec::new();
    for part in &mapping.id.parts {
        match part {
            Part::Literal(text) => parts.push(super::select::quote_literal(text)),
            Part::Column(column) if column.json.is_empty() => {
                parts.push(format!("q.{}::text", quote_ident(&column.name)));
            }
            _ => return None,
        }
    }
    Some(parts.join(" || "))
}

/// What says that two mappings of one type never make the same id.
#[derive(Debug, Clone, PartialEq)]
pub enum Disjoint {
    /// Their ids begin differently, or are hashed in different spaces.
    BySpace,
    /// This statement counts the ids they share.
    Ask(Statement),
    /// Neither can be said.
    Unknown,
}

/// Compares the id spaces of two mappings of one type.
pub fn disjoint(left: &Mapping, right: &Mapping) -> Disjoint {
    let space = |mapping: &Mapping| match mapping.id.parts.as_slice() {
        [Part::Uuid { namespace, .. }] => Some(*namespace),
        _ => None,
    };
    if let (Some(left), Some(right)) = (space(left), space(right))
        && left != right
    {
        return Disjoint::BySpace;
    }
    let prefix = |mapping: &Mapping| match mapping.id.parts.first() {
        Some(Part::Literal(text)) => text.clone(),
        _ => String::new(),
    };
    let (one, other) = (prefix(left), prefix(right));
    if !one.is_empty() && !other.is_empty() && !one.starts_with(&other) && !other.starts_with(&one) {
        return Disjoint::BySpace;
    }
    match (id_sql(left), id_sql(right)) {
        (Some(one), Some(other)) => Disjoint::Ask(Statement {
            text: format!(
                "select count(*) from (select {one} from {} intersect select {other} from {}) both_make",
                from_item(&left.header.rows, "q"),
                from_item(&right.header.rows, "q"),
            ),
            params: Vec::new(),
        }),
        // A UUID that SQL cannot write collides with another id only by chance in 2^122.
        _ if space(left).is_some() || space(right).is_some() => Disjoint::BySpace,
        _ => Disjoint::Unknown,
    }
}

/// A reference of a mapping, as a question to the database.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceCheck {
    /// FHIR path of the reference.
    pub path: String,
    /// The mapping it points to.
    pub target: String,
    /// Counts the rows that point to a row which is not there: one `bigint`.
    pub statement: Statement,
}

/// One check per reference of `mapping` that points to a mapping in `exported`; those inside lists read the list.
pub fn reference_checks(pack: &Pack, mapping: &Mapping, exported: &[&str], filter: &Filter) -> Vec<ReferenceCheck> {
    let mut found = Vec::new();
    collect(&mapping.root, &mapping.resource_type, &mut Vec::new(), mapping, &mut found);
    let mut checks: Vec<ReferenceCheck> = Vec::new();
    for (path, refers, list) in found {
        let Some(target) = pack.mappings.iter().find(|target| target.name == refers.mapping) else { continue };
        if !exported.contains(&refers.mapping.as_str()) {
            continue;
        }
        let (from, mut conditions, params) = match list {
            None => (from_item(&mapping.header.rows, "q"), filter.conditions.clone(), filter.params.clone()),
            Some(rows) => (from_item(rows, "q"), Vec::new(), Vec::<Param>::new()),
        };
        let mut equal = Vec::new();
        let columns: Option<Vec<String>> = refers
            .args
            .iter()
            .map(|arg| match arg {
                Arg::Column(ColumnRef { up: 0, name, json, .. }) if json.is_empty() => {
                    Some(format!("q.{}", quote_ident(name)))
                }
                Arg::Literal(text) => Some(super::select::quote_literal(text)),
                Arg::Column(_) => None,
            })
            .collect();
        let Some(columns) = columns else { continue };
        for (column, key) in columns.iter().zip(&target.header.key) {
            conditions.push(format!("{column} is not null"));
            equal.push(format!("t.{} = {column}", quote_ident(&key.text)));
        }
        let text = format!(
            "select count(*) from {from} where {} and not exists (select from {} where {})",
            conditions.join(" and "),
            from_item(&target.header.rows, "t"),
            equal.join(" and "),
        );
        let check = ReferenceCheck { path, target: refers.mapping.clone(), statement: Statement { text, params } };
        if !checks.contains(&check) {
            checks.push(check);
        }
    }
    checks
}

type Found<'a> = (String, &'a Refers, Option<&'a crate::mapping::tree::Rows>);

fn collect<'a>(
    object: &'a Object,
    path: &str,
    lists: &mut Vec<&'a crate::mapping::tree::Rows>,
    mapping: &'a Mapping,
    found: &mut Vec<Found<'a>>,
) {
    for member in &object.members {
        walk(&member.value, &format!("{path}.{}", member.name), lists, mapping, found);
    }
}

fn walk<'a>(
    value: &'a Value,
    path: &str,
    lists: &mut Vec<&'a crate::mapping::tree::Rows>,
    mapping: &'a Mapping,
    found: &mut Vec<Found<'a>>,
) {
    match value {
        Value::Leaf(leaf) => {
            if let Expr::Text(Text { refers: Some(refers), .. }) = &leaf.expr {
                let path = path.strip_suffix(".reference").unwrap_or(path);
                found.push((path.to_owned(), refers, lists.last().copied()));
            }
        }
        Value::Object(object) => collect(object, path, lists, mapping, found),
        Value::List(items) => {
            for item in items {
                match &item.kind {
                    ItemKind::One(value) => walk(value, path, lists, mapping, found),
                    ItemKind::Each { over, body, .. } => {
                        if let crate::mapping::tree::Over::List(at) = over
                            && let Some(list) = super::columns::list_at(&mapping.header.lists, at)
                        {
                            lists.push(&list.rows);
                            walk(body, path, lists, mapping, found);
                            lists.pop();
                        }
                    }
                }
            }
        }
    }
}

/// True when the driving rows are a table, so that its unique constraints hold for them.
pub fn is_table(mapping: &Mapping) -> bool {
    matches!(mapping.header.rows.kind, RowsKind::Table { .. })
}
