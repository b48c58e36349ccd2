//! References (§2.9): the target's id, made of the caller's columns.

use super::Checker;
use super::object::member;
use super::scope::{Resolved, Scope};
use super::value::{Made, Place};
use crate::fhir::elements::{child_type_path, elements, json_member};
use crate::mapping::diagnostic::{Diagnostic, nearest};
use crate::mapping::source::Span;
use crate::mapping::syntax::Piece;
use crate::mapping::syntax::reference::{self, Reference, ReferenceArg};
use crate::mapping::syntax::template::join;
use crate::mapping::tree::{
    Arg, ColumnRef, Expr, Function, ItemKind, Member, Name, Object, Part, Refers, Test, Text, Value,
};

/// Where a reference stands, for M401 and M402.
struct Wanted<'p> {
    place: &'p Place,
    targets: &'p [&'static str],
}

impl<'a> Checker<'a> {
    /// `patient(patient_id)` as a Reference.
    pub(super) fn reference(&mut self, scope: &Scope<'a>, place: &Place, piece: Piece<'a>) -> Made<Value> {
        let span = piece.span();
        self.reference_member(scope, place, piece).map(|reference| {
            Value::Object(Object { type_path: "Reference".to_owned(), members: vec![reference], span })
        })
    }

    /// The `reference` member of a Reference at `place`.
    pub(super) fn reference_member(&mut self, scope: &Scope<'a>, place: &Place, piece: Piece<'a>) -> Made<Member> {
        let parsed = match reference::reference(piece) {
            Ok(parsed) => parsed,
            Err(diagnostic) => {
                let diagnostic = if piece.text.contains("{{") || piece.text.contains('/') {
                    diagnostic.note(format!("{} is a Reference", place.subject()))
                } else {
                    *diagnostic
                };
                self.report.add(diagnostic);
                return Made::Wrong;
            }
        };
        let span = piece.span();
        let Some((element, ty)) = json_member("Reference", "reference") else { return Made::Wrong };
        self.reference_parts(scope, parsed, Some(place)).map(|(parts, refers)| {
            let inner = Place::new(element, ty, format!("{}.reference", place.path));
            let expr = match parts.as_slice() {
                [Part::Literal(text)] => Expr::Constant(super::constant::quote(text)),
                _ => Expr::Text(Text { parts, refers: Some(refers), html: false, span }),
            };
            member("reference", Value::Leaf(inner.leaf(expr, false, span)), span)
        })
    }

