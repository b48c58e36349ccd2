//! FHIR search by the book, slow and obvious: what a filter must find among resources that were made.
//!
//! It shares no code with the engine: it walks expressions over plain JSON, and compares texts of times by their own
//! lengths.

use jiff::tz::TimeZone;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The parameter of a search, as written: `date`, `code:not`.
pub(super) struct Asked<'a> {
    pub(super) expression: &'a str,
    pub(super) kind: &'a str,
    /// Of a composite, the kind of each part and where it is.
    pub(super) parts: Vec<(&'a str, &'a str)>,
    pub(super) modifier: Option<&'a str>,
    /// Alternatives; no value here needs an escape.
    pub(super) values: Vec<&'a str>,
}

/// What an expression leads to.
pub(super) fn values<'v>(resource: &'v Value, expression: &str) -> Vec<&'v Value> {
    // What must be there and not `false`.
    let expression = expression.split(".exists() and ").next().unwrap_or_default();
    expression.split('|').flat_map(|one| alternative(resource, one.trim())).collect()
}

/// What a part of a composite leads to from its place.
pub(super) fn part_of<'v>(place: &'v Value, expression: &str) -> Vec<&'v Value> {
    expression.split('|').flat_map(|one| alternative(place, &format!("place.{}", one.trim()))).collect()
}

/// The steps of an expression: the text between dots that stand in no bracket.
fn steps(text: &str) -> Vec<&str> {
    let (mut steps, mut from, mut depth) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            '.' if depth == 0 => {
                steps.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    steps.push(&text[from..]);
    steps
}

fn alternative<'v>(resource: &'v Value, text: &str) -> Vec<&'v Value> {
    let (base, ty, rest) = match text.strip_prefix('(') {
        Some(inner) => {
            let (inside, rest) = inner.split_once(')').expect("a closing bracket");
            let (base, ty) = inside.split_once(" as ").expect("a type");
            (base, Some(ty), rest.trim_start_matches('.'))
        }
        None => (text, None, ""),
    };
    let mut found = vec![resource];
    let steps = steps(base).split_off(1);
    for (nth, step) in steps.iter().enumerate() {
        let typed = |step: &str| step.starts_with("as(");
        if typed(step) {
            continue;
        }
        // A code is compared together with the system beside it.
        if *step == "code" && nth > 0 && ["value", "coding"].contains(&steps[nth - 1]) {
            found.retain(|coding| coding["code"].is_string());
            continue;
        }
        let next = steps.get(nth + 1).filter(|next| typed(next));
        let of = match next {
            Some(next) => Some(next.trim_start_matches("as(").trim_end_matches(')')),
            None => ty.filter(|_| nth + 1 == steps.len()),
        };
        found = found.into_iter().flat_map(|value| members(value, step, of)).collect();
    }
    for step in rest.split('.').filter(|step| !step.is_empty()) {
        found = found.into_iter().flat_map(|value| members(value, step, None)).collect();
    }
    found
}

fn members<'v>(value: &'v Value, step: &str, ty: Option<&str>) -> Vec<&'v Value> {
    if let Some(target) = step.strip_prefix("where(resolve() is ").and_then(|rest| rest.strip_suffix(')')) {
        let points = |one: &&Value| one["reference"].as_str().is_some_and(|to| to.starts_with(&format!("{target}/")));
        return Some(value).into_iter().filter(points).collect();
    }
    if let Some(condition) = step.strip_prefix("where(").and_then(|rest| rest.strip_suffix(')')) {
        let (member, text) = condition.split_once('=').expect("an equation");
        let is = |one: &&Value| one[member.trim()].as_str() == Some(text.trim().trim_matches('\''));
        return Some(value).into_iter().filter(is).collect();
    }
    if let Some(url) = step.strip_prefix("extension('").and_then(|rest| rest.strip_suffix("')")) {
        let all = members(value, "extension", None).into_iter().filter(|one| one["url"].as_str() == Some(url));
        return all.flat_map(|one| members(one, "value", None)).collect();
    }
    let Some(object) = value.as_object() else { return Vec::new() };
    let is = |name: &str| {
        let Some(suffix) = name.strip_prefix(step) else { return false };
        let choice = suffix.starts_with(|c: char| c.is_ascii_uppercase());
        match ty {
            None => suffix.is_empty() || (choice && is_choice(step)),
            Some(ty) => suffix.eq_ignore_ascii_case(ty),
        }
    };
    object.iter().filter(|(name, _)| is(name)).flat_map(|(_, value)| items(value)).collect()
}

