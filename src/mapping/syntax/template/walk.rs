//! The walk over the crate's tree that makes parts.

use handlebars::Template;
use handlebars::template::{HelperTemplate, Parameter, Subexpression, TemplateElement};
use serde_json::Value as Json;

use super::mistake::offset;
use super::path::{self, Path};
use super::{CODE, HELPERS, Named, Names};
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::source::Span;
use crate::mapping::syntax::Piece;
use crate::mapping::syntax::reference::{Reference, ReferenceArg};
use crate::mapping::tree::{Arg, ColumnRef, Function, Name, Part, Test};
use crate::mapping::uuid5::uuid5;

/// State of one walk.
pub(super) struct Walk<'a, 'n> {
    pub(super) piece: Piece<'a>,
    /// Where the walk is: everything before has been seen. Tokens are searched from here.
    pub(super) at: usize,
    pub(super) html: bool,
    pub(super) names: &'n mut dyn Names,
    /// Something was reported.
    pub(super) wrong: bool,
    /// A name outside every guard stands for nothing.
    pub(super) empty: bool,
}

/// A test whose outcome may be known already.
enum Tested {
    Known(bool),
    Test(Test),
}

/// What an argument of a helper stands for.
enum Given {
    Arg(Arg),
    /// A fragment's parameter without an argument.
    Nothing,
}

impl<'a, 'n> Walk<'a, 'n> {
    pub(super) fn new(piece: Piece<'a>, html: bool, names: &'n mut dyn Names) -> Self {
        Self { piece, at: 0, html, names, wrong: false, empty: false }
    }

    /// The parts of a template; `guarded` inside `{{#if}}` and `{{#unless}}`.
    pub(super) fn template(&mut self, template: &Template, guarded: bool) -> Vec<Part> {
        let mut parts = Vec::new();
        for (n, element) in template.elements.iter().enumerate() {
            if let TemplateElement::RawString(text) = element {
                parts.push(Part::Literal(text.clone()));
                continue;
            }
            // The template of an `else if` has no positions: its block starts at the next tag.
            let place = template.mapping.get(n).map(|place| offset(self.piece.text, place.0, place.1));
            self.enter(place);
            parts.extend(self.element(element, guarded));
        }
        parts
    }

    /// Moves to the tag at or after `place`.
    pub(super) fn enter(&mut self, place: Option<usize>) {
        let from = place.unwrap_or(self.at);
        self.at = self.piece.text.get(from..).and_then(|rest| rest.find("{{")).map_or(from, |skip| from + skip);
    }

    fn element(&mut self, element: &TemplateElement, guarded: bool) -> Vec<Part> {
        match element {
            TemplateElement::RawString(text) => vec![Part::Literal(text.clone())],
            TemplateElement::Comment(_) => Vec::new(),
            TemplateElement::Expression(call) => self.expression(call, element, guarded),
            TemplateElement::HtmlExpression(call) => {
                if self.html {
                    let span = self.tag();
                    let wrong = Diagnostic::error(CODE, span, "values in `div` are always escaped");
                    self.report(wrong.help("write `{{…}}`; a column that holds a whole `<div>` is written `$column`"));
                    return Vec::new();
                }
                self.expression(call, element, guarded)
            }
            TemplateElement::HelperBlock(block) => self.block(block, element, guarded),
            TemplateElement::PartialExpression(_) | TemplateElement::PartialBlock(_) => {
                self.refuse("templates have no partials")
            }
            _ => self.refuse("templates have no decorators"),
        }
    }

    fn expression(&mut self, call: &HelperTemplate, element: &TemplateElement, guarded: bool) -> Vec<Part> {
        if let Parameter::Subexpression(inner) = &call.name
            && let TemplateElement::Expression(inner) = inner.as_element()
        {
            return self.expression(inner, element, guarded);
        }
        let Some(name) = call.name.as_name() else { return self.refuse("this cannot be read") };
        if call.params.is_empty() && call.hash.is_empty() {
            return self.bare(name, guarded);
        }
        match name {
            "uuid" | "sha256" => self.id(name, call, guarded),
            "ref" => self.reference(call, guarded),
            "upper" | "lower" | "trim" | "urlencode" | "len" => self.apply(name, call, element, guarded),
            "eq" | "ne" | "gt" | "gte" | "lt" | "lte" | "and" | "or" | "not" | "lookup" => {
                self.render(element, guarded)
            }
            "if" | "unless" | "each" | "with" => {
                let message = format!("`{name}` is a block: `{{{{#{name} …}}}}…{{{{/{name}}}}}`");
                self.refuse(message)
            }
            _ => self.unknown(name),
        }
    }

