//! Searches turned round into SQL: which rows can make a resource that a search finds (§2.10, K-64).
//!
//! A condition made here may let more rows pass than the search finds, never fewer: what it says of a row follows from
//! the mapping and from what the search asks. The resources are asked again when they are made, so the result is the
//! same with it and without; only fewer rows are read.

mod compare;
mod condition;
mod guard;
mod leaf;
mod scope;

use jiff::tz::TimeZone;

use self::compare::{Trim, decimal, equal};
use self::condition::{Condition, narrow};
use self::scope::Names;
use super::catalog::{Catalog, Column};
use super::search::{Ask, Compared, Look, Prefix, QuantityAsk, Step, Target, Test, Token, Wanted};
use super::select::{Filter, quote_ident};
use crate::mapping::tree::{ColumnExpr, Expr, ItemKind, Leaf, Mapping, Member, Object, Pack, Term, Value};

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
    let driving = Names::Rows { rows, alias: "q".to_owned(), path: Vec::new() };
    let turned = Turned { pack, catalog, mapping, zone, calendar, scopes: vec![driving] };
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

/// A mapping seen from some place of its tree.
#[derive(Clone)]
struct Turned<'a> {
    pack: &'a Pack,
    catalog: &'a Catalog,
    mapping: &'a Mapping,
    zone: &'a str,
    calendar: TimeZone,
    /// Whose columns names are, the driving rows first.
    scopes: Vec<Names<'a>>,
}

