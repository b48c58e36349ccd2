//! What stands behind a member or in a list: classified (§2.4), with cardinality.

use super::Checker;
use super::constant::unescaped;
use super::scope::{Folded, Resolved, RowScope, Scope};
use crate::fhir::elements::{Element, ElementType, TypeKind, child_type_path, codes, type_kind};
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::source::Span;
use crate::mapping::syntax::{Piece, column, condition, template};
use crate::mapping::tree::{
    ColumnExpr, ColumnRef, Condition, Expr, Item, ItemKind, Leaf, List, Name, Over, Term, Value,
};
use crate::mapping::yaml::{Entry, Kind, Node};

/// Where a value stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) element: &'static Element,
    pub(super) ty: &'static ElementType,
    /// `Patient.name.given`.
    pub(super) path: String,
    /// Closed value set bound as required.
    pub(super) binding: Option<&'static str>,
    /// `url` of an extension inside an extension, which may be a short name.
    pub(super) short_url: bool,
    /// Another name for the element in messages.
    pub(super) subject: Option<String>,
    /// Of `Reference.reference`: the type whose targets count.
    pub(super) reference_type: Option<&'static ElementType>,
}

/// What became of a value.
#[derive(Debug)]
pub(super) enum Made<T> {
    Value(T),
    /// A fragment's argument was left out, so it is always empty.
    Absent,
    /// Reported.
    Wrong,
}

impl<T> Made<T> {
    pub(super) fn map<U>(self, with: impl FnOnce(T) -> U) -> Made<U> {
        match self {
            Made::Value(value) => Made::Value(with(value)),
            Made::Absent => Made::Absent,
            Made::Wrong => Made::Wrong,
        }
    }

    pub(super) fn from_option(value: Option<T>) -> Self {
        value.map_or(Made::Wrong, Made::Value)
    }
}

impl Place {
    pub(super) fn new(element: &'static Element, ty: &'static ElementType, path: String) -> Self {
        let binding = element.required_value_set.filter(|set| codes(set).is_some());
        Self { element, ty, path, binding, short_url: false, subject: None, reference_type: None }
    }

    /// The element in messages: `Patient.gender`.
    pub(super) fn subject(&self) -> &str {
        self.subject.as_deref().unwrap_or(self.element.path)
    }

    pub(super) fn is_primitive(&self) -> bool {
        type_kind(self.ty.code) == Some(TypeKind::Primitive)
    }

    pub(super) fn leaf(&self, expr: Expr, list: bool, span: Span) -> Leaf {
        Leaf {
            fhir_type: self.ty.code.to_owned(),
            path: self.path.clone(),
            required_binding: self.binding.map(str::to_owned),
            list,
            expr,
            span,
        }
    }

    fn range(&self) -> String {
        let max = self.element.max.map_or_else(|| "*".to_owned(), |max| max.to_string());
        format!("{}..{max}", self.element.min)
    }
}

impl<'a> Checker<'a> {
    /// The value of a member: a list where FHIR has one, else one value.
    pub(super) fn value(&mut self, scope: &Scope<'a>, place: &Place, node: &'a Node) -> Made<Value> {
        if place.element.is_list() { self.list(scope, place, node) } else { self.one(scope, place, node) }
    }

    /// A value where FHIR wants a list.
    pub(super) fn list(&mut self, scope: &Scope<'a>, place: &Place, node: &'a Node) -> Made<Value> {
        let items = match &node.kind {
            Kind::Seq(items) => items,
            Kind::Scalar(_) => return self.list_scalar(scope, place, node),
            Kind::Map(_) => {
                self.report.add(self.not_a_list(place, node));
                return Made::Wrong;
            }
        };
        if items.is_empty() {
            let diagnostic = Diagnostic::error("M105", node.span, format!("{} has no items", place.subject()));
            self.report.add(diagnostic.help("leave the element out"));
            return Made::Wrong;
        }
        let mut list = ListBuilder::default();
        for item in items {
            self.item(scope, place, item, &[], &mut list);
        }
        if list.wrong {
            return Made::Wrong;
        }
        // Items that only an argument left out would have filled are no items; constant ones stay.
        if list.items.is_empty() { Made::Absent } else { Made::Value(Value::List(list.items)) }
    }

