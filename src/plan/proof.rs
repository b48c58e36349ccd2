//! Statements that prove things about the data inside an export's snapshot: ids are unique, references resolve.

use super::bind::from_item;
use super::select::{Filter, Param, Statement, quote_ident, quote_literal};
use crate::mapping::tree::{
    Arg, ColumnRef, CompareOp, Condition, Expr, ItemKind, Mapping, Object, Operand, Over, Pack, Part, Refers, Rows,
    Text, Value,
};

/// Reads the key of the driving rows, and nothing else: its plan shows what can repeat a row.
pub fn keys_only(mapping: &Mapping) -> Statement {
    let key: Vec<String> = mapping.header.key.iter().map(|name| format!("q.{}", quote_ident(&name.text))).collect();
    let from = from_item(&mapping.header.rows, "q");
    Statement { text: format!("select {} from {from}", key.join(", ")), params: Vec::new() }
}

/// Counts the keys that occur more than once among the driving rows, and the rows with a NULL in theirs: such a row has
/// no id and is rejected, so it repeats nothing.
///
/// One row of two `bigint`: keys that repeat, rows whose key is not whole.
pub fn repeated_keys(mapping: &Mapping) -> Statement {
    let from = from_item(&mapping.header.rows, "q");
    let key: Vec<String> = mapping.header.key.iter().map(|name| format!("q.{}", quote_ident(&name.text))).collect();
    let whole: Vec<String> = key.iter().map(|column| format!("{column} is not null")).collect();
    let (key, whole) = (key.join(", "), whole.join(" and "));
    Statement {
        text: format!(
            "select count(*) filter (where whole and n > 1), coalesce(sum(n) filter (where not whole), 0)::bigint from \
             (select count(*) as n, {whole} as whole from {from} group by {key}) k"
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
            Part::Literal(text) => parts.push(quote_literal(text)),
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
    let mut search = Search { mapping, lists: Vec::new(), guards: Vec::new(), found: Vec::new() };
    search.object(&mapping.root, &mapping.resource_type);
    let mut checks: Vec<ReferenceCheck> = Vec::new();
    for Reference { path, refers, list, guards } in search.found {
        let Some(target) = pack.mappings.iter().find(|target| target.name == refers.mapping) else { continue };
        if !exported.contains(&refers.mapping.as_str()) {
            continue;
        }
        let (from, mut conditions, params) = match list {
            None => (from_item(&mapping.header.rows, "q"), filter.conditions.clone(), filter.params.clone()),
            Some(rows) => (from_item(rows, "q"), Vec::new(), Vec::<Param>::new()),
        };
        let guards: Option<Vec<String>> = guards.into_iter().map(condition_sql).collect();
        // A condition that looks elsewhere is left out: more rows are asked about, and a count errs upward.
        conditions.extend(guards.unwrap_or_default());
        let mut equal = Vec::new();
        let columns: Option<Vec<String>> = refers
            .args
            .iter()
            .map(|arg| match arg {
                Arg::Column(ColumnRef { up: 0, name, json, .. }) if json.is_empty() => {
                    Some(format!("q.{}", quote_ident(name)))
                }
                Arg::Literal(text) => Some(quote_literal(text)),
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

/// A reference in the tree: its path, the rows it stands in (a list's, or the driving ones) and the `$if`s around it
/// that speak about those rows.
struct Reference<'a> {
    path: String,
    refers: &'a Refers,
    list: Option<&'a Rows>,
    guards: Vec<&'a Condition>,
}

/// Finds references.
struct Search<'a> {
    mapping: &'a Mapping,
    lists: Vec<&'a Rows>,
    guards: Vec<&'a Condition>,
    found: Vec<Reference<'a>>,
}

impl<'a> Search<'a> {
    fn object(&mut self, object: &'a Object, path: &str) {
        for member in &object.members {
            let before = self.guards.len();
            self.guards.extend(&member.guards);
            self.value(&member.value, &format!("{path}.{}", member.name));
            self.guards.truncate(before);
        }
    }

    fn value(&mut self, value: &'a Value, path: &str) {
        match value {
            Value::Leaf(leaf) => {
                if let Expr::Text(Text { refers: Some(refers), .. }) = &leaf.expr {
                    self.found.push(Reference {
                        path: path.strip_suffix(".reference").unwrap_or(path).to_owned(),
                        refers,
                        list: self.lists.last().copied(),
                        guards: self.guards.clone(),
                    });
                }
            }
            Value::Object(object) => self.object(object, path),
            Value::List(items) => {
                for item in items {
                    let before = self.guards.len();
                    self.guards.extend(&item.guards);
                    match &item.kind {
                        ItemKind::One(value) => self.value(value, path),
                        ItemKind::Each { over: Over::List(at), body, .. } => {
                            if let Some(list) = super::columns::list_at(&self.mapping.header.lists, at) {
                                // Conditions outside speak about other rows.
                                let outside = std::mem::take(&mut self.guards);
                                self.lists.push(&list.rows);
                                self.value(body, path);
                                self.lists.pop();
                                self.guards = outside;
                            }
                        }
                        ItemKind::Each { .. } => {}
                    }
                    self.guards.truncate(before);
                }
            }
        }
    }
}

/// A condition in SQL over alias `q`; `None` when it looks beyond these rows.
fn condition_sql(condition: &Condition) -> Option<String> {
    let all = |parts: &[Condition], word: &str| -> Option<String> {
        let parts: Option<Vec<String>> = parts.iter().map(condition_sql).collect();
        Some(format!("({})", parts?.join(word)))
    };
    let column = |column: &ColumnRef| {
        (column.up == 0 && column.json.is_empty()).then(|| format!("q.{}", quote_ident(&column.name)))
    };
    let operand = |operand: &Operand| match operand {
        Operand::Column(name) => column(name),
        Operand::Text(text) => Some(quote_literal(text)),
        Operand::Number(digits) => Some(digits.clone()),
        Operand::Bool(value) => Some(value.to_string()),
    };
    Some(match condition {
        Condition::And(parts) => all(parts, " and ")?,
        Condition::Or(parts) => all(parts, " or ")?,
        Condition::Not(part) => format!("not {}", condition_sql(part)?),
        Condition::IsNull { operand: what, negated } => {
            format!("({} is {}null)", operand(what)?, if *negated { "not " } else { "" })
        }
        Condition::In { operand: what, list, negated } => {
            let list: Option<Vec<String>> = list.iter().map(operand).collect();
            format!("({} {}in ({}))", operand(what)?, if *negated { "not " } else { "" }, list?.join(", "))
        }
        Condition::Compare { left, op, right } => {
            let op = match op {
                CompareOp::Eq => "=",
                CompareOp::Ne => "<>",
                CompareOp::Lt => "<",
                CompareOp::Le => "<=",
                CompareOp::Gt => ">",
                CompareOp::Ge => ">=",
            };
            format!("({} {op} {})", operand(left)?, operand(right)?)
        }
        Condition::Truthy(name) => format!("({} is true)", column(name)?),
    })
}