    /// The text of a reference: the target's type and its id over the arguments.
    pub(super) fn reference_parts(
        &mut self,
        scope: &Scope<'a>,
        reference: Reference,
        place: Option<&Place>,
    ) -> Made<(Vec<Part>, Refers)> {
        let targets: &[&'static str] = place.map_or(&[], |place| &place.ty.targets);
        let wanted = place.map(|place| Wanted { place, targets });
        let Some(at) = self.heads.iter().position(|head| head.name == reference.mapping.text) else {
            if self.broken.contains(&reference.mapping.text) {
                return Made::Wrong;
            }
            self.report.add(self.unknown_mapping(&reference.mapping, wanted.as_ref()));
            return Made::Wrong;
        };
        let (Some(head), Some(target)) = (self.heads.get(at), self.mappings.get(at)) else { return Made::Wrong };
        let key: Vec<String> = target.header.key.iter().map(|name| name.text.clone()).collect();
        let (resource_type, id) = (head.resource_type, head.id.clone());
        let mut wrong = false;
        if let (Some(resource_type), Some(wanted)) = (resource_type, &wanted)
            && !wanted.targets.is_empty()
            && !wanted.targets.contains(&"Resource")
            && !wanted.targets.contains(&resource_type)
        {
            self.report.add(self.wrong_type(scope, &reference.mapping, resource_type, wanted));
            wrong = true;
        }
        if key.len() != reference.args.len() {
            self.report.add(wrong_count(&reference, &key));
            wrong = true;
        }
        let mut args = Vec::new();
        for arg in reference.args {
            let resolved = match arg {
                ReferenceArg::Literal(text) => Some(Given::Literal(text)),
                ReferenceArg::Column(column) => self.reference_arg(scope, column),
            };
            match resolved {
                Some(Given::Absent) => return Made::Absent,
                Some(given) => args.push(given),
                None => wrong = true,
            }
        }
        let (false, Some(resource_type), Some(id)) = (wrong, resource_type, id) else { return Made::Wrong };
        let refers = Refers { mapping: reference.mapping.text, args: args.iter().filter_map(Given::arg).collect() };
        let given: Vec<(&str, &Given)> = key.iter().map(String::as_str).zip(&args).collect();
        let mut parts = vec![Part::Literal(format!("{resource_type}/"))];
        parts.extend(substitute(id.parts, &given));
        Made::Value((join(parts), refers))
    }

    fn reference_arg(&mut self, scope: &Scope<'a>, column: ColumnRef) -> Option<Given> {
        let span = column.span;
        let resolved = match self.resolve(scope, column) {
            Resolved::Argument(node, outer) => self.bare_column(node, &outer),
            resolved => Some(resolved),
        };
        match resolved {
            Some(Resolved::Column(column)) => Some(Given::Column(column)),
            Some(Resolved::Constant(text)) => Some(Given::Literal(text)),
            Some(Resolved::Absent) => Some(Given::Absent),
            Some(Resolved::Wrong | Resolved::Argument(..)) => None,
            None => {
                let message = "arguments of a reference are columns and literals";
                self.report.add(Diagnostic::error("M603", span, message).label("given more than one column"));
                None
            }
        }
    }

    fn unknown_mapping(&self, name: &Name, wanted: Option<&Wanted<'_>>) -> Diagnostic {
        let diagnostic = Diagnostic::error("M401", name.span, format!("no mapping named `{}`", name.text));
        let names = self.heads.iter().map(|head| head.name.as_str());
        let near = nearest(&name.text, names);
        let diagnostic = match wanted {
            None => diagnostic,
            Some(wanted) => {
                let diagnostic = diagnostic.label(format!("{} needs a Reference", wanted.place.element.path));
                let any = wanted.targets.is_empty() || wanted.targets.contains(&"Resource");
                let fits = |ty: &str| any || wanted.targets.contains(&ty);
                let makers: Vec<&str> = self
                    .heads
                    .iter()
                    .filter(|head| head.resource_type.is_some_and(fits))
                    .map(|head| head.name.as_str())
                    .collect();
                let types = if any { "a resource".to_owned() } else { article(&one_of(wanted.targets)) };
                let makers = if makers.is_empty() { "none".to_owned() } else { makers.join(", ") };
                diagnostic.note(format!("mappings that make {types}: {makers}"))
            }
        };
        match near {
            Some(near) => diagnostic.edit("did you mean", name.span, near),
            None => diagnostic,
        }
    }

    fn wrong_type(&self, scope: &Scope<'_>, name: &Name, ty: &str, wanted: &Wanted<'_>) -> Diagnostic {
        let element = wanted.place.element.path;
        let message = format!("{element} cannot refer to {}", article(ty));
        let at = self.heads.iter().position(|head| head.name == name.text);
        let file =
            at.and_then(|at| self.mappings.get(at)).map(|mapping| self.sources.get(mapping.source).path.as_str());
        let diagnostic = Diagnostic::error("M402", name.span, message);
        let diagnostic = diagnostic.label(format!("makes {ty} ({})", file.unwrap_or_default()));
        let diagnostic = diagnostic.note(format!("allowed: {}", wanted.targets.join(", ")));
        let root = scope.rows.first().and_then(|row| match row {
            super::scope::RowScope::Root(mapping) => self.heads.iter().find(|head| head.name == mapping.name),
            _ => None,
        });
        let better = root.and_then(|head| head.resource_type).and_then(|root| place_for(root, ty, &name.text));
        match better {
            Some(better) => diagnostic.help(format!("{} belongs in `{better}`", article(ty))),
            None => diagnostic,
        }
    }

    /// M408: `#id` without a contained resource of that id.
    pub(super) fn local_references(&mut self, root: Option<&Object>) {
        let Some(root) = root else { return };
        let mut ids = Vec::new();
        let mut open = false;
        for member in root.members.iter().filter(|member| member.name == "contained") {
            contained_ids(&member.value, &mut ids, &mut open);
        }
        if open {
            return;
        }
        let mut found = Vec::new();
        local_texts(root, &mut found);
        for (id, span) in found {
            if id.is_empty() || ids.iter().any(|(known, _)| *known == id) {
                continue;
            }
            let message = format!("no contained resource has the id `{id}`");
            let diagnostic = Diagnostic::error("M408", span, message);
            let known: Vec<&str> = ids.iter().map(|(id, _)| id.as_str()).collect();
            self.report.add(match nearest(&id, known.iter().copied()) {
                Some(near) => diagnostic.help(format!("did you mean `#{near}`?")),
                None if known.is_empty() => diagnostic.help("put the resource under `contained:`"),
                None => diagnostic.note(format!("contained ids: {}", known.join(", "))),
            });
        }
    }
}

/// An argument of a reference.
enum Given {
    Column(ColumnRef),
    Literal(String),
    Absent,
}

impl Given {
    fn arg(&self) -> Option<Arg> {
        match self {
            Self::Column(column) => Some(Arg::Column(column.clone())),
            Self::Literal(text) => Some(Arg::Literal(text.clone())),
            Self::Absent => None,
        }
    }
}

fn wrong_count(reference: &Reference, key: &[String]) -> Diagnostic {
    let name = &reference.mapping.text;
    let (given, wanted) = (reference.args.len(), key.len());
    let columns = if wanted == 1 { "1 column" } else { &format!("{wanted} columns") };
    let message =
        format!("the key of `{name}` has {columns}, and {given} {} given", if given == 1 { "is" } else { "are" });
    Diagnostic::error("M403", reference.args_span, message)
        .label(format!("`{name}({})` expected", key.join(", ")))
        .note(format!("key of `{name}`: {}", key.join(", ")))
}

/// `Patient, Group or Device`.
fn one_of(types: &[&str]) -> String {
    match types {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn article(noun: &str) -> String {
    let an = noun.starts_with(['A', 'E', 'I', 'O']);
    format!("{} {noun}", if an { "an" } else { "a" })
}

/// An element of the resource (or one level down) whose references may point to `ty`, as it would be written.
fn place_for(root: &str, ty: &str, mapping: &str) -> Option<String> {
    let fits = |element: &crate::fhir::elements::Element| {
        element.types.iter().any(|other| other.code == "Reference" && other.targets.contains(&ty))
    };
    let listed = |list: bool, inner: String| if list { format!("[{inner}]") } else { inner };
    let written = format!("{mapping}(…)");
    if let Some(element) = elements(root).iter().find(|element| fits(element)) {
        let name = element.name.trim_end_matches("[x]");
        return Some(format!("{name}: {}", listed(element.is_list(), written)));
    }
    elements(root).iter().find_map(|outer| {
        let path = child_type_path(outer, outer.types.first()?);
        let inner = elements(&path).iter().filter(|_| path.contains('.')).find(|element| fits(element))?;
        let object = format!("{{{}: {}}}", inner.name, listed(inner.is_list(), written.clone()));
        Some(format!("{}: {}", outer.name, listed(outer.is_list(), object)))
    })
}

/// The parts of an id with `column` for its only key column: as a reference by that column has them.
pub(in crate::mapping) fn over(parts: Vec<Part>, key: &str, column: &ColumnRef) -> Vec<Part> {
    substitute(parts, &[(key, &Given::Column(column.clone()))])
}

/// The parts of an id with key columns replaced by what is given for them.
fn substitute(parts: Vec<Part>, given: &[(&str, &Given)]) -> Vec<Part> {
    parts.into_iter().flat_map(|part| replace(part, given)).collect()
}

fn replace(part: Part, given: &[(&str, &Given)]) -> Vec<Part> {
    vec![match part {
        Part::Column(column) => match find(given, &column) {
            Some(Given::Column(column)) => Part::Column(column.clone()),
            Some(Given::Literal(text)) => Part::Literal(text.clone()),
            _ => Part::Column(column),
        },
        Part::Apply(function, column) => match find(given, &column) {
            Some(Given::Column(column)) => Part::Apply(function, column.clone()),
            Some(Given::Literal(text)) => Part::Literal(apply(function, text)),
            _ => Part::Apply(function, column),
        },
        Part::Uuid { namespace, args } => Part::Uuid { namespace, args: arguments(args, given) },
        Part::Sha256(args) => Part::Sha256(arguments(args, given)),
        Part::When { test, then, otherwise } => {
            let (then, otherwise) = (substitute(then, given), substitute(otherwise, given));
            match decide(test, given) {
                Ok(test) => Part::When { test, then, otherwise },
                Err(true) => return then,
                Err(false) => return otherwise,
            }
        }
        part @ (Part::Literal(_) | Part::Render { .. }) => part,
    }]
}

fn find<'g>(given: &[(&str, &'g Given)], column: &ColumnRef) -> Option<&'g Given> {
    given.iter().find(|(name, _)| *name == column.name).map(|(_, given)| *given)
}

