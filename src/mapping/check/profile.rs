//! M208: what a profile named in `meta.profile` makes mandatory and the mapping does not give.

use serde_json::Value as Json;

use super::Checker;
use crate::fhir::profiles::{Expected, Profile, SliceRule, SliceTest, package, profile};
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::source::Span;
use crate::mapping::tree::{Expr, Item, ItemKind, Member, Object, Project, Value};

impl Checker<'_> {
    /// Checks the resource against every profile it declares.
    pub(super) fn profiles(&mut self, resource_type: &str, type_span: Span, root: &Object) {
        for (url, span) in declared(root) {
            let Some(profile) = named(self.project, &url) else { continue };
            if profile.base != resource_type {
                let message = format!("{} is a profile of {}, not of {resource_type}", profile.name, profile.base);
                self.report.add(Diagnostic::error("M208", span, message));
                continue;
            }
            for constraint in profile.mandatory() {
                let steps: Vec<&str> = constraint.path.split('.').collect();
                let look = Look { profile };
                for at in look.missing(root, &steps, "", type_span) {
                    let message = format!("{} requires `{}` and it is missing", profile.name, constraint.path);
                    let max = constraint.max.map_or_else(|| "*".to_owned(), |max| max.to_string());
                    let diagnostic = Diagnostic::warning("M208", at, message);
                    let diagnostic =
                        diagnostic.label(format!("needs `{}` ({}..{max})", constraint.path, constraint.min));
                    self.report.add(diagnostic.also(span, "declared here"));
                }
            }
        }
    }
}

/// The profile of the packages the pack names, else of any that is known.
fn named(project: &Project, url: &str) -> Option<&'static Profile> {
    let packages = project.packages.iter().filter_map(|name| package(name));
    let (bare, version) = url.split_once('|').map_or((url, None), |(url, version)| (url, Some(version)));
    let mut packages = packages.filter(|package| version.is_none_or(|version| version == package.version));
    packages.find_map(|package| package.profile(bare)).or_else(|| profile(url))
}

/// The root elements that the profiles a resource declares make mandatory.
pub fn demanded<'a>(project: &'a Project, root: &'a Object) -> impl Iterator<Item = &'static str> + 'a {
    let profiles = declared(root).into_iter().filter_map(|(url, _)| named(project, &url));
    let paths = profiles.flat_map(Profile::mandatory).map(|constraint| constraint.path);
    paths.filter(|path| !path.contains('.')).map(|path| path.split(':').next().unwrap_or(path))
}

/// Profiles declared by constants of `meta.profile`.
fn declared(root: &Object) -> Vec<(String, Span)> {
    let mut found = Vec::new();
    let meta = root.members.iter().filter(|member| member.name == "meta");
    for member in meta.filter_map(|member| as_object(&member.value)).flat_map(|meta| &meta.members) {
        let Value::List(items) = &member.value else { continue };
        for item in items.iter().filter(|_| member.name == "profile") {
            if let ItemKind::One(Value::Leaf(leaf)) = &item.kind
                && let Expr::Constant(json) = &leaf.expr
                && let Ok(url) = serde_json::from_str::<String>(json)
            {
                found.push((url, leaf.span));
            }
        }
    }
    found
}

fn as_object(value: &Value) -> Option<&Object> {
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// One mandatory element being looked for.
struct Look {
    profile: &'static Profile,
}

impl Look {
    /// The places below `object` where the element is missing. `walked` is the constraint path so far.
    fn missing(&self, object: &Object, steps: &[&str], walked: &str, at: Span) -> Vec<Span> {
        let Some((step, rest)) = steps.split_first() else { return Vec::new() };
        let walked = if walked.is_empty() { (*step).to_owned() } else { format!("{walked}.{step}") };
        let (name, slice) = step.split_once(':').map_or((*step, None), |(name, slice)| (name, Some(slice)));
        let members = object.members.iter().filter(|member| member.element == name);
        let members: Vec<&Member> = members.filter(|member| slice.is_none_or(|slice| may_be(member, slice))).collect();
        let values: Vec<(&Value, Span)> =
            members.iter().flat_map(|member| singles(&member.value, member.span)).collect();
        let sliced = self.profile.slices.iter().find(|slice| slice.path == walked);
        let tests: &[SliceTest] = sliced.map_or(&[], |slice| &slice.tests);
        let inside: Vec<(&Value, Span)> =
            values.into_iter().filter(|(value, _)| tests.iter().all(|test| may_hold(value, test))).collect();
        if rest.is_empty() {
            return if inside.is_empty() { vec![at] } else { Vec::new() };
        }
        let objects = inside.iter().filter_map(|(value, span)| Some((as_object(value)?, *span)));
        objects.flat_map(|(object, span)| self.missing(object, rest, &walked, span)).collect()
    }
}

/// Whether a member can be a slice: of a choice, `value[x]:valueQuantity` is the member of that JSON name.
fn may_be(member: &Member, slice: &str) -> bool {
    match member.element.strip_suffix("[x]") {
        Some(stem) if slice.starts_with(stem) => member.name == slice,
        _ => true,
    }
}

/// The single values of a member: itself, or its items.
fn singles<'v>(value: &'v Value, at: Span) -> Vec<(&'v Value, Span)> {
    let place = |value: &Value| match value {
        Value::Object(object) => object.members.first().map_or(at, |member| member.span),
        _ => at,
    };
    match value {
        Value::List(items) => {
            let one = |item: &'v Item| match &item.kind {
                ItemKind::One(value) => (value, place(value)),
                ItemKind::Each { body, .. } => (&**body, place(body)),
            };
            items.iter().map(one).collect()
        }
        value => vec![(value, at)],
    }
}

