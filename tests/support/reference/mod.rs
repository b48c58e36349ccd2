//! The language a second time, slow and obvious: a walk over the checked tree that follows the text of the reference
//! (§2.4 to §2.11) sentence by sentence. It shares nothing with `plan` and `encode` but the tree and FHIR's tables.

#![expect(
    clippy::unused_self,
    clippy::option_option,
    clippy::format_collect,
    clippy::map_err_ignore,
    reason = "slow and obvious on purpose"
)]

mod condition;
mod leaf;
mod syntax;
mod text;
mod value;

use std::cell::{Cell as Flag, RefCell};
use std::collections::HashMap;

use jiff::tz::TimeZone;
use smelt::fhir::elements::elements;
use smelt::fixture::{Json, RowTree};
use smelt::mapping::tree::{
    ColumnRef, Item, ItemKind, List, Mapping, Member, NEWEST, Name, Object, Over, Pack, Value as Tree,
};
use smelt::plan::catalog::Catalog;
use smelt::row::PgKind;

pub(crate) use value::{Value, difference};

use leaf::Made;

/// A mapping as the reference reads it.
pub(crate) struct Reference<'a> {
    pack: &'a Pack,
    mapping: &'a Mapping,
    catalog: &'a Catalog,
    /// Position of each column, by row source.
    columns: HashMap<String, HashMap<String, usize>>,
    zone: TimeZone,
    templates: RefCell<text::Templates>,
    /// Constants read before, by their place.
    constants: RefCell<HashMap<usize, Value>>,
    /// A part was dropped under `missing: reject`.
    rejected: Flag<bool>,
}

/// What a name refers to; the innermost is last.
#[derive(Clone)]
enum Scope<'r> {
    /// A row of the driving rows or of a list.
    Row { name: String, row: &'r RowTree, lists: &'r [List] },
    /// An item of a json array.
    Item(&'r Json),
    /// An element of an array column.
    Element(Option<Cell>),
    /// The key of the mapping that a reference points to.
    Key(Vec<(String, Option<Cell>)>),
}

/// A value of a row: not NULL, not blank.
#[derive(Debug, Clone)]
struct Cell {
    kind: PgKind,
    /// As PostgreSQL prints it.
    text: String,
    /// It comes out of a json document, where every scalar is text.
    from_json: bool,
}

type Scopes<'s, 'r> = &'s [Scope<'r>];

impl<'a> Reference<'a> {
    pub(crate) fn new(pack: &'a Pack, mapping: &'a Mapping, catalog: &'a Catalog) -> Self {
        let zone = pack.project.timezone.as_deref().unwrap_or("UTC");
        let columns = catalog.rows.iter().map(|(name, rows)| {
            let positions = rows.columns.iter().enumerate().map(|(at, column)| (column.name.clone(), at));
            (name.clone(), positions.collect())
        });
        Self {
            pack,
            mapping,
            catalog,
            columns: columns.collect(),
            zone: TimeZone::get(zone).unwrap(),
            templates: RefCell::default(),
            constants: RefCell::default(),
            rejected: Flag::new(false),
        }
    }

    /// The resource of a row, or why it is rejected.
    pub(crate) fn resource(&self, row: &RowTree) -> Result<Value, String> {
        self.rejected.set(false);
        let header = &self.mapping.header;
        let scopes = [Scope::Row { name: self.mapping.name.clone(), row, lists: &header.lists }];
        let id = self.text(&self.mapping.id, &scopes).and_then(Result::ok);
        if !id.is_some_and(|id| syntax::is_id(&id)) {
            return Err("the id is missing or no id".to_owned());
        }
        let root = &self.mapping.root;
        let members = Members::new(self, root, &scopes).written();
        let missing = self.is_missing(root, &members);
        let value = Value::Object(members.into_iter().map(|(_, name, value)| (name, value)).collect());
        match (missing, self.rejected.get(), value.is_poisoned()) {
            (true, ..) => Err("a required element is missing".to_owned()),
            (_, true, _) => Err("a required element of a part is missing".to_owned()),
            (.., true) => Err("a value is invalid".to_owned()),
            _ => Ok(value),
        }
    }

    // ---- §2.7 -----------------------------------------------------------------------------------------------

    /// An object, if it is written.
    fn object(&self, object: &Object, scopes: Scopes<'_, '_>) -> Option<Value> {
        let heads = heads(&object.type_path);
        let is_head = |member: &Member| heads.contains(&member.element.as_str());
        let mut members = Members::new(self, object, scopes);
        let kept = if object.members.iter().all(is_constant) {
            true
        } else if object.type_path == "Meta" {
            members.any(|_| true)
        } else if object.members.iter().any(is_head) {
            members.any(is_head)
        } else {
            members.any(|member| !is_constant(member))
        };
        if !kept {
            return None;
        }
        let written = members.written();
        if self.is_missing(object, &written) {
            if self.pack.project.policy.reject_missing {
                self.rejected.set(true);
            }
            return None;
        }
        (!written.is_empty())
            .then(|| Value::Object(written.into_iter().map(|(_, name, value)| (name, value)).collect()))
    }