/// Elements of R4 that have a type in their name; others only begin alike (`code`, `codeFilter`).
fn is_choice(step: &str) -> bool {
    ["value", "effective", "onset", "abatement", "performed", "occurrence", "deceased", "medication", "serviced"]
        .contains(&step)
}

fn items(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |all| all.iter().collect())
}

/// Whether a resource has what is asked.
pub(super) fn finds(resource: &Value, asked: &Asked<'_>, zone: &TimeZone) -> bool {
    let found = values(resource, asked.expression);
    let any =
        |is: &dyn Fn(&Value, &str) -> bool| found.iter().any(|value| asked.values.iter().any(|one| is(value, one)));
    if !asked.parts.is_empty() {
        let part = |place: &Value, kind, expression, wanted: &str| {
            let wanted = Asked { expression, kind, parts: Vec::new(), modifier: None, values: vec![wanted] };
            matches(&part_of(place, expression), &wanted, zone)
        };
        return any(&|place, wanted| {
            asked.parts.iter().zip(wanted.split('$')).all(|((kind, path), wanted)| part(place, kind, path, wanted))
        });
    }
    if asked.expression.contains(".exists()") && asked.modifier != Some("missing") {
        let there = if found.iter().any(|value| **value != false) { "true" } else { "false" };
        return asked.values.contains(&there) != (asked.modifier == Some("not"));
    }
    matches(&found, asked, zone)
}

/// Whether one of these values is what is asked for.
fn matches(found: &[&Value], asked: &Asked<'_>, zone: &TimeZone) -> bool {
    let any =
        |is: &dyn Fn(&Value, &str) -> bool| found.iter().any(|value| asked.values.iter().any(|one| is(value, one)));
    match (asked.kind, asked.modifier) {
        (_, Some("missing")) => found.is_empty() == (asked.values == ["true"]),
        ("token", Some("not")) => !any(&token),
        ("token", None) => any(&token),
        ("string", Some("exact")) => any(&|value, wanted| strings(value).contains(&wanted)),
        ("string", Some("contains")) => {
            any(&|value, wanted| strings(value).iter().any(|text| plain(text).contains(&plain(wanted))))
        }
        ("string", None) => {
            any(&|value, wanted| strings(value).iter().any(|text| plain(text).starts_with(&plain(wanted))))
        }
        ("reference", None) => any(&|value, wanted| {
            let to = value["reference"].as_str().unwrap_or_default();
            to == wanted || to.split_once('/').is_some_and(|(_, id)| id == wanted)
        }),
        ("uri", None) => any(&|value, wanted| value.as_str() == Some(wanted)),
        ("date", None) => any(&|value, wanted| date(value, wanted, zone)),
        ("quantity", None) => any(&quantity),
        ("number", None) => any(&|value, wanted| {
            let (prefix, wanted) = prefix(wanted);
            value.as_f64().is_some_and(|has| number(has, prefix, wanted))
        }),
        other => panic!("the oracle does not know {other:?}"),
    }
}

fn token(value: &Value, wanted: &str) -> bool {
    let codings: Vec<(Option<&str>, String)> = match value {
        Value::Object(object) if object.contains_key("coding") || object.contains_key("text") => {
            value["coding"].as_array().into_iter().flatten().map(pair).collect()
        }
        Value::Object(_) => vec![pair(value)],
        Value::String(text) => vec![(None, text.clone())],
        other => vec![(None, other.to_string())],
    };
    codings.iter().any(|(system, code)| match wanted.split_once('|') {
        None => code == wanted,
        Some(("", wanted)) => system.is_none() && code == wanted,
        Some((of, "")) => *system == Some(of),
        Some((of, wanted)) => *system == Some(of) && code == wanted,
    })
}

fn pair(value: &Value) -> (Option<&str>, String) {
    let code = value["code"].as_str().or_else(|| value["value"].as_str()).unwrap_or_default();
    (value["system"].as_str(), code.to_owned())
}

/// The texts of a string, a name, an address.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Object(object) => {
            let text = |(name, value): (&String, &'_ Value)| {
                !["use", "type", "period"].contains(&name.as_str()) && !value.is_object()
            };
            object
                .iter()
                .filter(|(name, value)| text((name, value)))
                .flat_map(|(_, value)| items(value))
                .filter_map(Value::as_str)
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Without case and accents.
fn plain(text: &str) -> String {
    text.nfd().filter(|c| !is_combining_mark(*c)).collect::<String>().to_lowercase()
}

