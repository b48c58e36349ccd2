//! Who is in a Group (§2.10): rows of group key and patient key, from `members:` or from `member.entity`.

use super::bind::from_item;
use super::catalog::Catalog;
use super::filter::cast_name;
use super::select::{Filter, Param, Statement, quote_ident, quote_literal};
use crate::mapping::tree::{
    Arg, ColumnRef, Expr, Item, ItemKind, List, Mapping, Name, Over, Pack, Refers, Rows, Text, Value,
};
use crate::row::PgKind;

/// A column of member rows, and its type.
type Column<'a> = (&'a str, &'a PgKind);

/// The rows that say who is in the groups of one mapping.
#[derive(Debug, Clone)]
pub struct Membership<'a> {
    rows: &'a Rows,
    group: Column<'a>,
    patient: Column<'a>,
    /// The key of a group whose members are members too.
    inner: Option<Column<'a>>,
    joined: Option<Column<'a>>,
    start: Option<Column<'a>>,
    end: Option<Column<'a>>,
    inactive: Option<Column<'a>>,
    zone: &'a str,
    /// The Patient mapping whose key `patient` holds.
    pub mapping: &'a str,
}

/// One group, at one time.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The text of its key.
    pub group: &'a str,
    /// When, as `timestamptz` text; now without one.
    pub at: Option<&'a str>,
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
    let members = header.members.as_ref();
    let (rows, source, parent, patient, target) = if let Some(members) = members {
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
    let column = |name: &'a str| {
        let found = columns.column(name).map(|(_, column)| (name, &column.kind));
        found.ok_or("its member rows lack a column")
    };
    let named = |name: Option<&'a Name>| name.map(|name| column(&name.text)).transpose();
    Ok(Membership {
        rows,
        group: column(&group.text)?,
        patient: column(patient)?,
        inner: named(members.and_then(|members| members.group.as_ref()))?,
        // Whoever is in it from some day on has joined on that day.
        joined: named(members.and_then(|members| members.joined.as_ref().or(members.start.as_ref())))?,
        start: named(members.and_then(|members| members.start.as_ref()))?,
        end: named(members.and_then(|members| members.end.as_ref()))?,
        inactive: named(members.and_then(|members| members.inactive.as_ref()))?,
        zone: pack.project.zone(),
        mapping: target,
    })
}

impl Membership<'_> {
    /// Narrows a filter to rows whose `column` holds the key of a member: a semijoin, however many members there are.
    pub fn narrow(&self, filter: &mut Filter, column: &(String, PgKind), asked: Asked<'_>) {
        let patient = self.patient(&column.1);
        let members = self.select(&mut filter.params, &patient, asked, "");
        filter.conditions.push(format!("q.{} in ({members})", quote_ident(&column.0)));
    }

    /// Reads the keys (as text) of the members who joined after `since` (K-37): one `text` per row; none where nobody
    /// knows when that was. A member without such a time has been one for ever.
    ///
    /// They are read before they are asked for, since a condition `… or q.key in (select …)` is no join.
    pub fn newcomers(&self, asked: Asked<'_>, since: &str) -> Option<Statement> {
        let joined = format!("coalesce({}, '-infinity')", self.joined_at()?);
        let patient = format!("m.{}", quote_ident(self.patient.0));
        let mut params = vec![Param::Text(since.to_owned())];
        // Who is in it twice joined when the first time was.
        let having = format!(" group by {patient} having min({joined}) > $1::text::timestamptz");
        let text = self.select(&mut params, &format!("{patient}::text"), asked, &having);
        Some(Statement { text, params })
    }

    /// Reads which of these patients' keys (as text) are in the group: one `text` per row.
    pub fn among(&self, asked: Asked<'_>, keys: Vec<String>) -> Statement {
        let patient = format!("m.{}", quote_ident(self.patient.0));
        let mut params = vec![Param::TextArray(keys.into())];
        let among = format!(" and {patient} = any($1::text[]::{}[])", cast_name(self.patient.1));
        let text = self.select(&mut params, &format!("distinct {patient}::text"), asked, &among);
        Statement { text, params }
    }

    /// The patient's key, of the type of a column.
    fn patient(&self, kind: &PgKind) -> String {
        let patient = format!("m.{}", quote_ident(self.patient.0));
        if self.patient.1 == kind { patient } else { format!("{patient}::{}", cast_name(kind)) }
    }

    /// Selects `what` of the member rows `m`, which end in `rest`. UNION ends a circle of groups: those in it are the
    /// same, and of times of joining there are so many.
    fn select(&self, params: &mut Vec<Param>, what: &str, asked: Asked<'_>, rest: &str) -> String {
        let mut param = |text: &str| {
            params.push(Param::Text(text.to_owned()));
            format!("${}", params.len())
        };
        let group = format!("{}::text::{}", param(asked.group), cast_name(self.group.1));
        let timed = self.start.is_some() || self.end.is_some();
        let at = asked.at.filter(|_| timed).map(|at| format!("{}::text::timestamptz", param(at)));
        let current = self.current(at.as_deref().unwrap_or("now()"));
        let (rows, parent) = (from_item(self.rows, "m"), format!("m.{}", quote_ident(self.group.0)));
        let Some((inner, _)) = self.inner else {
            return format!("select {what} from {rows} where {parent} = {group}{current}{rest}");
        };
        // The name is none that the rows' own statement can mean.
        let reach = "\"smelt: groups in it\"";
        let inner = format!("m.{}", quote_ident(inner));
        let joined = self.joined_at().unwrap_or_else(|| "null::timestamptz".to_owned());
        let patient = quote_ident(self.patient.0);
        format!(
            "with recursive {reach} as (select {group} as part, null::timestamptz as joined \
             union select {inner}::{kind}, {joined} from {reach} g join {rows} on {parent} = g.part \
             where {inner} is not null{current}) \
             select {what} from {reach} g join {rows} on {parent} = g.part \
             where m.{patient} is not null{current}{rest}",
            kind = cast_name(self.group.1),
        )
    }

    /// When a member row's patient joined, in terms of `m`; through other groups, the last time that was needed.
    fn joined_at(&self) -> Option<String> {
        // A date may mean the end of its day: who joins then has joined after any time on it.
        let joined = self.joined.map(|column| self.instant(column, true))?;
        Some(if self.inner.is_some() { format!("greatest(g.joined, {joined})") } else { joined })
    }

    /// That a member row counts at a time.
    fn current(&self, at: &str) -> String {
        let mut all = Vec::new();
        let column = |(name, _): Column<'_>| format!("m.{}", quote_ident(name));
        if let Some(inactive) = self.inactive {
            all.push(format!(" and {} is not true", column(inactive)));
        }
        if let Some(start) = self.start {
            all.push(format!(" and ({} <= {at} or {} is null)", self.instant(start, false), column(start)));
        }
        if let Some(end) = self.end {
            // The end of a period is a part of it.
            all.push(format!(" and ({} >= {at} or {} is null)", self.instant(end, true), column(end)));
        }
        all.concat()
    }

    /// A time column as `timestamptz`; of a date the first instant, or `late` one of the next day.
    fn instant(&self, (name, kind): Column<'_>, late: bool) -> String {
        let (column, zone) = (format!("m.{}", quote_ident(name)), quote_literal(self.zone));
        match kind {
            PgKind::Date if late => format!("(({column} + 1)::timestamp at time zone {zone})"),
            PgKind::Date => format!("({column}::timestamp at time zone {zone})"),
            PgKind::Timestamp => format!("({column} at time zone {zone})"),
            _ => column,
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
