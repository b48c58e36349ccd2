//! Templates and the coding shorthand, with their names resolved.

use super::Checker;
use super::constant::{is_div, is_uri_type, quote, unescaped};
use super::object::member;
use super::scope::{Resolved, Scope};
use super::value::{Made, Place};
use crate::fhir::elements::{codes, json_member};
use crate::mapping::diagnostic::{Diagnostic, nearest};
use crate::mapping::source::Span;
use crate::mapping::syntax::coding::{self, Coding};
use crate::mapping::syntax::reference::Reference;
use crate::mapping::syntax::template::{self, Compiled, Named, Names};
use crate::mapping::syntax::{Piece, column};
use crate::mapping::tree::{ColumnRef, Expr, Item, ItemKind, Object, Part, Text, Value};

/// What a template's names mean in a scope.
struct TemplateNames<'c, 'a> {
    checker: &'c mut Checker<'a>,
    scope: &'c Scope<'a>,
    /// In `id:`, which is read before references can be.
    in_id: bool,
    wrong: bool,
}

impl Names for TemplateNames<'_, '_> {
    fn named(&mut self, column: ColumnRef) -> Named {
        let span = column.span;
        match self.checker.resolve(self.scope, column) {
            Resolved::Column(column) => Named::Column(column),
            Resolved::Constant(text) => Named::Parts(vec![Part::Literal(text)]),
            Resolved::Absent => Named::Empty,
            Resolved::Wrong => {
                self.wrong = true;
                Named::Empty
            }
            Resolved::Argument(node, outer) => match self.checker.argument_text(node, &outer, span) {
                Made::Value(named) => named,
                Made::Absent => Named::Empty,
                Made::Wrong => {
                    self.wrong = true;
                    Named::Empty
                }
            },
        }
    }

    fn reference(&mut self, reference: Reference) -> Option<Vec<Part>> {
        if self.in_id {
            let message = "an id holds no reference; it is made of the mapping's own key";
            self.report(Diagnostic::error("M404", reference.mapping.span, message));
            return None;
        }
        match self.checker.reference_parts(self.scope, reference, None) {
            Made::Value((parts, _)) => Some(parts),
            Made::Absent | Made::Wrong => {
                self.wrong = true;
                None
            }
        }
    }

    fn namespace(&self) -> [u8; 16] {
        self.checker.project.namespace
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.wrong = true;
        self.checker.report.add(diagnostic);
    }
}

impl<'a> Checker<'a> {
    /// What a fragment's argument is inside a template.
    fn argument_text(&mut self, node: &'a crate::mapping::yaml::Node, outer: &Scope<'a>, used: Span) -> Made<Named> {
        match self.bare_column(node, outer) {
            Some(Resolved::Column(column)) => return Made::Value(Named::Column(column)),
            Some(Resolved::Constant(text)) => return Made::Value(Named::Parts(vec![Part::Literal(text)])),
            Some(Resolved::Absent) => return Made::Absent,
            Some(Resolved::Wrong | Resolved::Argument(..)) => return Made::Wrong,
            None => {}
        }
        match Piece::of(node) {
            Some(piece) if template::is_template(piece.text) && !column::is_columns(piece.text) => {
                self.text(outer, piece, false, false).map(|text| Named::Parts(text.parts))
            }
            _ => {
                let message = "inside a template an argument is one column, a template or a constant";
                let diagnostic = Diagnostic::error("M603", self.first_line(node), message);
                self.report.add(diagnostic.also(used, "used here"));
                Made::Wrong
            }
        }
    }

    /// A template's text.
    pub(super) fn text(&mut self, scope: &Scope<'a>, piece: Piece<'_>, html: bool, in_id: bool) -> Made<Text> {
        let mut names = TemplateNames { checker: self, scope, in_id, wrong: false };
        let compiled = template::compile(piece, html, &mut names);
        match compiled {
            _ if names.wrong => Made::Wrong,
            None => Made::Wrong,
            Some(Compiled::Empty) => Made::Absent,
            Some(Compiled::Text(text)) => Made::Value(text),
        }
    }