fn arguments(args: Vec<Arg>, given: &[(&str, &Given)]) -> Vec<Arg> {
    let one = |arg| match arg {
        Arg::Column(column) => match find(given, &column) {
            Some(Given::Column(column)) => Arg::Column(column.clone()),
            Some(Given::Literal(text)) => Arg::Literal(text.clone()),
            _ => Arg::Column(column),
        },
        literal @ Arg::Literal(_) => literal,
    };
    args.into_iter().map(one).collect()
}

/// A test over the given columns, or its outcome when that is known.
fn decide(test: Test, given: &[(&str, &Given)]) -> Result<Test, bool> {
    match test {
        Test::Truthy(column) => match find(given, &column) {
            Some(Given::Column(column)) => Ok(Test::Truthy(column.clone())),
            Some(Given::Literal(text)) => Err(!text.is_empty() && text != "0" && text != "false"),
            _ => Ok(Test::Truthy(column)),
        },
        Test::Not(inner) => decide(*inner, given).map(|test| Test::Not(Box::new(test))).map_err(|known| !known),
        Test::And(tests) => junction(tests, given, false).map(Test::And),
        Test::Or(tests) => junction(tests, given, true).map(Test::Or),
        Test::Eq(left, right) => match arguments(vec![left, right], given).as_slice() {
            [Arg::Literal(left), Arg::Literal(right)] => Err(left == right),
            [left, right] => Ok(Test::Eq(left.clone(), right.clone())),
            _ => Err(false),
        },
    }
}