    /// A scalar where FHIR wants a list: an array or json column fills it, nothing else does.
    fn list_scalar(&mut self, scope: &Scope<'a>, place: &Place, node: &'a Node) -> Made<Value> {
        let Some(piece) = self.some_text(place, node) else { return Made::Wrong };
        if !column::is_columns(piece.text) {
            self.report.add(self.not_a_list(place, node));
            return Made::Wrong;
        }
        let columns = match column::columns(piece) {
            Ok(columns) => columns,
            Err(diagnostic) => {
                self.report.add(*diagnostic);
                return Made::Wrong;
            }
        };
        if columns.fallback.is_some() || columns.terms.iter().any(|term| term.via.is_some()) {
            self.report.add(self.not_a_list(place, node));
            return Made::Wrong;
        }
        let mut terms = Vec::new();
        for term in &columns.terms {
            match self.resolve(scope, term.column.clone()) {
                Resolved::Column(column) => terms.push(Term { column, via: None }),
                Resolved::Argument(argument, outer) if columns.terms.len() == 1 => {
                    return self.list(&outer, place, argument);
                }
                Resolved::Absent => {}
                Resolved::Wrong => return Made::Wrong,
                Resolved::Constant(_) | Resolved::Argument(..) => {
                    self.report.add(self.not_a_list(place, node));
                    return Made::Wrong;
                }
            }
        }
        if terms.is_empty() {
            return Made::Absent;
        }
        let expr = Expr::Column(ColumnExpr { terms, fallback: None });
        Made::Value(Value::Leaf(place.leaf(expr, true, piece.span())))
    }

    /// M203: one value, and FHIR wants a list.
    fn not_a_list(&self, place: &Place, node: &Node) -> Diagnostic {
        let diagnostic = Diagnostic::error("M203", self.first_line(node), format!("{} is a list", place.subject()));
        let range = place.range();
        let diagnostic = diagnostic.label(format!("one {}; FHIR wants a list of them ({range})", place.ty.code));
        if node.entries().and_then(<[Entry]>::first).is_some_and(|entry| entry.key.text.starts_with("$each")) {
            return diagnostic.help("`$each` is an item: write `- $each …:` and indent what it repeats");
        }
        let written = self.sources.slice(node.span);
        if node.entries().is_some() && !written.starts_with('{') {
            return diagnostic.help("put `- ` before its first member and indent the others by 2");
        }
        let plain = !written.starts_with(['"', '\'', '{', '|', '>']);
        let edit = match (plain, written.contains([',', '[', ']', '{', '}'])) {
            (true, true) if !written.contains(['"', '\\']) => format!("[\"{written}\"]"),
            (true, true) => format!("['{}']", written.replace('\'', "''")),
            _ => format!("[{written}]"),
        };
        if written.is_empty() || written.contains('\n') {
            return diagnostic.help("make it a list of one");
        }
        diagnostic.edit("make it a list of one", node.span, edit)
    }

    /// The node's characters on its first line: what a message about a whole object points at.
    pub(super) fn first_line(&self, node: &Node) -> Span {
        if let Some(first) = node.entries().and_then(<[Entry]>::first)
            && !self.sources.slice(node.span).starts_with('{')
        {
            return first.key.span;
        }
        let written = self.sources.slice(node.span);
        let end = written.find('\n').map_or(node.span.end, |len| node.span.start + len as u32);
        Span { end, ..node.span }
    }

    fn item(&mut self, scope: &Scope<'a>, place: &Place, node: &'a Node, guards: &[Condition], list: &mut ListBuilder) {
        if let Some(entries) = node.entries() {
            if let [Entry { key, value }] = entries {
                if key.text.starts_with("$each") {
                    let item = self.each(scope, place, (key, value), guards);
                    return list.push(item);
                }
                if key.text.starts_with("$if") && value.entries().is_some() {
                    match self.guard(scope, key) {
                        Some(Folded::Always) => self.item(scope, place, value, guards, list),
                        Some(Folded::When(condition)) => {
                            let guards = [guards, &[condition]].concat();
                            self.item(scope, place, value, &guards, list);
                        }
                        Some(Folded::Never) => {}
                        None => list.wrong = true,
                    }
                    return;
                }
            } else if let Some(entry) = entries.iter().find(|entry| entry.key.text.starts_with("$each")) {
                let diagnostic = Diagnostic::error("M109", entry.key.span, "`$each` stands alone in its item");
                self.report.add(diagnostic.help("give it an item of its own: `- $each …:`"));
                list.wrong = true;
                return;
            }
        }
        let item = self.one(scope, place, node);
        list.push(item.map(|value| Item { guards: guards.to_vec(), kind: ItemKind::One(value) }));
    }

