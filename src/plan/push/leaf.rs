//! Scalars of a mapping compared with what a search asks for.

use super::Turned;
use super::compare::{Trim, decimal, equal};
use super::condition::Condition;
use crate::fhir::instant::Instant;
use crate::fhir::span::covers;
use crate::mapping::tree::{Arg, CodeMap, ColumnExpr, Expr, Fallback, Leaf, Part, Refers, Term, Text, Unmapped};
use crate::plan::patients::PlainId;
use crate::plan::search::{Ask, Compared, Look, Prefix, Target, Token};
use crate::plan::select::{Param, quote_literal};
use crate::plan::writer::is_primitive;
use crate::row::PgKind;

/// Microseconds that a bound on a time is moved outwards: no zone is further than a day from another, and no date is
/// longer.
const SLACK: i64 = 2 * 86_400 * 1_000_000;

impl Turned<'_> {
    pub(super) fn leaf(&self, leaf: &Leaf, look: &Look, ask: &Ask) -> Condition {
        match &leaf.expr {
            _ if leaf.list => self.array(leaf, ask),
            Expr::Constant(json) => constant(json, ask),
            Expr::Column(expr) => self.first(expr, &leaf.fhir_type, ask),
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
    fn first(&self, expr: &ColumnExpr, fhir_type: &str, ask: &Ask) -> Condition {
        let fallback = expr.fallback.iter().map(|json| constant(json, ask));
        Condition::any(expr.terms.iter().map(|term| self.term(term, fhir_type, ask)).chain(fallback))
    }

    /// A list that is an array column.
    fn array(&self, leaf: &Leaf, ask: &Ask) -> Condition {
        let Expr::Column(ColumnExpr { terms, fallback: None }) = &leaf.expr else { return Condition::Maybe };
        Condition::any(terms.iter().map(|term| match (term.via, self.column(&term.column)) {
            (None, Some((name, PgKind::Array(of)))) => {
                self.items(&name, &of, &|item, kind| self.compared(item, kind, ask))
            }
            _ => Condition::Maybe,
        }))
    }

    fn term(&self, term: &Term, fhir_type: &str, ask: &Ask) -> Condition {
        let Some((name, kind)) = self.column(&term.column) else { return Condition::Maybe };
        if let Some(map) = term.via {
            let map = self.pack.code_maps.get(map.0);
            return match (map, ask) {
                (Some(map), Ask::Token(tokens)) => self.mapped(&name, &kind, map, tokens),
                _ => Condition::Maybe,
            };
        }
        // An object is a json document, written as it is.
        if !is_primitive(fhir_type) {
            return Condition::Maybe;
        }
        self.compared(&name, &kind, ask)
    }

    /// A column whose value is written as it is.
    pub(super) fn compared(&self, name: &str, kind: &PgKind, ask: &Ask) -> Condition {
        match ask {
            Ask::Token(tokens) => codes(tokens).map_or(Condition::Maybe, |codes| equal(name, kind, &codes, Trim::Yes)),
            Ask::Uri(uris) => equal(name, kind, &uris.iter().map(String::as_str).collect::<Vec<_>>(), Trim::Yes),
            Ask::Date(dates) => Condition::any(dates.iter().map(|date| self.date(name, kind, date))),
            Ask::Number(numbers) => Condition::any(numbers.iter().map(|number| decimal(name, kind, number))),
            _ => Condition::Maybe,
        }
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
        let Some((name, kind)) = self.column(column) else { return Condition::Maybe };
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
        // Fields of json have no type of their own.
        if !column.json.is_empty() || self.in_json(column) {
            return Condition::Maybe;
        }
        let Some((name, kind)) = self.column(column) else { return Condition::Maybe };
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

/// A value that is the same in every resource; codes inside an object are left to the search.
fn constant(json: &str, ask: &Ask) -> Condition {
    let Ask::Token(tokens) = ask else { return Condition::Maybe };
    if json.starts_with(['{', '[']) {
        return Condition::Maybe;
    }
    let Some(codes) = codes(tokens) else { return Condition::Maybe };
    let text = serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned());
    if codes.contains(&text.as_str()) { Condition::Maybe } else { Condition::Never }
}