    /// A template at a place of primitive type.
    pub(super) fn template(&mut self, scope: &Scope<'a>, place: &Place, piece: Piece<'_>) -> Made<Value> {
        let ty = place.ty.code;
        if matches!(ty, "boolean" | "integer" | "positiveInt" | "unsignedInt" | "decimal" | "base64Binary") {
            let message = format!("a template writes text, and {} is a {ty}", place.subject());
            let diagnostic = Diagnostic::error("M204", piece.span(), message).label("text -> ".to_owned() + ty);
            self.report.add(diagnostic.help("write `$column`, and compute the value in the query"));
            return Made::Wrong;
        }
        let html = ty == "xhtml";
        if html && !is_div(piece.text) {
            let message = format!("{} is one XHTML `<div>`", place.subject());
            let diagnostic = Diagnostic::error("M205", piece.span(), message);
            self.report.add(diagnostic.label("`<div xmlns=\"http://www.w3.org/1999/xhtml\">…</div>` expected"));
            return Made::Wrong;
        }
        let text = match self.text(scope, piece, html, false) {
            Made::Value(text) => text,
            Made::Absent => return Made::Absent,
            Made::Wrong => return Made::Wrong,
        };
        self.written(place, text)
    }

    /// A text at a place: a constant when nothing in it depends on a row.
    pub(super) fn written(&mut self, place: &Place, text: Text) -> Made<Value> {
        let span = text.span;
        let literal = match text.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(literal)] => Some(literal.as_str()),
            _ => None,
        };
        let expr = match literal {
            Some(literal) => self.constant(place, literal, span).map(Expr::Constant),
            None => Some(Expr::Text(text)),
        };
        Made::from_option(expr.map(|expr| Value::Leaf(place.leaf(expr, false, span))))
    }

    /// `system#code "display"` as a Coding, or as the only coding of a CodeableConcept.
    pub(super) fn coding(&mut self, scope: &Scope<'a>, place: &Place, piece: Piece<'a>) -> Made<Value> {
        let parts = match coding::coding(piece) {
            Ok(parts) => parts,
            Err(diagnostic) => {
                let mut diagnostic = *diagnostic;
                diagnostic.notes.push(format!("{} is a {}", place.subject(), place.ty.code));
                self.report.add(diagnostic);
                return Made::Wrong;
            }
        };
        let span = piece.span();
        let made = self.coding_object(scope, place, parts, span);
        if place.ty.code == "Coding" {
            return made.map(Value::Object);
        }
        made.map(|coding| {
            let item = Item { guards: Vec::new(), kind: ItemKind::One(Value::Object(coding)) };
            let members = vec![member("coding", Value::List(vec![item]), span)];
            Value::Object(Object { type_path: "CodeableConcept".to_owned(), members, span })
        })
    }

    fn coding_object(&mut self, scope: &Scope<'a>, place: &Place, parts: Coding<'a>, span: Span) -> Made<Object> {
        let prefix = if place.ty.code == "Coding" { "" } else { ".coding" };
        let mut members = Vec::new();
        let (mut wrong, mut absent) = (false, false);
        let mut constants = Vec::new();
        for (name, piece) in [("system", Some(parts.system)), ("code", Some(parts.code)), ("display", parts.display)] {
            let Some((piece, (element, ty))) = piece.zip(json_member("Coding", name)) else { continue };
            let mut part = Place::new(element, ty, format!("{}{prefix}.{name}", place.path));
            let made = if template::is_template(piece.text) {
                part.binding = place.binding.filter(|_| name == "code");
                self.template(scope, &part, piece)
            } else {
                let json = self.constant(&part, piece.text, piece.span());
                constants.extend(json.as_ref().map(|json| (name, json.clone())));
                Made::from_option(json.map(|json| Value::Leaf(part.leaf(Expr::Constant(json), false, piece.span()))))
            };
            match made {
                Made::Value(value) => members.push(member(name, value, piece.span())),
                Made::Absent => absent |= name == "code",
                Made::Wrong => wrong = true,
            }
        }
        let constant = |name: &str| constants.iter().find(|(other, _)| *other == name).map(|(_, json)| json.as_str());
        if let (Some(list), Some(code)) = (place.binding.and_then(codes), constant("code")) {
            let known = list.iter().any(|(system, known)| {
                quote(known) == code && constant("system").is_none_or(|json| quote(system) == json)
            });
            if !known {
                self.coding_not_allowed(place, parts, list);
                wrong = true;
            }
        }
        match (wrong, absent) {
            (true, _) => Made::Wrong,
            (false, true) => Made::Absent,
            (false, false) => Made::Value(Object { type_path: "Coding".to_owned(), members, span }),
        }
    }

    fn coding_not_allowed(&mut self, place: &Place, parts: Coding<'_>, list: &crate::fhir::elements::CodeList) {
        let shown = format!("{}#{}", parts.system.text, parts.code.text);
        let known_code = list.iter().find(|(_, code)| *code == parts.code.text);
        let span = if known_code.is_some() { parts.system.span() } else { parts.code.span() };
        let message = format!("`{shown}` is not allowed in {}", place.subject());
        let diagnostic = Diagnostic::error("M205", span, message);
        let diagnostic = diagnostic.label(format!("required value set {}", list.name()));
        if let Some((system, _)) = known_code {
            self.report.add(diagnostic.note(format!("the code is allowed with system {system}")));
            return;
        }
        let diagnostic = diagnostic.note(super::constant::allowed(list));
        self.report.add(match nearest(parts.code.text, list.iter().map(|(_, code)| code)) {
            Some(near) => diagnostic.edit("did you mean", span, near),
            None => diagnostic,
        });
    }

    /// JSON text of a constant that stands last in a column expression.
    pub(super) fn constant_json(&mut self, place: &Place, text: &str, span: Span) -> Option<String> {
        if place.is_primitive() {
            return self.constant(place, text, span);
        }
        if !matches!(place.ty.code, "Coding" | "CodeableConcept") {
            let message = format!("a constant cannot stand for {}, an object", place.subject());
            self.report.add(Diagnostic::error("M105", span, message));
            return None;
        }
        let name = crate::mapping::tree::Name { text: text.to_owned(), span };
        let piece = unescaped(Piece::name(&name));
        let parts = match coding::coding(piece) {
            Ok(parts) => parts,
            Err(diagnostic) => {
                self.report.add(*diagnostic);
                return None;
            }
        };
        let mut json = String::from("{");
        for (key, piece) in [("system", Some(parts.system)), ("code", Some(parts.code)), ("display", parts.display)] {
            let Some((piece, (element, ty))) = piece.zip(json_member("Coding", key)) else { continue };
            let part = Place::new(element, ty, format!("{}.{key}", place.path));
            let value = self.constant(&part, piece.text, piece.span())?;
            json.push_str(if json.len() > 1 { "," } else { "" });
            json.push_str(&["\"", key, "\":", &value].concat());
        }
        json.push('}');
        if let Some(list) = place.binding.and_then(codes)
            && !list.contains(parts.code.text)
        {
            self.coding_not_allowed(place, parts, list);
            return None;
        }
        Some(if place.ty.code == "Coding" { json } else { format!("{{\"coding\":[{json}]}}") })
    }

    /// Whether `$column` can stand for a value of this type through a code map.
    pub(super) fn takes_codes(place: &Place) -> bool {
        let ty = place.ty.code;
        matches!(ty, "Coding" | "CodeableConcept")
            || is_uri_type(ty)
            || matches!(ty, "code" | "string" | "markdown" | "id" | "boolean" | "integer" | "positiveInt")
    }
}
