//! Objects: members, `$if`, `$use`, `$ref`, choices, and what FHIR requires of them.

use super::Checker;
use super::scope::{Folded, Scope};
use super::value::{Made, Place};
use crate::fhir::elements::{TypeKind, element, heads, json_member, resource_types, type_kind};
use crate::mapping::diagnostic::{Diagnostic, nearest};
use crate::mapping::source::Span;
use crate::mapping::syntax::Piece;
use crate::mapping::tree::{
    ColumnExpr, ColumnRef, Condition, Expr, Item, ItemKind, Leaf, Member, NEWEST, Name, Object, Term, Text, Value,
};
use crate::mapping::yaml::{Entry, Node};

/// An object being read.
pub(super) struct Builder<'p> {
    pub(super) type_path: String,
    pub(super) path: String,
    /// Where the object stands; of a Reference, what it may point to; of a Coding, its binding. `None` at the root.
    place: Option<&'p Place>,
    pub(super) members: Vec<Member>,
    /// Elements met, whatever became of them: name, JSON name, key.
    pub(super) met: Vec<(&'static str, String, Span)>,
    /// Elements that only an argument left out would have filled.
    absent: Vec<&'static str>,
    choices: Vec<String>,
    /// A fragment's members are not known, so nothing can be said to be missing.
    partial: bool,
    wrong: bool,
}

impl<'p> Builder<'p> {
    pub(super) fn new(type_path: &str, path: &str, place: Option<&'p Place>) -> Self {
        Self {
            type_path: type_path.to_owned(),
            path: path.to_owned(),
            place,
            members: Vec::new(),
            met: Vec::new(),
            absent: Vec::new(),
            choices: Vec::new(),
            partial: false,
            wrong: false,
        }
    }

    pub(super) fn constant(&mut self, name: &str, json: String, span: Span) {
        let path = format!("{}.{name}", self.path);
        let leaf = Leaf {
            fhir_type: "code".to_owned(),
            path,
            required_binding: None,
            list: false,
            expr: Expr::Constant(json),
            span,
        };
        self.members.push(member(name, Value::Leaf(leaf), span));
    }

    /// The number of a choice of this object.
    fn choice(&mut self, name: &str) -> Option<u16> {
        let at = self.choices.iter().position(|choice| choice == name).unwrap_or_else(|| {
            self.choices.push(name.to_owned());
            self.choices.len() - 1
        });
        u16::try_from(at).ok()
    }
}

pub(super) fn member(name: &str, value: Value, span: Span) -> Member {
    Member { name: name.to_owned(), element: name.to_owned(), choice: None, guards: Vec::new(), value, span }
}

/// Whether nothing in a value depends on a row.
pub(super) fn is_constant(value: &Value) -> bool {
    match value {
        Value::Leaf(leaf) => matches!(leaf.expr, Expr::Constant(_)),
        Value::Object(object) => {
            object.members.iter().all(|member| member.guards.is_empty() && is_constant(&member.value))
        }
        Value::List(items) => items
            .iter()
            .all(|item| item.guards.is_empty() && matches!(&item.kind, ItemKind::One(value) if is_constant(value))),
    }
}