/// Whether an item may pass a slice's test: false only when a constant decides against it.
fn may_hold(value: &Value, test: &SliceTest) -> bool {
    let steps: Vec<&str> = test.path.split('.').filter(|step| !step.is_empty()).collect();
    may_hold_at(value, &steps, &test.rule)
}

fn may_hold_at(value: &Value, steps: &[&str], rule: &SliceRule) -> bool {
    match (value, steps) {
        (Value::List(items), _) => items.iter().any(|item| match &item.kind {
            ItemKind::One(value) => may_hold_at(value, steps, rule),
            ItemKind::Each { body, .. } => may_hold_at(body, steps, rule),
        }),
        // A mapped or json column may hold anything.
        (Value::Leaf(leaf), [_, ..]) => !matches!(leaf.expr, Expr::Constant(_)),
        (Value::Object(object), [step, rest @ ..]) => {
            let mut members = object.members.iter().filter(|member| member.element == *step).peekable();
            members.peek().is_some() && members.any(|member| may_hold_at(&member.value, rest, rule))
        }
        (value, []) => match rule {
            SliceRule::Value(Expected::Fixed(json) | Expected::Pattern(json)) => {
                serde_json::from_str(json).map_or(true, |pattern| may_match(value, &pattern))
            }
            SliceRule::Codes(list) => match value {
                Value::Leaf(leaf) => match &leaf.expr {
                    Expr::Constant(json) => list.iter().any(|(_, code)| *json == super::constant::quote(code)),
                    _ => true,
                },
                Value::Object(object) => may_code(object, &|code| list.contains(code)),
                Value::List(_) => true,
            },
            SliceRule::OpenCodes(_) | SliceRule::Types(_) => true,
        },
    }
}

/// Whether a Coding or CodeableConcept may hold a code that passes.
fn may_code(object: &Object, passes: &dyn Fn(&str) -> bool) -> bool {
    let of = |member: &Member| match (&member.value, member.name.as_str()) {
        (Value::Leaf(leaf), "code") => match &leaf.expr {
            Expr::Constant(json) => serde_json::from_str::<String>(json).is_ok_and(|code| passes(&code)),
            _ => true,
        },
        (value, "coding") => singles(value, member.span).iter().any(|(value, _)| match value {
            Value::Object(coding) => may_code(coding, passes),
            _ => true,
        }),
        _ => false,
    };
    object.members.iter().any(of)
}

/// Whether a value may have at least what the pattern has.
fn may_match(value: &Value, pattern: &Json) -> bool {
    match (value, pattern) {
        (Value::Leaf(leaf), pattern) => match &leaf.expr {
            Expr::Constant(json) => serde_json::from_str::<Json>(json).is_ok_and(|json| holds(&json, pattern)),
            Expr::Column(_) | Expr::Text(_) => true,
        },
        (Value::Object(object), Json::Object(wanted)) => wanted.iter().all(|(name, pattern)| {
            let mut members = object.members.iter().filter(|member| member.name == *name).peekable();
            members.peek().is_some() && members.any(|member| may_match(&member.value, pattern))
        }),
        (Value::List(_), Json::Array(wanted)) => wanted.iter().all(|pattern| {
            singles(value, Span::new(crate::mapping::source::SourceId(0), 0, 0))
                .iter()
                .any(|(value, _)| may_match(value, pattern))
        }),
        (Value::List(items), pattern) => items.iter().any(|item| match &item.kind {
            ItemKind::One(value) => may_match(value, pattern),
            ItemKind::Each { body, .. } => may_match(body, pattern),
        }),
        (Value::Object(_), _) => false,
    }
}

/// Whether `json` has at least what `pattern` has.
fn holds(json: &Json, pattern: &Json) -> bool {
    match (json, pattern) {
        (Json::Object(members), Json::Object(wanted)) => {
            wanted.iter().all(|(name, pattern)| members.get(name).is_some_and(|json| holds(json, pattern)))
        }
        (Json::Array(items), Json::Array(wanted)) => {
            wanted.iter().all(|pattern| items.iter().any(|json| holds(json, pattern)))
        }
        (json, pattern) => json == pattern,
    }
}
