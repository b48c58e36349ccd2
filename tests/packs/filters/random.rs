//! Searches made at random from what resources hold, and what the oracle says of them.

use jiff::tz::TimeZone;
use serde_json::Value;
use smelt::fhir::search::{SearchParam, SearchType, search_params};
use smelt::plan::search::searchable;

use crate::packs::engine::Engine;
use crate::packs::search_oracle::{Asked, finds, part_of, values};
use crate::support::generate::Random;

/// A search in words, and what the oracle needs of it.
pub(super) struct Search {
    parameters: Vec<(&'static SearchParam, Option<&'static str>, Vec<String>)>,
}

impl Search {
    pub(super) fn text(&self, resource_type: &str) -> String {
        let one = |(param, modifier, values): &(&SearchParam, Option<&str>, Vec<String>)| {
            let modifier = modifier.map(|name| format!(":{name}")).unwrap_or_default();
            let escaped: Vec<String> =
                values.iter().map(|value| value.replace('%', "%25").replace('&', "%26").replace('+', "%2B")).collect();
            format!("{}{modifier}={}", param.code, escaped.join(","))
        };
        format!("{resource_type}?{}", self.parameters.iter().map(one).collect::<Vec<_>>().join("&"))
    }

    pub(super) fn codes(&self) -> impl Iterator<Item = &'static str> {
        self.parameters.iter().map(|(param, ..)| param.code)
    }

    pub(super) fn finds(&self, resource: &Value, zone: &TimeZone) -> bool {
        self.parameters.iter().all(|(param, modifier, values)| {
            let values = values.iter().map(String::as_str).collect();
            let parts = param.parts.iter().map(|(kind, expression)| (kind.name(), *expression)).collect();
            let (expression, kind) = (param.expression, param.kind.name());
            finds(resource, &Asked { expression, kind, parts, modifier: *modifier, values }, zone)
        })
    }
}

/// Parameters that the pack can be asked for.
pub(super) fn parameters(engine: &Engine, resource_type: &str) -> Vec<&'static SearchParam> {
    let pack = &engine.prepared.pack;
    search_params(resource_type).filter(|param| searchable(pack, resource_type, param.code)).collect()
}

/// A search by some of the parameters; none when nothing that they look at is there.
pub(super) fn search(random: &mut Random, params: &[&'static SearchParam], resources: &[Value]) -> Option<Search> {
    let mut parameters = Vec::new();
    for _ in 0..20 {
        if !parameters.is_empty() && !random.one_in(3) {
            break;
        }
        let param = *random.pick(params);
        let composite = param.kind == SearchType::Composite;
        let modifier = match (param.kind.name(), random.below(8)) {
            (_, 0) if !composite => Some("missing"),
            ("token", 1) => Some("not"),
            ("string", 1) => Some("contains"),
            _ => None,
        };
        if modifier == Some("missing") {
            parameters.push((param, modifier, vec![["true", "false"][random.below(2)].to_owned()]));
            continue;
        }
        let mut wanted = Vec::new();
        for _ in 0..=random.below(2) {
            wanted.extend(if composite {
                together(random, param, resources)
            } else {
                let found = values(random.pick(resources), param.expression);
                one_of(random, param.kind, &found)
            });
        }
        if !wanted.is_empty() {
            parameters.push((param, modifier, wanted));
        }
    }
    (!parameters.is_empty()).then_some(Search { parameters })
}

/// The value of a composite: parts of one place, or of two.
fn together(random: &mut Random, param: &SearchParam, resources: &[Value]) -> Option<String> {
    let bases: Vec<&Value> = resources.iter().flat_map(|one| values(one, param.expression)).collect();
    let first = bases.get(random.below(bases.len().max(1)))?;
    let parts = param.parts.iter().map(|(kind, expression)| {
        let base = if random.one_in(4) { *random.pick(&bases) } else { *first };
        one_of(random, *kind, &part_of(base, expression))
    });
    Some(parts.collect::<Option<Vec<_>>>()?.join("$"))
}

/// A value near one of those found.
fn one_of(random: &mut Random, kind: SearchType, found: &[&Value]) -> Option<String> {
    if found.is_empty() {
        return None;
    }
    let nth = random.below(found.len());
    value(random, kind, found[nth])
}

/// Nothing in it needs an escape.
fn safe(text: &str) -> bool {
    !text.contains([',', '|', '$', '\\']) && !text.contains(char::is_control) && !text.is_empty() && text.trim() == text
}

/// A value that a resource has, or one near it.
fn value(random: &mut Random, kind: SearchType, found: &Value) -> Option<String> {
    let text = match kind.name() {
        "token" => {
            let coding = match found.get("coding").and_then(|codings| codings.get(0)) {
                Some(coding) => coding,
                None => found,
            };
            let Some(code) = coding.get("code").or_else(|| coding.get("value")).and_then(Value::as_str) else {
                return match found {
                    Value::String(text) => Some(text.clone()).filter(|text| safe(text)),
                    Value::Bool(flag) => Some(flag.to_string()),
                    _ => None,
                };
            };
            let system = coding.get("system").and_then(Value::as_str);
            if !safe(code) || system.is_some_and(|system| !safe(system)) {
                return None;
            }
            match (random.below(4), system) {
                (0, Some(system)) => format!("{system}|{code}"),
                (1, Some(system)) => format!("{system}|"),
                (2, _) => format!("|{code}"),
                _ => code.to_owned(),
            }
        }
        "string" => {
            let all: Vec<&str> = match found {
                Value::String(text) => vec![text],
                Value::Object(object) => object.values().filter_map(Value::as_str).collect(),
                _ => return None,
            };
            let text = all.get(random.below(all.len().max(1)))?;
            let cut: String = text.chars().take(1 + random.below(6)).collect();
            let cut = cut.trim().to_owned();
            if !safe(&cut) {
                return None;
            }
            if random.one_in(2) { cut.to_uppercase() } else { cut }
        }
        "reference" => {
            let to = found["reference"].as_str()?;
            let (_, id) = to.split_once('/').filter(|(name, id)| {
                let local = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
                name.chars().all(|c| c.is_ascii_alphabetic()) && id.chars().all(local)
            })?;
            if random.one_in(2) { id.to_owned() } else { to.to_owned() }
        }
        "uri" => found.as_str().filter(|text| safe(text))?.to_owned(),
        "date" => {
            let text = match found {
                Value::String(text) => text.as_str(),
                period => period[if random.one_in(2) { "start" } else { "end" }].as_str()?,
            };
            // A fraction of a second is finer than the oracle, and the ends of the calendar are no days.
            if text.contains('.') || text.starts_with("9999") || text.starts_with("0001") {
                return None;
            }
            let length = [4, 7, 10, text.len()][random.below(4)].min(text.len());
            let prefix = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"][random.below(9)];
            format!("{prefix}{}", &text[..length])
        }
        "number" => {
            let number = found.as_f64()?;
            format!("{}{number:.1}", ["", "ne", "gt", "lt", "ge", "le"][random.below(6)])
        }
        "quantity" => {
            let number = found["value"].as_f64()?;
            let prefix = ["", "ne", "gt", "lt", "ge", "le"][random.below(6)];
            let unit = found["code"].as_str().filter(|unit| safe(unit));
            let number = if random.one_in(2) { format!("{number:.1}") } else { format!("{number:.0}") };
            match unit.filter(|_| random.one_in(2)) {
                Some(unit) => format!("{prefix}{number}||{unit}"),
                None => format!("{prefix}{number}"),
            }
        }
        other => panic!("{other} cannot be asked"),
    };
    Some(text)
}