fn junction(tests: Vec<Test>, given: &[(&str, &Given)], any: bool) -> Result<Vec<Test>, bool> {
    let mut open = Vec::new();
    for test in tests {
        match decide(test, given) {
            Ok(test) => open.push(test),
            Err(known) if known == any => return Err(any),
            Err(_) => {}
        }
    }
    if open.is_empty() { Err(!any) } else { Ok(open) }
}

fn apply(function: Function, text: &str) -> String {
    crate::mapping::syntax::template::apply(function, text)
}

fn contained_ids(value: &Value, ids: &mut Vec<(String, Span)>, open: &mut bool) {
    match value {
        Value::Leaf(_) => *open = true,
        Value::List(items) => {
            for item in items {
                match &item.kind {
                    ItemKind::One(value) => contained_ids(value, ids, open),
                    ItemKind::Each { body, .. } => contained_ids(body, ids, open),
                }
            }
        }
        Value::Object(resource) => {
            for id in resource.members.iter().filter(|member| member.name == "id") {
                match &id.value {
                    Value::Leaf(leaf) => match &leaf.expr {
                        Expr::Constant(json) => ids.push((unquoted(json), leaf.span)),
                        _ => *open = true,
                    },
                    _ => *open = true,
                }
            }
        }
    }
}

fn local_texts(object: &Object, found: &mut Vec<(String, Span)>) {
    for member in &object.members {
        local_in(&member.value, object.type_path == "Reference" && member.name == "reference", found);
    }
}

fn local_in(value: &Value, is_reference: bool, found: &mut Vec<(String, Span)>) {
    match value {
        Value::Leaf(leaf) => {
            if let (true, Expr::Constant(json)) = (is_reference, &leaf.expr)
                && let Some(id) = unquoted(json).strip_prefix('#')
            {
                found.push((id.to_owned(), leaf.span));
            }
        }
        Value::Object(object) => local_texts(object, found),
        Value::List(items) => {
            for item in items {
                match &item.kind {
                    ItemKind::One(value) => local_in(value, false, found),
                    ItemKind::Each { body, .. } => local_in(body, false, found),
                }
            }
        }
    }
}

/// The text of a JSON string.
fn unquoted(json: &str) -> String {
    serde_json::from_str(json).unwrap_or_default()
}