    fn each(
        &mut self,
        scope: &Scope<'a>,
        place: &Place,
        (key, body): (&'a Name, &'a Node),
        guards: &[Condition],
    ) -> Made<Item> {
        let key = Piece::name(key);
        let name = key.part("$each".len(), key.text.len()).trim();
        if name.text.is_empty() {
            let diagnostic = Diagnostic::error("M109", key.span(), "`$each` names what it repeats for");
            self.report.add(diagnostic.help("write `- $each name:` with a list of the header"));
            return Made::Wrong;
        }
        if scope.params.is_some() {
            let diagnostic = Diagnostic::error("M109", key.span(), "a fragment has no rows, so it has no `$each`");
            self.report.add(diagnostic.help("repeat the `$use` instead: `- $each name: {$use …}`"));
            return Made::Wrong;
        }
        let Some((over, row)) = self.over(scope, name) else { return Made::Wrong };
        let span = name.span();
        self.one(&scope.inner(row), place, body).map(|body| {
            let kind = ItemKind::Each { over, span, body: Box::new(body) };
            Item { guards: guards.to_vec(), kind }
        })
    }

    /// What `$each name` iterates.
    fn over(&mut self, scope: &Scope<'a>, name: Piece<'_>) -> Option<(Over, RowScope<'a>)> {
        let (lists, at) = scope.lists();
        if let Some(n) = lists.iter().position(|list| list.name.text == name.text) {
            let at = [at, &[n]].concat();
            return Some((Over::List(at.clone()), RowScope::List(lists.get(n)?, at)));
        }
        if let Some(RowScope::Root(mapping)) = scope.rows.first()
            && let Some(parent) = parent_of(&mapping.header.lists, name.text)
        {
            let message = match parent {
                Parent::List(parent) => format!("list `{}` stands below list `{}`", name.text, parent.name.text),
                Parent::Root => format!("list `{}` belongs to the mapping's rows, not to an item here", name.text),
            };
            self.report.add(Diagnostic::error("M304", name.span(), message));
            return None;
        }
        let column = match column::path(name) {
            Ok(column) => column,
            Err(diagnostic) => {
                self.report.add(*diagnostic);
                return None;
            }
        };
        match self.resolve(scope, column) {
            Resolved::Column(column) => Some((Over::Column(column), RowScope::Items)),
            Resolved::Constant(_) => {
                let message = format!("`{}` is a constant, not a list", name.text);
                self.report.add(Diagnostic::error("M109", name.span(), message));
                None
            }
            _ => None,
        }
    }

    /// The condition of a `$if` key.
    pub(super) fn guard(&mut self, scope: &Scope<'a>, key: &'a Name) -> Option<Folded> {
        let piece = Piece::name(key);
        let text = piece.part("$if".len(), piece.text.len());
        match condition::condition(text) {
            Ok(condition) => self.condition(scope, condition),
            Err(diagnostic) => {
                self.report.add(*diagnostic);
                None
            }
        }
    }

