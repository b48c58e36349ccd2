//! Who is in a Group (§2.10): rows of group key and patient key, from `members:` or from `member.entity`.

use super::bind::from_item;
use super::catalog::Catalog;
use super::filter::cast_name;
use super::select::{Filter, Param, Statement, quote_ident};
use crate::mapping::tree::{
    Arg, ColumnRef, Expr, Item, ItemKind, List, Mapping, Over, Pack, Refers, Rows, Text, Value,
};
use crate::row::PgKind;

/// The rows that say who is in the groups of one mapping.
#[derive(Debug, Clone)]
pub struct Membership<'a> {
    rows: &'a Rows,
    group: (&'a str, &'a PgKind),
    patient: (&'a str, &'a PgKind),
    /// The Patient mapping whose key `patient` holds.
    pub mapping: &'a str,
}

/// Who is in the groups that `mapping` makes.
///
/// # Errors
///
/// Why that cannot be said.
pub fn membership<'a>(
    pack: &'a Pack,
    mapping: &'a Mapping,
    catalog: &'a Catalog,
) -> Result<Membership<'a>, &'static str> {
    let header = &mapping.header;
    let (rows, source, parent, patient, target) = if let Some(members) = &header.members {
        let mut targets = pack.mappings.iter().filter(|mapping| mapping.resource_type == "Patient");
        let (Some(target), None) = (targets.next(), targets.next()) else {
            return Err("`members:` holds keys of patients, and not exactly one mapping makes Patient");
        };
        let source = format!("{}#members", mapping.name);
        (&members.rows, source, &members.parent, members.patient.text.as_str(), target.name.as_str())
    } else {
        let (list, patient, target) = derived(pack, mapping)?;
        (&list.rows, format!("{}/{}", mapping.name, list.name.text), &list.parent, patient, target)
    };
    let [group] = parent.as_slice() else { return Err("the key of a group has several columns") };
    let columns = catalog.rows.get(&source).ok_or("its member rows are not known")?;
    let group = group.text.as_str();
    let kind = |name: &str| columns.column(name).map(|(_, column)| &column.kind);
    let (Some(group_kind), Some(patient_kind)) = (kind(group), kind(patient)) else {
        return Err("its member rows lack a column");
    };
    Ok(Membership { rows, group: (group, group_kind), patient: (patient, patient_kind), mapping: target })
}

impl Membership<'_> {
    /// Narrows a filter to rows whose `column` holds the key of a member of the group with this key (its text): a
    /// semijoin, however many members there are.
    pub fn narrow(&self, filter: &mut Filter, (column, kind): &(String, PgKind), group: &str) {
        let mut patient = format!("m.{}", quote_ident(self.patient.0));
        if self.patient.1 != kind {
            patient = format!("{patient}::{}", cast_name(kind));
        }
        let group = filter.param(Param::Text(group.to_owned()));
        filter.conditions.push(format!(
            "q.{} in (select {patient} from {} where m.{} = {group}::text::{})",
            quote_ident(column),
            from_item(self.rows, "m"),
            quote_ident(self.group.0),
            cast_name(self.group.1)
        ));
    }

    /// Reads which of these patients' keys (as text) are in the group: one `text` per row.
    pub fn among(&self, group: &str, keys: Vec<String>) -> Statement {
        let patient = format!("m.{}", quote_ident(self.patient.0));
        Statement {
            text: format!(
                "select distinct {patient}::text from {} where m.{} = $1::text::{} and {patient} = any($2::text[]::{}[])",
                from_item(self.rows, "m"),
                quote_ident(self.group.0),
                cast_name(self.group.1),
                cast_name(self.patient.1)
            ),
            params: vec![Param::Text(group.to_owned()), Param::TextArray(keys)],
        }
    }

    /// Counts the members of a group: one `bigint`.
    pub fn count(&self, group: &str) -> Statement {
        Statement {
            text: format!(
                "select count(distinct m.{}) from {} where m.{} = $1::text::{}",
                quote_ident(self.patient.0),
                from_item(self.rows, "m"),
                quote_ident(self.group.0),
                cast_name(self.group.1)
            ),
            params: vec![Param::Text(group.to_owned())],
        }
    }
}

/// The list behind `member: [{$each list: {entity: patient(column)}}]`, its column, and the Patient mapping.
fn derived<'a>(pack: &'a Pack, mapping: &'a Mapping) -> Result<(&'a List, &'a str, &'a str), &'static str> {
    const NONE: &str = "it has neither `members:` nor a list of patients as `member.entity`";
    let items = mapping.root.members.iter().find_map(|member| match &member.value {
        Value::List(items) if member.name == "member" => Some(items.as_slice()),
        _ => None,
    });
    let Some([Item { guards, kind: ItemKind::Each { over: Over::List(path), body, .. } }]) = items else {
        return Err(NONE);
    };
    let ([number], Value::Object(body)) = (path.as_slice(), body.as_ref()) else { return Err(NONE) };
    // Who has left stands in such a list too, and only SQL can tell.
    if !guards.is_empty() || body.members.iter().any(|member| member.name != "entity" || !member.guards.is_empty()) {
        return Err("its members have conditions or periods; `members:` can say who is in it now");
    }
    let list = mapping.header.lists.get(*number).ok_or(NONE)?;
    let refers = body.members.iter().find_map(|member| target(&member.value)).ok_or(NONE)?;
    let patient = pack.mappings.iter().any(|found| found.name == refers.mapping && found.resource_type == "Patient");
    match refers.args.as_slice() {
        [Arg::Column(ColumnRef { up: 0, name, json, .. })] if patient && json.is_empty() => {
            Ok((list, name, &refers.mapping))
        }
        _ => Err(NONE),
    }
}

/// What a reference object points to.
fn target(value: &Value) -> Option<&Refers> {
    let Value::Object(object) = value else { return None };
    object.members.iter().find_map(|member| match &member.value {
        Value::Leaf(leaf) if member.name == "reference" => match &leaf.expr {
            Expr::Text(Text { refers, .. }) => refers.as_ref(),
            _ => None,
        },
        _ => None,
    })
}