impl<'a> Checker<'a> {
    /// The resource of a mapping.
    pub(super) fn root(
        &mut self,
        scope: &Scope<'a>,
        resource_type: &'static str,
        type_span: Span,
        id: Option<Text>,
        node: &'a Node,
    ) -> Option<Object> {
        let mut builder = Builder::new(resource_type, resource_type, None);
        builder.constant("resourceType", super::constant::quote(resource_type), type_span);
        if let (Some(id), Some(element)) = (id, element(resource_type, "id")) {
            let place = Place::new(element, element.types.first()?, format!("{resource_type}.id"));
            let span = id.span;
            let key = node.entry("id").map_or(span, |entry| entry.key.span);
            builder.members.push(member("id", Value::Leaf(place.leaf(Expr::Text(id), false, span)), key));
        }
        let entries: Vec<&'a Entry> =
            node.entries()?.iter().filter(|entry| !matches!(&*entry.key.text, "resourceType" | "id")).collect();
        self.members(&mut builder, scope, &entries, &[]);
        let updated = scope.rows.first().and_then(|row| match row {
            super::scope::RowScope::Root(mapping) => newest(&mapping.header.updated),
            _ => None,
        });
        if let Some(updated) = updated {
            last_updated(&mut builder, resource_type, &updated);
        }
        match self.finish(builder, node.span, type_span, true) {
            Made::Value(root) => Some(root),
            Made::Wrong => None,
            Made::Absent => {
                let message = format!("{resource_type} is always empty where FHIR requires something");
                self.report
                    .add(Diagnostic::error("M206", type_span, message).label("a fragment's argument is left out"));
                None
            }
        }
    }

    /// A resource inside the resource: `contained`, `Bundle.entry.resource`.
    pub(super) fn inner_resource(
        &mut self,
        scope: &Scope<'a>,
        place: &Place,
        node: &'a Node,
        entries: &'a [Entry],
    ) -> Made<Object> {
        let at = self.first_line(node);
        let Some(entry) = entries.iter().find(|entry| entry.key.text == "resourceType") else {
            let message = format!("a resource in {} needs its `resourceType`", place.subject());
            self.report.add(Diagnostic::error("M206", at, message).help("write `resourceType: Medication` first"));
            return Made::Wrong;
        };
        let Some((resource_type, span)) = self.resource_type(&entry.value) else { return Made::Wrong };
        let mut builder = Builder::new(resource_type, &place.path, Some(place));
        builder.constant("resourceType", super::constant::quote(resource_type), span);
        let entries: Vec<&'a Entry> = entries.iter().filter(|entry| entry.key.text != "resourceType").collect();
        self.members(&mut builder, scope, &entries, &[]);
        self.finish(builder, node.span, span, true)
    }

    /// A resource type and its place; `None` when it is none (and reported).
    pub(super) fn resource_type(&mut self, node: &Node) -> Option<(&'static str, Span)> {
        let text = node.text().unwrap_or_default();
        if let Some(known) = resource_types().find(|known| *known == text) {
            return Some((known, node.part(0, text.len())));
        }
        let span = self.first_line(node);
        let message = format!("`{}` is no resource type", super::constant::shown(text));
        let diagnostic = Diagnostic::error("M205", span, message).label("a resource type of FHIR R4 expected");
        self.report.add(match nearest(text, resource_types()) {
            Some(near) => diagnostic.edit("did you mean", node.part(0, text.len()), near),
            None => diagnostic,
        });
        None
    }

    /// An object of a datatype or backbone element.
    pub(super) fn object(
        &mut self,
        scope: &Scope<'a>,
        type_path: &str,
        place: &Place,
        entries: &'a [Entry],
        (span, at): (Span, Span),
    ) -> Made<Object> {
        let mut builder = Builder::new(type_path, &place.path, Some(place));
        if entries.is_empty() {
            let diagnostic = Diagnostic::error("M105", span, format!("{} has no members", place.subject()));
            self.report.add(diagnostic.help("leave the element out"));
            return Made::Wrong;
        }
        let entries: Vec<&'a Entry> = entries.iter().collect();
        self.members(&mut builder, scope, &entries, &[]);
        self.finish(builder, span, at, true)
    }