    /// One value of the element's type.
    pub(super) fn one(&mut self, scope: &Scope<'a>, place: &Place, node: &'a Node) -> Made<Value> {
        match &node.kind {
            Kind::Scalar(_) => self.scalar(scope, place, node),
            Kind::Seq(items) => {
                self.report.add(self.not_one(place, node, items));
                Made::Wrong
            }
            Kind::Map(_) if place.is_primitive() => {
                let message = format!("{} is a {}, not an object", place.subject(), place.ty.code);
                let diagnostic = Diagnostic::error("M105", self.first_line(node), message).label("a scalar expected");
                let name = place.element.name;
                let extension = node.entry("extension").is_some() || node.entry("id").is_some();
                self.report.add(if extension {
                    diagnostic.help(format!("an extension of a primitive stands beside it, under `_{name}`"))
                } else {
                    diagnostic
                });
                Made::Wrong
            }
            Kind::Map(entries) => {
                let at = self.first_line(node);
                if place.ty.code == "Resource" {
                    return self.inner_resource(scope, place, node, entries).map(Value::Object);
                }
                let type_path = child_type_path(place.element, place.ty);
                self.object(scope, &type_path, place, entries, (node.span, at)).map(Value::Object)
            }
        }
    }

    /// M203: a list, and FHIR wants one value.
    fn not_one(&self, place: &Place, node: &Node, items: &[Node]) -> Diagnostic {
        let message = if place.element.is_list() {
            "lists do not nest in FHIR".to_owned()
        } else {
            format!("{} is not a list", place.subject())
        };
        let range = place.range();
        let label = format!("FHIR wants one {} ({range})", place.ty.code);
        let diagnostic = Diagnostic::error("M203", self.first_line(node), message).label(label);
        match items {
            [only] if self.sources.slice(node.span).starts_with('[') => {
                diagnostic.edit("write it without the brackets", node.span, self.sources.slice(only.span))
            }
            _ => diagnostic,
        }
    }

