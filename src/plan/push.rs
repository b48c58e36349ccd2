//! Searches turned round into SQL: which rows can make a resource that a search finds (§2.10, K-64).
//!
//! A condition made here may let more rows pass than the search finds, never fewer: what it says of a row follows from
//! the mapping and from what the search asks. The resources are asked again when they are made, so the result is the
//! same with it and without; only fewer rows are read.

mod compare;
mod condition;

use jiff::tz::TimeZone;

use self::compare::{Trim, decimal, equal};
use self::condition::{Condition, narrow};
use super::catalog::{Catalog, Column, RowSource};
use super::patients::PlainId;
use super::search::{Ask, Compared, Look, Prefix, QuantityAsk, Step, Target, Test, Token, Wanted};
use super::select::{Filter, Param, quote_ident, quote_literal};
use crate::fhir::instant::Instant;
use crate::fhir::span::covers;
use crate::mapping::tree::{
    Arg, CodeMap, ColumnExpr, ColumnRef, Expr, Fallback, ItemKind, Leaf, Mapping, Object, Pack, Part, Refers, Term,
    Text, Unmapped, Value,
};
use crate::row::PgKind;

/// Microseconds that a bound on a time is moved outwards: no zone is further than a day from another, and no date is
/// longer.
const SLACK: i64 = 2 * 86_400 * 1_000_000;

/// Narrows the rows of `mapping` to those that a search may find. True when that leaves some out.
pub fn push(
    pack: &Pack,
    catalog: &Catalog,
    mapping: &Mapping,
    wanted: &Wanted,
    zone: &str,
    filter: &mut Filter,
) -> bool {
    // Without a search everything is wanted that no rule withholds.
    if wanted.any.is_empty() {
        return false;
    }
    let Some(rows) = catalog.rows.get(&mapping.name) else { return false };
    let Ok(calendar) = TimeZone::get(zone) else { return false };
    let turned = Turned { pack, rows, mapping, zone, calendar };
    let search = |tests: &Vec<Test>| Condition::all(tests.iter().map(|test| turned.test(test)));
    match Condition::any(wanted.any.iter().map(search)) {
        Condition::Maybe => return false,
        Condition::Never => filter.conditions.push("false".to_owned()),
        Condition::Sql(pieces) => narrow(filter, pieces),
    }
    true
}

/// The columns of the rows that one test of a search looks at in SQL, each with whether it is compared as it is, so that
/// an index on it can serve; none when the test leaves no row out.
pub fn turned(
    pack: &Pack,
    catalog: &Catalog,
    mapping: &Mapping,
    test: &Test,
    zone: &str,
) -> Option<Vec<(String, bool)>> {
    let alone = Wanted { any: vec![vec![test.clone()]], none: Vec::new() };
    let mut filter = Filter::default();
    push(pack, catalog, mapping, &alone, zone, &mut filter).then(|| {
        let sql = filter.conditions.concat();
        let named = |column: &Column| {
            let name = format!("q.{}", quote_ident(&column.name));
            sql.contains(&name).then(|| (column.name.clone(), !sql.contains(&format!("btrim({name}"))))
        };
        catalog.rows.get(&mapping.name).into_iter().flat_map(|rows| &rows.columns).filter_map(named).collect()
    })
}

struct Turned<'a> {
    pack: &'a Pack,
    rows: &'a RowSource,
    mapping: &'a Mapping,
    zone: &'a str,
    calendar: TimeZone,
}