    /// Reads the members of an object, those under `$if` and `$use` included.
    pub(super) fn members(
        &mut self,
        builder: &mut Builder<'_>,
        scope: &Scope<'a>,
        entries: &[&'a Entry],
        guards: &[Condition],
    ) {
        for entry in entries {
            match entry.key.text.strip_prefix('$') {
                Some(block) => self.block(builder, scope, (block, entry), guards),
                None => self.member(builder, scope, entry, guards),
            }
        }
    }

    fn block(&mut self, builder: &mut Builder<'_>, scope: &Scope<'a>, block: (&str, &'a Entry), guards: &[Condition]) {
        let (text, Entry { key, value }) = block;
        let word = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        match word {
            "if" => {
                let Some(entries) = value.entries() else {
                    let diagnostic = Diagnostic::error("M109", key.span, "`$if` holds members of this object");
                    self.report.add(diagnostic.help("indent the members that are conditional below it"));
                    builder.wrong = true;
                    return;
                };
                let entries: Vec<&'a Entry> = entries.iter().collect();
                match self.guard(scope, key) {
                    Some(Folded::Always) => self.members(builder, scope, &entries, guards),
                    Some(Folded::When(condition)) => {
                        let guards = [guards, &[condition]].concat();
                        self.members(builder, scope, &entries, &guards);
                    }
                    Some(Folded::Never) => {
                        let mut never = Builder::new(&builder.type_path, &builder.path, builder.place);
                        self.members(&mut never, scope, &entries, guards);
                        builder.absent.extend(never.met.iter().map(|(element, ..)| *element));
                        builder.met.append(&mut never.met);
                        builder.wrong |= never.wrong;
                        builder.partial |= never.partial;
                    }
                    None => {
                        builder.wrong = true;
                        self.members(builder, scope, &entries, guards);
                    }
                }
            }
            "use" => {
                if let Some((entries, inner)) = self.use_fragment(scope, key, value, &builder.type_path) {
                    self.members(builder, &inner, &entries, guards);
                } else {
                    builder.wrong = true;
                    builder.partial = true;
                }
            }
            "ref" => self.long_reference(builder, scope, (key, value), guards),
            _ => {
                builder.wrong = true;
                let (message, help) = match word {
                    "each" => ("`$each` stands in a list", "write `- $each name:` below an element that is a list"),
                    "else" => {
                        ("there is no `$else`", "write a second `$if` with the opposite condition: `$if not (…)`")
                    }
                    _ => ("no block of this name", "the blocks are `$if condition`, `$each list`, `$use fragment`"),
                };
                self.report.add(Diagnostic::error("M109", key.span, message).help(help));
            }
        }
    }

    /// `$ref: patient(id)` inside a Reference.
    fn long_reference(
        &mut self,
        builder: &mut Builder<'_>,
        scope: &Scope<'a>,
        (key, value): (&'a Name, &'a Node),
        guards: &[Condition],
    ) {
        let place = builder.place.filter(|_| builder.type_path == "Reference");
        let (Some(place), Some(piece)) = (place.cloned(), Piece::of(value)) else {
            let diagnostic = Diagnostic::error("M109", key.span, "`$ref` stands in a Reference, with `mapping(key)`");
            self.report.add(diagnostic.label(format!("this is inside {}", builder.type_path)));
            builder.wrong = true;
            return;
        };
        builder.met.push(("reference", "reference".to_owned(), key.span));
        match self.reference_member(scope, &place, piece) {
            Made::Value(mut member) => {
                member.guards = guards.to_vec();
                member.span = key.span;
                self.push(builder, member);
            }
            Made::Absent => builder.absent.push("reference"),
            Made::Wrong => builder.wrong = true,
        }
    }

    fn member(&mut self, builder: &mut Builder<'_>, scope: &Scope<'a>, entry: &'a Entry, guards: &[Condition]) {
        let Entry { key, value } = entry;
        let (name, extension) = match key.text.strip_prefix('_') {
            Some(name) => (name, true),
            None => (key.text.as_str(), false),
        };
        let Some((element, ty)) = json_member(&builder.type_path, name) else {
            builder.wrong = true;
            if let Some(meant) = self.unknown_member(builder, key) {
                builder.met.push((meant, key.text.clone(), key.span));
            }
            return;
        };
        builder.met.push((element.name, key.text.clone(), key.span));
        let path = format!("{}.{}", builder.path, element.name.trim_end_matches("[x]"));
        let mut place = Place::new(element, ty, path);
        let made = if extension {
            self.primitive_extension(scope, &place, key, value)
        } else {
            inherit(builder, scope, &mut place);
            let mut inner = scope.clone();
            inner.in_extension = builder.type_path == "Extension";
            self.value(&inner, &place, value)
        };
        match made {
            Made::Value(value) => {
                let choice = if element.is_choice() && !extension { builder.choice(element.name) } else { None };
                let name = key.text.clone();
                let guards = guards.to_vec();
                let member = Member { name, element: element.name.to_owned(), choice, guards, value, span: key.span };
                self.push(builder, member);
            }
            Made::Absent => builder.absent.push(element.name),
            Made::Wrong => builder.wrong = true,
        }
    }

    /// `_birthDate: {extension: […]}`.
    fn primitive_extension(&mut self, scope: &Scope<'a>, place: &Place, key: &Name, value: &'a Node) -> Made<Value> {
        let name = key.text.trim_start_matches('_');
        if type_kind(place.ty.code) != Some(TypeKind::Primitive) {
            let message = format!("{} is an object, so its extensions stand in it", place.subject());
            self.report
                .add(Diagnostic::error("M212", key.span, message).help(format!("write `{name}: {{extension: …}}`")));
            return Made::Wrong;
        }
        if place.element.is_list() {
            let message = format!("{} is a list, and extensions of single items cannot be written", place.subject());
            self.report.add(Diagnostic::error("M212", key.span, message));
            return Made::Wrong;
        }
        let Some(entries) = value.entries() else {
            let diagnostic = Diagnostic::error("M105", value.span, format!("`{}` is an object", key.text));
            self.report.add(diagnostic.label("`{extension: […]}` expected"));
            return Made::Wrong;
        };
        self.object(scope, "Element", place, entries, (value.span, key.span)).map(Value::Object)
    }

    /// Adds a member. Lists of one element join; of repeated single elements the first non-empty will be written.
    fn push(&mut self, builder: &mut Builder<'_>, mut member: Member) {
        let Some(at) = builder.members.iter().position(|other| other.name == member.name) else {
            builder.members.push(member);
            return;
        };
        let list = matches!(member.value, Value::List(_));
        let Some(first) = builder.members.get_mut(at) else { return };
        if let (Value::List(items), true) = (&mut first.value, list) {
            guard_items(items, &std::mem::take(&mut first.guards));
            if let Value::List(mut more) = member.value {
                guard_items(&mut more, &member.guards);
                items.append(&mut more);
            }
            return;
        }
        if first.guards.is_empty() || member.guards.is_empty() {
            let message = format!("{}.{} is given twice", builder.type_path, member.element);
            let diagnostic = Diagnostic::error("M210", member.span, message).label("the second time");
            let diagnostic = diagnostic.also(first.span, "the first time");
            self.report.add(diagnostic.help("one of them is enough, or put each under its own `$if`"));
            builder.wrong = true;
            return;
        }
        let choice = first.choice.or_else(|| builder.choice(&member.element));
        if let Some(first) = builder.members.get_mut(at) {
            first.choice = choice;
        }
        member.choice = choice;
        builder.members.push(member);
    }

    /// The object, after the checks that need all its members. `at` is where a missing member is reported.
    pub(super) fn finish(&mut self, builder: Builder<'_>, span: Span, at: Span, whole: bool) -> Made<Object> {
        if whole && !builder.partial {
            self.required(&builder, at);
        }
        self.unreachable(&builder.members);
        if builder.wrong {
            return Made::Wrong;
        }
        // Rule 3 of §2.7, for the arguments that are left out.
        let heads = heads(&builder.type_path);
        let has_head = builder.members.iter().any(|member| heads.contains(&member.element.as_str()));
        let lost_required = builder.absent.iter().any(|name| {
            let required = element(&builder.type_path, name).is_some_and(|element| element.min > 0);
            required && builder.members.iter().all(|member| member.element != *name)
        });
        let lost_head = !has_head && builder.absent.iter().any(|name| heads.contains(name));
        let constant = |member: &Member| member.guards.is_empty() && is_constant(&member.value);
        let only_constants = !has_head && !builder.absent.is_empty() && builder.members.iter().all(constant);
        if lost_required || lost_head || only_constants {
            return Made::Absent;
        }
        Made::Value(Object { type_path: builder.type_path, members: builder.members, span })
    }

    /// M207: choice members behind one that is always written.
    fn unreachable(&mut self, members: &[Member]) {
        for (n, member) in members.iter().enumerate().filter(|(_, member)| member.choice.is_some()) {
            let before = members.iter().take(n).find(|other| other.choice == member.choice && always(other));
            let Some(before) = before else { continue };
            let message = format!("`{}` is never written", member.name);
            let diagnostic = Diagnostic::warning("M207", member.span, message);
            let diagnostic = diagnostic.also(before.span, "this one is never empty");
            self.report.add(diagnostic.label(format!("of {}, the first that is not empty is written", member.element)));
        }
    }
}

/// What a member takes over from where its object stands.
fn inherit(builder: &Builder<'_>, scope: &Scope<'_>, place: &mut Place) {
    let Some(parent) = builder.place else { return };
    match (builder.type_path.as_str(), place.element.name) {
        ("Coding", "code") => {
            place.binding = place.binding.or(parent.binding);
            place.subject = parent.binding.map(|_| parent.subject().to_owned());
        }
        ("Reference", "reference") => place.reference_type = Some(parent.ty),
        ("Extension", "url") => place.short_url = scope.in_extension,
        _ => {}
    }
}

/// Whether a member is written for every row.
fn always(member: &Member) -> bool {
    let expr_always = |expr: &Expr| match expr {
        Expr::Constant(_) => true,
        Expr::Column(columns) => columns.fallback.is_some(),
        Expr::Text(_) => false,
    };
    member.guards.is_empty()
        && match &member.value {
            Value::Leaf(leaf) => expr_always(&leaf.expr),
            value => is_constant(value),
        }
}

fn guard_items(items: &mut [Item], guards: &[Condition]) {
    for item in items {
        item.guards.splice(0..0, guards.iter().cloned());
    }
}

/// The column that stands for `updated`.
fn newest(updated: &[Name]) -> Option<Name> {
    match updated {
        [] => None,
        [one] => Some(one.clone()),
        [first, ..] => Some(Name { text: NEWEST.to_owned(), span: first.span }),
    }
}

/// Puts `meta.lastUpdated` first into `meta`, which it creates after `id` where there is none.
fn last_updated(builder: &mut Builder<'_>, resource_type: &str, updated: &Name) {
    let leaf = Leaf {
        fhir_type: "instant".to_owned(),
        path: format!("{resource_type}.meta.lastUpdated"),
        required_binding: None,
        list: false,
        expr: Expr::Column(ColumnExpr {
            terms: vec![Term {
                column: ColumnRef { up: 0, name: updated.text.clone(), json: Vec::new(), span: updated.span },
                via: None,
            }],
            fallback: None,
        }),
        span: updated.span,
    };
    let stamp = member("lastUpdated", Value::Leaf(leaf), updated.span);
    let meta = builder.members.iter_mut().find(|member| member.name == "meta");
    match meta.map(|meta| &mut meta.value) {
        Some(Value::Object(meta)) => {
            if meta.members.iter().all(|member| member.name != "lastUpdated") {
                meta.members.insert(0, stamp);
            }
        }
        Some(_) => {}
        None => {
            let meta = Object { type_path: "Meta".to_owned(), members: vec![stamp], span: updated.span };
            let at = builder.members.len().min(2);
            builder.members.insert(at, member("meta", Value::Object(meta), updated.span));
        }
    }
}