impl Turned<'_> {
    fn test(&self, test: &Test) -> Condition {
        let positive = matches!(
            test.ask,
            Ask::Token(_)
                | Ask::Date(_)
                | Ask::Number(_)
                | Ask::Quantity(_)
                | Ask::Reference(_)
                | Ask::Uri(_)
                | Ask::Composite(_)
        );
        if !positive || test.looks.iter().any(|look| look.presence) {
            return Condition::Maybe;
        }
        // The header knows better where the value stands.
        let mut named = self.mapping.header.search.iter().filter(|(name, _)| name.text == test.code);
        if let Some((_, Some(column))) = named.next() {
            return self.named(&column.text, &test.ask);
        }
        self.looked_at(&self.mapping.root, &test.looks, &test.ask)
    }

    /// A column that `search:` names: it holds codes without their system, times, numbers, URIs, or ids.
    fn named(&self, column: &str, ask: &Ask) -> Condition {
        let Some(rows) = self.catalog.rows.get(&self.mapping.name) else { return Condition::Maybe };
        let Some((_, found)) = rows.column(column) else { return Condition::Maybe };
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

    /// Any of the places below an object.
    fn looked_at(&self, object: &Object, looks: &[Look], ask: &Ask) -> Condition {
        Condition::any(looks.iter().map(|look| self.object(object, &look.steps, look, ask)))
    }

    fn object(&self, object: &Object, steps: &[Step], look: &Look, ask: &Ask) -> Condition {
        match steps.split_first() {
            None => self.whole(object, look, ask),
            Some((Step::Member(name), rest)) => self.members(object, name, &|value| self.value(value, rest, look, ask)),
            Some((Step::Where(member, text), rest)) => {
                let is = self.members(object, member, &|value| self.text_is(value, text, look));
                Condition::all([is, self.object(object, rest, look, ask)])
            }
        }
    }

    /// What holds when a member of this name is written and `is` holds of it.
    fn members(&self, object: &Object, name: &str, is: &dyn Fn(&Value) -> Condition) -> Condition {
        let named = object.members.iter().filter(|member| member.name == name);
        Condition::any(named.map(|member| Condition::all([self.guards(&member.guards), is(&member.value)])))
    }

    fn value(&self, value: &Value, steps: &[Step], look: &Look, ask: &Ask) -> Condition {
        match value {
            Value::Object(object) => self.object(object, steps, look, ask),
            Value::Leaf(leaf) if steps.is_empty() || is_its_codings(leaf, steps) => self.leaf(leaf, look, ask),
            Value::Leaf(_) => Condition::Maybe,
            Value::List(items) => Condition::any(items.iter().map(|item| {
                let made = match &item.kind {
                    ItemKind::One(value) => self.value(value, steps, look, ask),
                    ItemKind::Each { over, body, .. } => self.each(over, &|inner| inner.value(body, steps, look, ask)),
                };
                Condition::all([self.guards(&item.guards), made])
            })),
        }
    }

    /// A value that is this text.
    fn text_is(&self, value: &Value, text: &str, look: &Look) -> Condition {
        let token = Token { system: None, code: Some(text.to_owned()) };
        self.value(value, &[], look, &Ask::Token(vec![token]))
    }

    /// An object that is compared as a whole.
    fn whole(&self, object: &Object, look: &Look, ask: &Ask) -> Condition {
        let member = |name: &str, ask: &Ask| self.members(object, name, &|value| self.value(value, &[], look, ask));
        match ask {
            Ask::Composite(any) => {
                let part = |(looks, ask): (&Vec<Look>, &Ask)| self.looked_at(object, looks, ask);
                Condition::any(any.iter().map(|asks| Condition::all(look.parts.iter().zip(asks).map(part))))
            }
            Ask::Token(_) if object.type_path == "CodeableConcept" => member("coding", ask),
            Ask::Token(tokens) => {
                let code = if object.type_path == "Coding" { "code" } else { "value" };
                Condition::any(tokens.iter().map(|token| {
                    let one = Ask::Token(vec![Token { system: None, code: token.code.clone() }]);
                    let code = if token.code.is_none() { Condition::Maybe } else { member(code, &one) };
                    Condition::all([self.system(object, token.system.as_deref(), look), code])
                }))
            }
            Ask::Reference(_) => member("reference", ask),
            Ask::Date(dates) if object.type_path == "Period" => {
                Condition::any(dates.iter().map(|date| self.period(object, look, date)))
            }
            Ask::Quantity(asked) if object.type_path != "Range" => {
                let number = |asked: &QuantityAsk| Compared { prefix: asked.prefix, value: asked.value.clone() };
                member("value", &Ask::Number(asked.iter().map(number).collect()))
            }
            _ => Condition::Maybe,
        }
    }

    /// The system beside a code.
    fn system(&self, object: &Object, wanted: Option<&str>, look: &Look) -> Condition {
        match wanted {
            None => Condition::Maybe,
            // There must be none.
            Some("") => {
                let stays = |member: &&Member| member.name == "system" && is_always_written(member);
                if object.members.iter().any(|member| stays(&member)) { Condition::Never } else { Condition::Maybe }
            }
            Some(wanted) => self.members(object, "system", &|value| self.text_is(value, wanted, look)),
        }
    }

    /// A period: an end that is not written reaches as far as time does.
    fn period(&self, period: &Object, look: &Look, date: &Compared) -> Condition {
        let ask = Ask::Date(vec![date.clone()]);
        let written = |name: &str| self.members(period, name, &|value| self.value(value, &[], look, &ask));
        let open = |name: &str| {
            let members: Vec<&Member> = period.members.iter().filter(|member| member.name == name).collect();
            match members.as_slice() {
                [member] if member.guards.is_empty() => Condition::any([written(name), self.absent(&member.value)]),
                _ => Condition::Maybe,
            }
        };
        match date.prefix {
            Prefix::Eq => Condition::all([written("start"), written("end")]),
            Prefix::Ne => Condition::Maybe,
            Prefix::Gt | Prefix::Ge => open("end"),
            Prefix::Lt | Prefix::Le => open("start"),
            Prefix::Sa => written("start"),
            Prefix::Eb => written("end"),
        }
    }

    /// A time that is not written: there is none, or FHIR has no years for it.
    fn absent(&self, value: &Value) -> Condition {
        let Value::Leaf(Leaf { expr: Expr::Column(ColumnExpr { terms, fallback: None }), .. }) = value else {
            return Condition::Maybe;
        };
        match terms.as_slice() {
            [Term { column, via: None }] => self.column(column).map_or(Condition::Maybe, |(name, _)| {
                Condition::text(format!("({name} is null or {name} not between '0001-01-03' and '9999-12-29')"))
            }),
            _ => Condition::Maybe,
        }
    }
}

/// Whether steps lead to the codings that a code map makes for a leaf.
fn is_its_codings(leaf: &Leaf, steps: &[Step]) -> bool {
    leaf.fhir_type == "CodeableConcept" && matches!(steps, [Step::Member(name)] if name == "coding")
}

/// Whether a member stands in every object.
fn is_always_written(member: &Member) -> bool {
    matches!(&member.value, Value::Leaf(Leaf { expr: Expr::Constant(_), .. })) && member.guards.is_empty()
}