    /// The scalar's text, unless there is none (reported).
    fn some_text(&mut self, place: &Place, node: &'a Node) -> Option<Piece<'a>> {
        let piece = Piece::of(node)?;
        if !piece.text.trim().is_empty() && !node.is_null() {
            return Some(piece);
        }
        let diagnostic = Diagnostic::error("M105", node.span, format!("{} has no value", place.subject()));
        self.report.add(diagnostic.label("nothing to write").help("leave the element out"));
        None
    }

    fn scalar(&mut self, scope: &Scope<'a>, place: &Place, node: &'a Node) -> Made<Value> {
        let Some(piece) = self.some_text(place, node) else { return Made::Wrong };
        if column::is_columns(piece.text) {
            return self.columns(scope, place, piece);
        }
        match place.ty.code {
            "Reference" => return self.reference(scope, place, piece),
            "Coding" | "CodeableConcept" => return self.coding(scope, place, piece),
            code if !place.is_primitive() => {
                let message = format!("{} is an object ({code})", place.subject());
                let diagnostic = Diagnostic::error("M105", node.span, message);
                self.report.add(diagnostic.label(format!("the members of {code} expected: `{{…: …}}`")));
                return Made::Wrong;
            }
            _ => {}
        }
        let piece = unescaped(piece);
        if template::is_template(piece.text) {
            return self.template(scope, place, piece);
        }
        let json = self.constant(place, piece.text, piece.span());
        Made::from_option(json.map(|json| Value::Leaf(place.leaf(Expr::Constant(json), false, piece.span()))))
    }

    /// `$a via map or $b or constant` for one value.
    fn columns(&mut self, scope: &Scope<'a>, place: &Place, piece: Piece<'a>) -> Made<Value> {
        let columns = match column::columns(piece) {
            Ok(columns) => columns,
            Err(diagnostic) => {
                self.report.add(*diagnostic);
                return Made::Wrong;
            }
        };
        // A fragment's parameter alone: its argument is read as if it stood here.
        if let ([term], None) = (columns.terms.as_slice(), columns.fallback)
            && term.via.is_none()
        {
            match self.resolve(scope, term.column.clone()) {
                Resolved::Argument(argument, outer) => return self.one(&outer, place, argument),
                Resolved::Absent => return Made::Absent,
                Resolved::Wrong => return Made::Wrong,
                Resolved::Constant(_) => {}
                Resolved::Column(column) => {
                    self.parameter_type(scope, place, &column);
                    return Made::Value(Value::Leaf(place.leaf(column_expr(column), false, piece.span())));
                }
            }
        }
        let mut expr = ColumnExpr { terms: Vec::new(), fallback: None };
        if !self.terms(scope, place, &columns, &mut expr) {
            return Made::Wrong;
        }
        let expr = match (expr.terms.is_empty(), expr.fallback) {
            (true, None) => return Made::Absent,
            (true, Some(constant)) => Expr::Constant(constant),
            (false, fallback) => Expr::Column(ColumnExpr { terms: expr.terms, fallback }),
        };
        Made::Value(Value::Leaf(place.leaf(expr, false, piece.span())))
    }

    /// Adds the terms of `columns`; false when something is wrong (and reported).
    fn terms(
        &mut self,
        scope: &Scope<'a>,
        place: &Place,
        columns: &column::Columns<'_>,
        expr: &mut ColumnExpr,
    ) -> bool {
        for (n, term) in columns.terms.iter().enumerate() {
            let via = match &term.via {
                None => None,
                Some(map) => match self.map(map, place) {
                    Some(id) => Some(id),
                    None => return false,
                },
            };
            let resolved = match self.resolve(scope, term.column.clone()) {
                Resolved::Argument(argument, outer) => match self.bare_column(argument, &outer) {
                    Some(resolved) => resolved,
                    None if via.is_none() => {
                        if !self.argument_terms(&outer, place, argument, expr) {
                            return false;
                        }
                        continue;
                    }
                    None => {
                        let message = "`via` needs a column, and the argument given here is none";
                        self.report.add(Diagnostic::error("M603", term.column.span, message));
                        return false;
                    }
                },
                resolved => resolved,
            };
            match resolved {
                Resolved::Column(column) => expr.terms.push(Term { column, via }),
                Resolved::Absent => {}
                Resolved::Constant(text) if via.is_none() => {
                    let last = n + 1 == columns.terms.len() && columns.fallback.is_none();
                    if !last && scope.params.is_none() {
                        let message = "a constant stands last, since nothing after it is ever used";
                        self.report.add(Diagnostic::error("M310", term.column.span, message));
                        return false;
                    }
                    expr.fallback = self.constant_json(place, &text, term.column.span);
                    return expr.fallback.is_some();
                }
                Resolved::Constant(_) => {
                    let message = "`via` needs a column, and this is a constant";
                    let code = if scope.params.is_some() { "M603" } else { "M310" };
                    self.report.add(Diagnostic::error(code, term.column.span, message));
                    return false;
                }
                Resolved::Wrong | Resolved::Argument(..) => return false,
            }
        }
        if let Some(fallback) = columns.fallback {
            let fallback = unescaped(fallback);
            expr.fallback = self.constant_json(place, fallback.text, fallback.span());
            return expr.fallback.is_some();
        }
        true
    }

    /// An argument that is a whole column expression, in place of one term.
    fn argument_terms(&mut self, outer: &Scope<'a>, place: &Place, argument: &'a Node, expr: &mut ColumnExpr) -> bool {
        let piece = Piece::of(argument).filter(|piece| column::is_columns(piece.text));
        let Some(columns) = piece.and_then(|piece| column::columns(piece).ok()) else {
            let message = "an argument that is combined with others by `or` must be a column expression";
            self.report.add(Diagnostic::error("M603", self.first_line(argument), message));
            return false;
        };
        self.terms(outer, place, &columns, expr)
    }
}

/// Items being collected.
#[derive(Default)]
struct ListBuilder {
    items: Vec<Item>,
    wrong: bool,
}

impl ListBuilder {
    fn push(&mut self, item: Made<Item>) {
        match item {
            Made::Value(item) => self.items.push(item),
            Made::Absent => {}
            Made::Wrong => self.wrong = true,
        }
    }
}

fn column_expr(column: ColumnRef) -> Expr {
    Expr::Column(ColumnExpr { terms: vec![Term { column, via: None }], fallback: None })
}

/// What a list's rows belong to.
enum Parent<'l> {
    Root,
    List(&'l List),
}

/// Below what a list of this name stands, somewhere in `lists`.
fn parent_of<'l>(lists: &'l [List], name: &str) -> Option<Parent<'l>> {
    if lists.iter().any(|list| list.name.text == name) {
        return Some(Parent::Root);
    }
    lists.iter().find_map(|list| match parent_of(&list.lists, name)? {
        Parent::Root => Some(Parent::List(list)),
        parent @ Parent::List(_) => Some(parent),
    })
}