    /// An element that FHIR requires is empty.
    fn is_missing(&self, object: &Object, members: &[(&str, String, Value)]) -> bool {
        elements(&object.type_path)
            .iter()
            .any(|element| element.min > 0 && !members.iter().any(|(written, ..)| *written == element.name))
    }

    /// A member's value if it is not empty, and whether it is the extension that stands for a primitive.
    fn member(&self, member: &Member, scopes: Scopes<'_, '_>) -> Option<(bool, Value)> {
        if !member.guards.iter().all(|guard| self.holds(guard, scopes)) {
            return None;
        }
        match &member.value {
            Tree::Leaf(leaf) => match self.leaf(leaf, scopes)? {
                Made::Value(value) => Some((false, value)),
                Made::Absent => {
                    let primitive = leaf::is_primitive(&leaf.fhir_type);
                    let value = leaf::absent();
                    Some((primitive, if leaf.list { Value::List(vec![value]) } else { value }))
                }
            },
            value => self.value(value, scopes).map(|value| (false, value)),
        }
    }

    fn value(&self, value: &Tree, scopes: Scopes<'_, '_>) -> Option<Value> {
        match value {
            Tree::Leaf(leaf) => self.leaf(leaf, scopes).map(|made| match made {
                Made::Value(value) => value,
                Made::Absent => leaf::absent(),
            }),
            Tree::Object(object) => self.object(object, scopes),
            Tree::List(items) => {
                let mut list = Vec::new();
                for item in items {
                    self.item(item, scopes, &mut list);
                }
                (!list.is_empty()).then_some(Value::List(list))
            }
        }
    }

    fn item(&self, item: &Item, scopes: Scopes<'_, '_>, list: &mut Vec<Value>) {
        if !item.guards.iter().all(|guard| self.holds(guard, scopes)) {
            return;
        }
        match &item.kind {
            ItemKind::One(value) => list.extend(self.value(value, scopes)),
            ItemKind::Each { over: Over::List(path), body, .. } => {
                let at = *path.last().unwrap();
                let Some(Scope::Row { name, row, lists }) = scopes.last() else { panic!("a list of no row") };
                let (row, below) = (*row, &lists[at]);
                let name = format!("{name}/{}", below.name.text);
                for item in &row.lists[at] {
                    if self.names_parent(&name, below, item) {
                        let scope = Scope::Row { name: name.clone(), row: item, lists: &below.lists };
                        list.extend(self.value(body, &with(scopes, scope)));
                    }
                }
            }
            ItemKind::Each { over: Over::Column(column), body, .. } => {
                let Some(cell) = self.document(column, scopes) else { return };
                if let PgKind::Array(of) = &cell.kind {
                    for element in value::array_elements(&cell.text) {
                        let cell = element.map(|text| Cell { kind: (**of).clone(), text, from_json: false });
                        let scope = Scope::Element(cell.and_then(Cell::unless_blank));
                        list.extend(self.value(body, &with(scopes, scope)));
                    }
                } else if let Some(Json::List(items)) = Json::parse(&cell.text) {
                    for item in &items {
                        list.extend(self.value(body, &with(scopes, Scope::Item(item))));
                    }
                }
            }
        }
    }

    /// A list row that names no parent belongs to none.
    fn names_parent(&self, name: &str, list: &List, item: &RowTree) -> bool {
        list.parent.iter().all(|column| item.values[self.columns[name][&column.text]].is_some())
    }

    // ---- columns --------------------------------------------------------------------------------------------