    /// `{{name}}`.
    fn bare(&mut self, raw: &str, guarded: bool) -> Vec<Part> {
        if HELPERS.contains(&raw) {
            let token = self.token(raw);
            let span = self.tag();
            let message = format!("`{raw}` is a Handlebars helper, so this does not read the column `{raw}`");
            let wrong = Diagnostic::error("M305", span, message);
            let wrong = wrong.label(format!("Handlebars would call the helper `{raw}`"));
            let start = Span { end: token.start, ..token };
            self.report(if self.piece.exact() {
                wrong.edit("name the column explicitly", start, "this.")
            } else {
                wrong.help(format!("name the column explicitly: `{{{{this.{raw}}}}}`"))
            });
            return Vec::new();
        }
        match self.path(raw) {
            Some(Named::Column(column)) => vec![Part::Column(column)],
            Some(Named::Parts(parts)) => parts,
            Some(Named::Empty) => {
                self.empty |= !guarded;
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// What a path outside `{{#each}}` stands for.
    pub(super) fn path(&mut self, raw: &str) -> Option<Named> {
        let span = self.token(raw);
        let path = path::parse(raw);
        if path.local {
            let message = format!("`{raw}` has a value only inside `{{{{#each}}}}`");
            self.report(Diagnostic::error(CODE, span, message));
            return None;
        }
        if raw.starts_with('$') {
            let wrong = Diagnostic::error(CODE, span, "columns are bare inside `{{ }}`");
            let dollar = Span { end: span.start + 1, ..span };
            self.report(if self.piece.exact() { wrong.edit("write it without `$`", dollar, "") } else { wrong });
            return None;
        }
        let Some(column) = column(&path, span) else {
            let wrong = Diagnostic::error(CODE, span, format!("`{raw}` is the whole row"));
            self.report(wrong.label("a column expected"));
            return None;
        };
        Some(self.names.named(column))
    }

    /// The column or literal of a parameter; `None` when reported.
    fn arg(&mut self, helper: &str, parameter: &Parameter) -> Option<Given> {
        match parameter {
            Parameter::Literal(json) => Some(Given::Arg(Arg::Literal(literal(json)))),
            Parameter::Path(_) | Parameter::Name(_) => {
                let raw = parameter.as_name().unwrap_or_default().to_owned();
                match self.path(&raw)? {
                    Named::Column(column) => Some(Given::Arg(Arg::Column(column))),
                    Named::Empty => Some(Given::Nothing),
                    Named::Parts(parts) => {
                        let text = constant(&parts);
                        if text.is_none() {
                            self.needs_column(helper, &raw);
                        }
                        Some(Given::Arg(Arg::Literal(text?)))
                    }
                }
            }
            _ => {
                let span = self.tag();
                let message = format!("arguments of `{helper}` are columns and literals");
                self.report(Diagnostic::error(CODE, span, message).label("no nested helper here"));
                None
            }
        }
    }

    fn needs_column(&mut self, helper: &str, raw: &str) {
        let span = self.tag();
        let message = format!("`{helper}` needs a column, and the argument given for `{raw}` is none");
        self.report(Diagnostic::error("M603", span, message));
    }

    fn id(&mut self, name: &str, call: &HelperTemplate, guarded: bool) -> Vec<Part> {
        self.token(name);
        self.no_hash(call);
        let mut params = call.params.iter();
        let mut namespace = None;
        if name == "uuid" {
            match params.next() {
                Some(Parameter::Literal(Json::String(space))) if !space.is_empty() => {
                    namespace = Some(uuid5(&self.names.namespace(), space.as_bytes()));
                }
                _ => {
                    let span = self.tag();
                    let wrong = Diagnostic::error(CODE, span, "`uuid` starts with the name of its id space, a text");
                    self.report(wrong.help("write `{{uuid 'Condition' a b}}`"));
                    return Vec::new();
                }
            }
        }
        let mut args = Vec::new();
        for parameter in params {
            match self.arg(name, parameter) {
                Some(Given::Arg(arg)) => args.push(arg),
                Some(Given::Nothing) => {
                    self.empty |= !guarded;
                    return Vec::new();
                }
                None => return Vec::new(),
            }
        }
        if args.is_empty() {
            return self.refuse(format!("`{name}` needs the columns that make the id"));
        }
        match namespace {
            Some(namespace) => vec![Part::Uuid { namespace, args }],
            None => vec![Part::Sha256(args)],
        }
    }

    /// `{{ref 'patient' id}}`.
    fn reference(&mut self, call: &HelperTemplate, guarded: bool) -> Vec<Part> {
        self.token("ref");
        self.no_hash(call);
        let Some((Parameter::Literal(Json::String(target)), params)) = call.params.split_first() else {
            return self.refuse("`ref` starts with the name of a mapping, a text: `{{ref 'patient' patient_id}}`");
        };
        let mapping = Name { text: target.clone(), span: self.token(target) };
        let mut args = Vec::new();
        let start = self.piece.text.get(..self.at).map_or(0, str::len);
        for parameter in params {
            match self.arg("ref", parameter) {
                Some(Given::Arg(Arg::Column(column))) => args.push(ReferenceArg::Column(column)),
                Some(Given::Arg(Arg::Literal(text))) => args.push(ReferenceArg::Literal(text)),
                Some(Given::Nothing) => {
                    self.empty |= !guarded;
                    return Vec::new();
                }
                None => return Vec::new(),
            }
        }
        let args_span = if args.is_empty() { mapping.span } else { self.piece.at(start, self.at) };
        let parts = self.names.reference(Reference { mapping, args, args_span });
        self.wrong |= parts.is_none();
        parts.unwrap_or_default()
    }

    /// `{{upper a}}`.
    fn apply(&mut self, name: &str, call: &HelperTemplate, element: &TemplateElement, guarded: bool) -> Vec<Part> {
        let [parameter] = call.params.as_slice() else {
            return self.refuse(format!("`{name}` takes one column"));
        };
        if matches!(parameter, Parameter::Subexpression(_)) {
            return self.render(element, guarded);
        }
        self.token(name);
        self.no_hash(call);
        let function = match name {
            "upper" => Function::Upper,
            "lower" => Function::Lower,
            "trim" => Function::Trim,
            "len" => Function::Len,
            _ => Function::UrlEncode,
        };
        match self.arg(name, parameter) {
            Some(Given::Arg(Arg::Column(column))) => vec![Part::Apply(function, column)],
            Some(Given::Arg(Arg::Literal(text))) => vec![Part::Literal(apply(function, &text))],
            Some(Given::Nothing) => {
                self.empty |= !guarded;
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn block(&mut self, block: &HelperTemplate, element: &TemplateElement, guarded: bool) -> Vec<Part> {
        if self.piece.text.get(self.at..).is_some_and(|rest| rest.starts_with("{{{{")) {
            return self.refuse("templates have no raw blocks");
        }
        match block.name.as_name().unwrap_or_default() {
            "if" => self.when(block, element, false, guarded),
            "unless" => self.when(block, element, true, guarded),
            "each" | "with" => self.render(element, guarded),
            "raw" => self.refuse("templates have no raw blocks"),
            name => {
                let name = name.to_owned();
                let span = self.tag();
                let mut wrong = Diagnostic::error(CODE, span, format!("`{name}` is no block"));
                wrong = wrong.label("the blocks are `if`, `unless`, `each` and `with`");
                if !HELPERS.contains(&name.as_str()) {
                    wrong = wrong.help(format!("to test a column write `{{{{#if {name}}}}}`"));
                }
                self.report(wrong);
                Vec::new()
            }
        }
    }

    fn when(&mut self, block: &HelperTemplate, element: &TemplateElement, negated: bool, guarded: bool) -> Vec<Part> {
        let name = if negated { "unless" } else { "if" };
        let [parameter] = block.params.as_slice() else {
            return self.refuse(format!("`{name}` takes one condition"));
        };
        if block.block_param.is_some() {
            return self.no_local(name);
        }
        // `includeZero`, and comparisons by size, are left to the crate.
        if !block.hash.is_empty() || !compiles(parameter) {
            return self.render(element, guarded);
        }
        self.token(name);
        let tested = self.test(parameter);
        let then = block.template.as_ref().map(|body| self.template(body, true)).unwrap_or_default();
        let otherwise = block.inverse.as_ref().map(|body| self.template(body, true)).unwrap_or_default();
        match tested.map(|tested| if negated { not(tested) } else { tested }) {
            None => Vec::new(),
            Some(Tested::Known(true)) => then,
            Some(Tested::Known(false)) => otherwise,
            Some(Tested::Test(test)) => {
                vec![Part::When { test, then: super::join(then), otherwise: super::join(otherwise) }]
            }
        }
    }

    fn test(&mut self, parameter: &Parameter) -> Option<Tested> {
        match parameter {
            Parameter::Literal(json) => Some(Tested::Known(truthy(json))),
            Parameter::Path(_) | Parameter::Name(_) => {
                let raw = parameter.as_name().unwrap_or_default().to_owned();
                match self.path(&raw)? {
                    Named::Column(column) => Some(Tested::Test(Test::Truthy(column))),
                    Named::Empty => Some(Tested::Known(false)),
                    Named::Parts(parts) => {
                        let text = constant(&parts);
                        if text.is_none() {
                            self.needs_column("if", &raw);
                        }
                        Some(Tested::Known(!text?.is_empty()))
                    }
                }
            }
            Parameter::Subexpression(inner) => self.call_test(inner),
            _ => None,
        }
    }

    fn call_test(&mut self, inner: &Subexpression) -> Option<Tested> {
        let TemplateElement::Expression(call) = inner.as_element() else { return None };
        let name = call.name.as_name().unwrap_or_default().to_owned();
        let params = call.params.clone();
        if params.is_empty() {
            // `(a)` is the column a.
            if HELPERS.contains(&name.as_str()) {
                self.bare(&name, true);
                return None;
            }
            return self.test(&call.name);
        }
        self.token(&name);
        match name.as_str() {
            "not" => Some(not(self.test(params.first()?)?)),
            "and" | "or" => {
                let all = name == "and";
                let mut tests = Vec::new();
                let mut known = false;
                for parameter in &params {
                    match self.test(parameter)? {
                        Tested::Known(value) => known |= value != all,
                        Tested::Test(test) => tests.push(test),
                    }
                }
                Some(if known || tests.is_empty() {
                    Tested::Known(known != all)
                } else if all {
                    Tested::Test(Test::And(tests))
                } else {
                    Tested::Test(Test::Or(tests))
                })
            }
            _ => {
                let left = self.arg(&name, params.first()?)?;
                let right = self.arg(&name, params.get(1)?)?;
                let equal = match (left, right) {
                    (Given::Arg(Arg::Literal(left)), Given::Arg(Arg::Literal(right))) => Tested::Known(left == right),
                    (Given::Arg(left), Given::Arg(right)) => Tested::Test(Test::Eq(left, right)),
                    _ => Tested::Known(false),
                };
                Some(if name == "ne" { not(equal) } else { equal })
            }
        }
    }

    fn unknown(&mut self, name: &str) -> Vec<Part> {
        let span = self.token(name);
        if name == "log" || name == "raw" {
            return self.refuse(format!("templates have no `{name}`"));
        }
        let wrong = Diagnostic::error(CODE, span, format!("no helper `{name}`"));
        let near = HELPERS
            .into_iter()
            .filter(|helper| !matches!(*helper, "log" | "raw" | "else"))
            .map(|helper| (strsim::damerau_levenshtein(helper, name), helper))
            .filter(|(distance, _)| *distance <= 2)
            .min();
        self.report(match near {
            Some((_, near)) if self.piece.exact() => wrong.edit("did you mean", span, near),
            Some((_, near)) => wrong.help(format!("did you mean `{near}`?")),
            None => wrong.note("helpers: uuid, sha256, ref, upper, lower, trim, urlencode, len, lookup, eq, ne, …"),
        });
        Vec::new()
    }

    fn no_hash(&mut self, call: &HelperTemplate) {
        if !call.hash.is_empty() {
            let name = call.name.as_name().unwrap_or_default();
            let message = format!("`{name}` takes no named arguments");
            self.refuse(message);
        }
    }

    /// Reports block parameters where there is nothing to name.
    pub(super) fn no_local(&mut self, name: &str) -> Vec<Part> {
        self.refuse(format!("`{name}` makes nothing that `as |x|` could name"))
    }

    /// Reports a mistake of the tag the walk is in.
    pub(super) fn refuse(&mut self, message: impl Into<String>) -> Vec<Part> {
        let span = self.tag();
        self.report(Diagnostic::error(CODE, span, message));
        Vec::new()
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.wrong = true;
        self.names.report(diagnostic);
    }

    /// The place of the tag the walk is in.
    pub(super) fn tag(&self) -> Span {
        let text = self.piece.text;
        let head = text.get(..self.at).unwrap_or(text);
        let inside = head.rfind("{{").filter(|start| head.get(*start..).is_some_and(|tag| !tag.contains("}}")));
        let mut start = inside.unwrap_or(self.at);
        while text.get(..start).is_some_and(|before| before.ends_with('{')) {
            start -= 1;
        }
        let end = text.get(start..).and_then(|rest| rest.find("}}")).map_or(text.len(), |len| start + len + 2);
        let braces = text.get(end..).map_or(0, |rest| rest.len() - rest.trim_start_matches('}').len());
        self.piece.at(start, end + braces.min(2))
    }

    /// The place of the next `token`, which stands for itself (no part of a longer name); the walk moves behind it.
    pub(super) fn token(&mut self, token: &str) -> Span {
        let symbol = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | ':');
        let mut from = self.at;
        while let Some(rest) = self.piece.text.get(from..).filter(|_| !token.is_empty()) {
            let Some(skip) = rest.find(token) else { break };
            let (start, end) = (from + skip, from + skip + token.len());
            let before = self.piece.text.get(..start).and_then(|text| text.chars().next_back());
            let after = self.piece.text.get(end..).and_then(|text| text.chars().next());
            let (first, last) = (token.chars().next(), token.chars().next_back());
            let glued_before = before.is_some_and(symbol) && first.is_some_and(symbol);
            let glued_after = after.is_some_and(symbol) && last.is_some_and(symbol);
            if !glued_before && !glued_after {
                self.at = end;
                return self.piece.at(start, end);
            }
            from = start + token.chars().next().map_or(1, char::len_utf8);
        }
        self.tag()
    }
}

/// The column a path names.
pub(super) fn column(path: &Path, span: Span) -> Option<ColumnRef> {
    let (name, json) = path.items.split_first()?;
    let up = u8::try_from(path.up).unwrap_or(u8::MAX);
    Some(ColumnRef { up, name: name.clone(), json: json.to_vec(), span })
}

/// Whether a condition has a compiled form.
fn compiles(parameter: &Parameter) -> bool {
    let Parameter::Subexpression(inner) = parameter else { return true };
    let TemplateElement::Expression(call) = inner.as_element() else { return false };
    let plain = |parameter: &Parameter| !matches!(parameter, Parameter::Subexpression(_));
    if !call.hash.is_empty() {
        return false;
    }
    match (call.name.as_name().unwrap_or_default(), call.params.as_slice()) {
        (_, []) => plain(&call.name),
        ("not", [one]) => compiles(one),
        ("and" | "or", all) => all.iter().all(compiles),
        ("eq" | "ne", [first, second]) => plain(first) && plain(second),
        _ => false,
    }
}

fn not(tested: Tested) -> Tested {
    match tested {
        Tested::Known(value) => Tested::Known(!value),
        Tested::Test(Test::Not(inner)) => Tested::Test(*inner),
        Tested::Test(test) => Tested::Test(Test::Not(Box::new(test))),
    }
}

/// The text of parts that are all literal.
pub(super) fn constant(parts: &[Part]) -> Option<String> {
    parts.iter().map(|part| if let Part::Literal(text) = part { Some(text.as_str()) } else { None }).collect()
}

fn literal(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The crate's notion of truth.
fn truthy(json: &Json) -> bool {
    match json {
        Json::Bool(value) => *value,
        Json::Number(number) => number.as_f64().is_some_and(|n| n != 0.0 && !n.is_nan()),
        Json::Null => false,
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(_) => true,
    }
}

/// A function of a literal, known now.
pub(crate) fn apply(function: Function, text: &str) -> String {
    match function {
        Function::Upper => text.to_uppercase(),
        Function::Lower => text.to_lowercase(),
        Function::Trim => text.trim().to_owned(),
        Function::Len => text.chars().count().to_string(),
        Function::UrlEncode => text
            .bytes()
            .map(|b| {
                if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                    char::from(b).to_string()
                } else {
                    format!("%{b:02X}")
                }
            })
            .collect(),
    }
}