impl Turned<'_> {
    fn test(&self, test: &Test) -> Condition {
        let positive = matches!(
            test.ask,
            Ask::Token(_) | Ask::Date(_) | Ask::Number(_) | Ask::Quantity(_) | Ask::Reference(_) | Ask::Uri(_)
        );
        if !positive || test.looks.iter().any(|look| look.presence) {
            return Condition::Maybe;
        }
        // The header knows better where the value stands.
        let mut named = self.mapping.header.search.iter().filter(|(name, _)| name.text == test.code);
        if let Some((_, Some(column))) = named.next() {
            return self.named(&column.text, &test.ask);
        }
        Condition::any(test.looks.iter().map(|look| self.object(&self.mapping.root, &look.steps, look, &test.ask)))
    }

    /// A column that `search:` names: it holds codes without their system, times, numbers, URIs, or ids.
    fn named(&self, column: &str, ask: &Ask) -> Condition {
        let Some((_, found)) = self.rows.column(column) else { return Condition::Maybe };
        let (name, kind) = (format!("q.{}", quote_ident(column)), found.kind.clone());
        match ask {
            Ask::Quantity(asked) => {
                let number = |asked: &QuantityAsk| Compared { prefix: asked.prefix, value: asked.value.clone() };
                Condition::any(asked.iter().map(|asked| decimal(&name, &kind, &number(asked))))
            }
            Ask::Reference(targets) => {
                let id = |target: &Target| match target {
                    Target::Local { id, .. } => equal(&name, &kind, &[id], Trim::Yes),
                    Target::Url(url) => equal(&name, &kind, &[url], Trim::Yes),
                };
                Condition::any(targets.iter().map(id))
            }
            ask => self.compared(&name, &kind, ask),
        }
    }

    fn object(&self, object: &Object, steps: &[Step], look: &Look, ask: &Ask) -> Condition {
        match steps.split_first() {
            None => self.whole(object, look, ask),
            Some((Step::Member(name), rest)) => {
                let members = object.members.iter().filter(|member| member.name == *name);
                Condition::any(members.map(|member| self.value(&member.value, rest, look, ask)))
            }
            Some((Step::Where(..), rest)) => self.object(object, rest, look, ask),
            Some((Step::Extension(_), _)) => Condition::Maybe,
        }
    }

    fn value(&self, value: &Value, steps: &[Step], look: &Look, ask: &Ask) -> Condition {
        match value {
            Value::Object(object) => self.object(object, steps, look, ask),
            Value::Leaf(leaf) if steps.is_empty() => self.leaf(leaf, look, ask),
            Value::Leaf(_) => Condition::Maybe,
            Value::List(items) => Condition::any(items.iter().map(|item| match &item.kind {
                ItemKind::One(value) => self.value(value, steps, look, ask),
                // Its columns are not those of the row.
                ItemKind::Each { .. } => Condition::Maybe,
            })),
        }
    }

    /// An object that is compared as a whole.
    fn whole(&self, object: &Object, look: &Look, ask: &Ask) -> Condition {
        let members = |name: &str| {
            let name = name.to_owned();
            object.members.iter().filter(move |member| member.name == name).map(|member| &member.value)
        };
        match ask {
            Ask::Token(_) if object.type_path == "CodeableConcept" => {
                Condition::any(members("coding").map(|value| self.value(value, &[], look, ask)))
            }
            Ask::Token(tokens) => {
                let code = if object.type_path == "Coding" { "code" } else { "value" };
                Condition::any(tokens.iter().map(|token| {
                    let system = Condition::any(
                        members("system")
                            .map(|value| may_be(value, token.system.as_deref()))
                            // Without a system only a token that asks for none, or for any, is found.
                            .chain(members("system").next().is_none().then(|| {
                                if token.system.as_deref().is_none_or(str::is_empty) {
                                    Condition::Maybe
                                } else {
                                    Condition::Never
                                }
                            })),
                    );
                    let one = Ask::Token(vec![Token { system: None, code: token.code.clone() }]);
                    let code = match token.code {
                        None => Condition::Maybe,
                        Some(_) => Condition::any(members(code).map(|value| self.value(value, &[], look, &one))),
                    };
                    Condition::all([system, code])
                }))
            }
            Ask::Reference(_) => Condition::any(members("reference").map(|value| self.value(value, &[], look, ask))),
            Ask::Date(dates) if object.type_path == "Period" => {
                Condition::any(dates.iter().map(|date| self.period(object, look, date)))
            }
            Ask::Quantity(asked) if object.type_path != "Range" => {
                let number = |asked: &QuantityAsk| {
                    let number = Ask::Number(vec![Compared { prefix: asked.prefix, value: asked.value.clone() }]);
                    Condition::any(members("value").map(|value| self.value(value, &[], look, &number)))
                };
                Condition::any(asked.iter().map(number))
            }
            _ => Condition::Maybe,
        }
    }

    /// A period: an end that is not written reaches as far as time does.
    fn period(&self, period: &Object, look: &Look, date: &Compared) -> Condition {
        let ask = Ask::Date(vec![date.clone()]);
        let ends = |name: &str, open: bool| {
            let written: Vec<&Value> =
                period.members.iter().filter(|member| member.name == name).map(|member| &member.value).collect();
            if open && written.is_empty() {
                return Condition::Maybe;
            }
            let absent = written.iter().filter(|_| open).map(|value| self.absent(value));
            Condition::any(written.iter().map(|value| self.value(value, &[], look, &ask)).chain(absent))
        };
        match date.prefix {
            Prefix::Eq => Condition::all([ends("start", false), ends("end", false)]),
            Prefix::Ne => Condition::Maybe,
            Prefix::Gt | Prefix::Ge => ends("end", true),
            Prefix::Lt | Prefix::Le => ends("start", true),
            Prefix::Sa => ends("start", false),
            Prefix::Eb => ends("end", false),
        }
    }

    /// A time that is not written: there is none, or FHIR has no years for it.
    fn absent(&self, value: &Value) -> Condition {
        let Value::Leaf(Leaf { expr: Expr::Column(ColumnExpr { terms, fallback: None }), .. }) = value else {
            return Condition::Maybe;
        };
        match terms.as_slice() {
            [Term { column, via: None }] => self.own(column).map_or(Condition::Maybe, |(name, _)| {
                Condition::text(format!("({name} is null or {name} not between '0001-01-03' and '9999-12-29')"))
            }),
            _ => Condition::Maybe,
        }
    }

    fn leaf(&self, leaf: &Leaf, look: &Look, ask: &Ask) -> Condition {
        if leaf.list {
            return Condition::Maybe;
        }
        match &leaf.expr {
            Expr::Constant(json) => constant(json, ask),
            Expr::Column(expr) => self.column(expr, ask),
            Expr::Text(text) => match (&text.refers, ask) {
                (Some(refers), Ask::Reference(targets)) => {
                    Condition::any(targets.iter().map(|target| self.reference(refers, target, look)))
                }
                (None, Ask::Token(tokens)) => self.text(text, codes(tokens).as_deref()),
                (None, Ask::Uri(uris)) => self.text(text, Some(&uris.iter().map(String::as_str).collect::<Vec<_>>())),
                _ => Condition::Maybe,
            },
        }
    }

    /// The first column that is not empty: it may be any of them.
    fn column(&self, expr: &ColumnExpr, ask: &Ask) -> Condition {
        let fallback = expr.fallback.iter().map(|json| constant(json, ask));
        Condition::any(expr.terms.iter().map(|term| self.term(term, ask)).chain(fallback))
    }

    fn term(&self, term: &Term, ask: &Ask) -> Condition {
        let Some((name, kind)) = self.own(&term.column) else { return Condition::Maybe };
        if let Some(map) = term.via {
            let map = self.pack.code_maps.get(map.0);
            return match (map, ask) {
                (Some(map), Ask::Token(tokens)) => self.mapped(&name, &kind, map, tokens),
                _ => Condition::Maybe,
            };
        }
        self.compared(&name, &kind, ask)
    }

    /// A column whose value is written as it is.
    fn compared(&self, name: &str, kind: &PgKind, ask: &Ask) -> Condition {
        match ask {
            Ask::Token(tokens) => codes(tokens).map_or(Condition::Maybe, |codes| equal(name, kind, &codes, Trim::Yes)),
            Ask::Uri(uris) => equal(name, kind, &uris.iter().map(String::as_str).collect::<Vec<_>>(), Trim::Yes),
            Ask::Date(dates) => Condition::any(dates.iter().map(|date| self.date(name, kind, date))),
            Ask::Number(numbers) => Condition::any(numbers.iter().map(|number| decimal(name, kind, number))),
            _ => Condition::Maybe,
        }
    }

    /// A column of the rows themselves, quoted, and its type.
    fn own(&self, column: &ColumnRef) -> Option<(String, PgKind)> {
        let (_, found) = self.rows.column(&column.name).filter(|_| column.up == 0 && column.json.is_empty())?;
        Some((format!("q.{}", quote_ident(&column.name)), found.kind.clone()))
    }

    /// Source codes that become one of the tokens.
    fn mapped(&self, name: &str, kind: &PgKind, map: &CodeMap, tokens: &[Token]) -> Condition {
        let is = |target: &crate::mapping::tree::Target| {
            let system = target.system.as_deref().unwrap_or_default();
            tokens.iter().any(|token| {
                // The system may stand beside the map, in the mapping.
                let right = target.system.is_none() || token.system.as_deref().is_none_or(|wanted| wanted == system);
                right && token.code.as_ref().is_none_or(|code| *code == target.code)
            })
        };
        let found = |fallback: &Option<Fallback>| match fallback {
            Some(Fallback::Targets(targets)) => targets.iter().any(is),
            _ => false,
        };
        let same = match &map.other {
            Some(Fallback::Special(special, _)) => *special == Unmapped::Same,
            Some(Fallback::Targets(_)) => false,
            None => self.pack.project.policy.unmapped == Unmapped::Same,
        };
        if found(&map.empty) || found(&map.other) || matches!(map.empty, Some(Fallback::Special(..))) {
            return Condition::Maybe;
        }
        let sources = map.rows.iter().filter(|row| row.targets.iter().any(is)).map(|row| row.source.as_str());
        let listed = equal(name, kind, &sources.collect::<Vec<_>>(), Trim::No);
        let unlisted =
            same.then(|| codes(tokens).map_or(Condition::Maybe, |codes| equal(name, kind, &codes, Trim::Yes)));
        Condition::any([listed].into_iter().chain(unlisted))
    }

    /// A text of one column between two literals.
    fn text(&self, text: &Text, values: Option<&[&str]>) -> Condition {
        let Some(values) = values else { return Condition::Maybe };
        let (before, column, after) = match text.parts.as_slice() {
            [Part::Column(column)] => ("", column, ""),
            [Part::Literal(before), Part::Column(column)] => (before.as_str(), column, ""),
            [Part::Column(column), Part::Literal(after)] => ("", column, after.as_str()),
            [Part::Literal(before), Part::Column(column), Part::Literal(after)] => {
                (before.as_str(), column, after.as_str())
            }
            _ => return Condition::Maybe,
        };
        let Some((name, kind)) = self.own(column) else { return Condition::Maybe };
        let inner = |value: &&str| value.strip_prefix(before)?.strip_suffix(after).map(str::to_owned);
        let inner: Vec<String> = values.iter().filter_map(inner).collect();
        equal(&name, &kind, &inner.iter().map(String::as_str).collect::<Vec<_>>(), Trim::Yes)
    }

    fn reference(&self, refers: &Refers, target: &Target, look: &Look) -> Condition {
        let Some(made_by) = self.pack.mappings.iter().find(|mapping| mapping.name == refers.mapping) else {
            return Condition::Maybe;
        };
        let Target::Local { resource_type, id } = target else { return Condition::Never };
        let of_type = |wanted: Option<&str>| wanted.is_none_or(|wanted| wanted == made_by.resource_type);
        if !of_type(resource_type.as_deref()) || !of_type(look.resolves) {
            return Condition::Never;
        }
        let [Arg::Column(column)] = refers.args.as_slice() else { return Condition::Maybe };
        let Some((name, kind)) = self.own(column) else { return Condition::Maybe };
        let Some(form) = PlainId::of(made_by, &kind) else { return Condition::Maybe };
        form.key(id).map_or(Condition::Never, |key| equal(&name, &kind, &[key], Trim::No))
    }

    fn date(&self, name: &str, kind: &PgKind, asked: &Compared) -> Condition {
        let Some(span) = covers(&asked.value, &self.calendar) else { return Condition::Maybe };
        let bound = |micros: i64| Some(Param::Text(Instant::from_unix_micros(micros)?.to_micros()));
        let zone = quote_literal(self.zone);
        let cast = match kind {
            PgKind::TimestampTz => "::text::timestamptz".to_owned(),
            PgKind::Timestamp | PgKind::Date => format!("::text::timestamptz at time zone {zone}"),
            _ => return Condition::Maybe,
        };
        let from = |micros: i64| {
            let param = bound(micros.saturating_sub(SLACK));
            param.map_or(Condition::Maybe, |param| Condition::sql(&format!("{name} >= ("), param, &format!("{cast})")))
        };
        let to = |micros: i64| {
            let param = bound(micros.saturating_add(SLACK));
            param.map_or(Condition::Maybe, |param| Condition::sql(&format!("{name} <= ("), param, &format!("{cast})")))
        };
        match asked.prefix {
            Prefix::Eq => Condition::all([from(span.start), to(span.end)]),
            Prefix::Ne => Condition::Maybe,
            Prefix::Gt | Prefix::Sa => from(span.end),
            Prefix::Ge => from(span.start),
            Prefix::Lt | Prefix::Eb => to(span.start),
            Prefix::Le => to(span.end),
        }
    }
}

/// The codes of tokens; none when one of them asks for none.
fn codes(tokens: &[Token]) -> Option<Vec<&str>> {
    tokens.iter().map(|token| token.code.as_deref()).collect()
}

/// A value that is the same in every resource.
fn constant(json: &str, ask: &Ask) -> Condition {
    let Ask::Token(tokens) = ask else { return Condition::Maybe };
    let Some(codes) = codes(tokens) else { return Condition::Maybe };
    let text = serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned());
    if codes.contains(&text.as_str()) { Condition::Maybe } else { Condition::Never }
}

/// Whether a system may be the one that is wanted.
fn may_be(value: &Value, wanted: Option<&str>) -> Condition {
    match (value, wanted) {
        (Value::Leaf(Leaf { expr: Expr::Constant(json), .. }), Some(wanted)) => {
            let same = serde_json::from_str::<String>(json).is_ok_and(|system| system == wanted);
            if same { Condition::Maybe } else { Condition::Never }
        }
        _ => Condition::Maybe,
    }
}