    /// The column's value: NULL and blank are nothing, a json path gives text.
    fn cell(&self, column: &ColumnRef, scopes: &[Scope<'_>]) -> Option<Cell> {
        self.found(column, scopes, false)
    }

    /// The same; a json path gives json.
    fn document(&self, column: &ColumnRef, scopes: &[Scope<'_>]) -> Option<Cell> {
        self.found(column, scopes, true)
    }

    fn found(&self, column: &ColumnRef, scopes: &[Scope<'_>], document: bool) -> Option<Cell> {
        let text = |text: String| Cell { kind: PgKind::Text, text, from_json: true }.unless_blank();
        match &scopes[scopes.len() - 1 - usize::from(column.up)] {
            Scope::Row { name, row, .. } if column.name == NEWEST => {
                let stamp = |stamp: &Name| {
                    let at = self.columns[name][&stamp.text];
                    let kind = self.catalog.rows[name].columns[at].kind.clone();
                    Some(Cell { kind, text: row.values[at].clone()?, from_json: false })
                };
                self.mapping.header.updated.iter().filter_map(stamp).max_by(condition::order)
            }
            Scope::Row { name, row, .. } => {
                let at = self.columns[name][&column.name];
                let kind = self.catalog.rows[name].columns[at].kind.clone();
                let cell = Cell { kind, text: row.values[at].clone()?, from_json: false };
                if column.json.is_empty() {
                    return cell.unless_blank();
                }
                let json = Json::parse(&cell.text).unwrap().jsonb();
                let found = json.at(&column.json)?;
                if !document {
                    return text(found.jsonb_text()?);
                }
                Cell { kind: PgKind::Jsonb, text: found.to_string(), from_json: true }.unless_blank()
            }
            Scope::Item(item) => {
                let path: Vec<String> = std::iter::once(&column.name).chain(&column.json).cloned().collect();
                text((*item).clone().jsonb().at(&path)?.jsonb_text()?)
            }
            Scope::Element(cell) => cell.clone(),
            Scope::Key(cells) => cells.iter().find(|(name, _)| *name == column.name)?.1.clone(),
        }
    }
}

/// The members of an object, each looked at once and only when it matters.
struct Members<'m, 'a, 'r> {
    reference: &'m Reference<'a>,
    object: &'m Object,
    scopes: Scopes<'m, 'r>,
    known: Vec<Option<Option<(bool, Value)>>>,
}

impl<'m, 'a, 'r> Members<'m, 'a, 'r> {
    fn new(reference: &'m Reference<'a>, object: &'m Object, scopes: Scopes<'m, 'r>) -> Self {
        Self { reference, object, scopes, known: vec![None; object.members.len()] }
    }

    fn look(&mut self, at: usize) -> &mut Option<(bool, Value)> {
        self.known[at].get_or_insert_with(|| self.reference.member(&self.object.members[at], self.scopes))
    }

    /// Some of these members is not empty.
    fn any(&mut self, of: impl Fn(&Member) -> bool) -> bool {
        (0..self.known.len()).any(|at| of(&self.object.members[at]) && self.look(at).is_some())
    }

    /// The members that are written: element, JSON name, value. Of a choice the first in file order.
    fn written(mut self) -> Vec<(&'m str, String, Value)> {
        let mut written = Vec::new();
        let mut chosen = Vec::new();
        for (at, member) in self.object.members.iter().enumerate() {
            if member.choice.is_some_and(|choice| chosen.contains(&choice)) {
                continue;
            }
            if let Some((underscore, value)) = self.look(at).take() {
                chosen.extend(member.choice);
                let name = if underscore { format!("_{}", member.name) } else { member.name.clone() };
                written.push((member.element.as_str(), name, value));
            }
        }
        written
    }
}

impl Cell {
    /// Blank text is NULL; `char(n)` is trimmed first. Nothing is in an array of blanks or an empty document.
    fn unless_blank(mut self) -> Option<Self> {
        let empty = match &self.kind {
            PgKind::Char => {
                self.text.truncate(self.text.trim_end_matches(' ').len());
                syntax::is_blank(&self.text)
            }
            PgKind::Text => syntax::is_blank(&self.text),
            PgKind::Json | PgKind::Jsonb => match Json::parse(&self.text).unwrap() {
                Json::Null => true,
                Json::Text(text) => text.is_empty(),
                Json::List(items) => items.is_empty(),
                Json::Object(members) => members.is_empty(),
                _ => false,
            },
            PgKind::Bytea => self.text == "\\x",
            PgKind::Array(of) => value::array_elements(&self.text)
                .into_iter()
                .flatten()
                .all(|text| Self { kind: (**of).clone(), text, from_json: false }.unless_blank().is_none()),
            _ => false,
        };
        (!empty).then_some(self)
    }
}

/// A scope further in.
fn with<'r>(scopes: &[Scope<'r>], inner: Scope<'r>) -> Vec<Scope<'r>> {
    scopes.iter().cloned().chain([inner]).collect()
}

/// Everything in it is written in the mapping.
fn is_constant(member: &Member) -> bool {
    fn constant(value: &Tree) -> bool {
        match value {
            Tree::Leaf(leaf) => matches!(leaf.expr, smelt::mapping::tree::Expr::Constant(_)),
            Tree::Object(object) => object.members.iter().all(is_constant),
            Tree::List(items) => items
                .iter()
                .all(|item| item.guards.is_empty() && matches!(&item.kind, ItemKind::One(value) if constant(value))),
        }
    }
    member.guards.is_empty() && constant(&member.value)
}

/// *Heads*, the element without which the datatype says nothing.
fn heads(type_path: &str) -> &'static [&'static str] {
    match type_path {
        "Quantity" | "SimpleQuantity" | "MoneyQuantity" | "Age" | "Count" | "Distance" | "Duration" => &["value"],
        "Money" | "Identifier" | "ContactPoint" => &["value"],
        "Coding" => &["code", "display"],
        "Reference" => &["reference", "identifier", "display"],
        "Attachment" => &["data", "url"],
        "Annotation" => &["text"],
        "Extension" => &["value[x]", "extension"],
        _ => &[],
    }
}