fn prefix(text: &str) -> (&str, &str) {
    if text.starts_with(|c: char| c.is_ascii_lowercase()) { text.split_at(2) } else { ("eq", text) }
}

/// First and last second of a text of time.
fn seconds(text: &str, zone: &TimeZone) -> (i64, i64) {
    let at = |local: &str| {
        let local: jiff::civil::DateTime = local.parse().expect("a local time");
        // Times on the last day of the calendar have no second of the world.
        let naive = || local.duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0)).as_secs();
        local.to_zoned(zone.clone()).map_or_else(|_| naive(), |zoned| zoned.timestamp().as_second())
    };
    match text.len() {
        4 => (at(&format!("{text}-01-01T00:00:00")), at(&format!("{text}-12-31T23:59:59"))),
        7 => {
            let first: jiff::civil::Date = format!("{text}-01").parse().expect("a date");
            let last = first.last_of_month();
            (at(&format!("{first}T00:00:00")), at(&format!("{last}T23:59:59")))
        }
        10 => (at(&format!("{text}T00:00:00")), at(&format!("{text}T23:59:59"))),
        _ => {
            // 9999-12-31T23:59:59 is beyond what the library counts.
            let second = text.parse::<jiff::Timestamp>().map_or(i64::MAX / 2, jiff::Timestamp::as_second);
            (second, second)
        }
    }
}

fn date(value: &Value, wanted: &str, zone: &TimeZone) -> bool {
    let (low, high) = match value {
        Value::String(text) => seconds(text, zone),
        other if other["start"].is_null() && other["end"].is_null() => return false,
        period => (
            period["start"].as_str().map_or(i64::MIN, |text| seconds(text, zone).0),
            period["end"].as_str().map_or(i64::MAX, |text| seconds(text, zone).1),
        ),
    };
    let (prefix, wanted) = prefix(wanted);
    let (from, to) = seconds(wanted, zone);
    let inside = from <= low && high <= to;
    match prefix {
        "eq" => inside,
        "ne" => !inside,
        "gt" => high > to,
        "lt" => low < from,
        "ge" => inside || high > to,
        "le" => inside || low < from,
        "sa" => low > to,
        "eb" => high < from,
        other => panic!("{other} is no prefix"),
    }
}

fn number(has: f64, prefix: &str, wanted: &str) -> bool {
    let number: f64 = wanted.parse().expect("a number");
    let digits = wanted.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let half = 0.5 * 10_f64.powi(-i32::try_from(digits).expect("few digits"));
    // A rounding error must not decide.
    let near = |left: f64, right: f64| (left - right).abs() < 1e-9;
    let equal = (has > number - half || near(has, number - half)) && has < number + half && !near(has, number + half);
    match prefix {
        "eq" => equal,
        "ne" => !equal,
        "gt" | "sa" => has > number && !near(has, number),
        "lt" | "eb" => has < number && !near(has, number),
        "ge" => has > number || near(has, number),
        "le" => has < number || near(has, number),
        other => panic!("{other} is no prefix"),
    }
}

/// A range is equal when both of its ends are, and above or below when a part of it is.
fn quantity(value: &Value, wanted: &str) -> bool {
    let (prefix, _) = prefix(wanted);
    let ends = ["low", "high"].map(|end| value.get(end));
    if ends.iter().any(Option::is_some) {
        let ends = ends.map(|end| end.map(|end| amount(end, wanted)));
        return match prefix {
            "eq" => ends == [Some(true), Some(true)],
            "gt" | "ge" | "sa" => ends[1] != Some(false),
            "lt" | "le" | "eb" => ends[0] != Some(false),
            _ => ends.contains(&Some(true)),
        };
    }
    amount(value, wanted)
}

fn amount(value: &Value, wanted: &str) -> bool {
    let Some(has) = value["value"].as_f64() else { return false };
    let (prefix, wanted) = prefix(wanted);
    let parts: Vec<&str> = wanted.split('|').collect();
    let unit = match parts.as_slice() {
        [_] => true,
        [_, "", unit] => value["code"].as_str() == Some(unit) || value["unit"].as_str() == Some(unit),
        [_, system, unit] => value["system"].as_str() == Some(system) && value["code"].as_str() == Some(unit),
        _ => panic!("{wanted} is no quantity"),
    };
    unit && number(has, prefix, parts[0])
}
