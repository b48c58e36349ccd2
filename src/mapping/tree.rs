//! The checked tree: what a pack means, shorthands and fragments expanded, every name still a name.
//!
//! `mapping::check` builds it, `plan` binds and lowers it. Section numbers are those of the mapping reference.

use std::collections::BTreeMap;

use super::source::{SourceId, Span};

/// A name as written, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// A whole pack that has no error.
#[derive(Debug, Clone)]
pub struct Pack {
    /// `project.yaml`.
    pub project: Project,
    /// Every mapping, ordered by name.
    pub mappings: Vec<Mapping>,
    /// Every code map some mapping uses; [`CodeMapId`] indexes it.
    pub code_maps: Vec<CodeMap>,
    /// SHA-256 (hex) over the paths and texts of the pack, in path order.
    pub digest: String,
}

/// `project.yaml` (§2.2).
#[derive(Debug, Clone)]
pub struct Project {
    /// The pack's name: the name of its directory.
    pub name: String,
    /// Packages whose profiles are known, e.g. `hl7.fhir.us.core#6.1.0`.
    pub packages: Vec<String>,
    /// `search_path` of the pack's statements.
    pub schema: Vec<String>,
    /// IANA name of the zone that `timestamp` columns are read in and offsets are written for.
    pub timezone: Option<String>,
    /// Namespace UUID that `{{uuid …}}` starts from.
    pub namespace: [u8; 16],
    /// Names for URIs, built-in ones included.
    pub alias: BTreeMap<String, String>,
    /// `$site.x` constants.
    pub site: BTreeMap<String, String>,
    /// What happens to unmapped codes, missing mandatory elements and invalid values.
    pub policy: Policy,
}

impl Project {
    /// The zone of local times: [`Project::timezone`], else UTC.
    pub fn zone(&self) -> &str {
        self.timezone.as_deref().unwrap_or("UTC")
    }
}

/// `policy:` of `project.yaml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// A source code that a map without a `*` row does not list.
    pub unmapped: Unmapped,
    /// An element FHIR requires is empty: false drops its parent object, true rejects the resource.
    pub reject_missing: bool,
    /// A value that cannot be written: true rejects the resource, false omits the value.
    pub reject_invalid: bool,
}

/// What an unmapped code becomes (§2.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unmapped {
    /// `!omit`: empty, counted.
    Omit,
    /// `!text`: a CodeableConcept with `text` only.
    Text,
    /// `!same`: the source value is the code, in this system if one is given in the row.
    Same,
    /// `!absent`: a data-absent-reason extension.
    Absent,
    /// `!error`: the resource is rejected.
    Error,
}

/// One mapping file, merged with its base, its fragments expanded.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// File stem; what references call it.
    pub name: String,
    /// The file (of the own pack where a patch and a base exist).
    pub source: SourceId,
    /// Everything above `resource:`.
    pub header: Header,
    /// FHIR resource type.
    pub resource_type: String,
    /// Where `resourceType` stands: the place for messages about the whole resource.
    pub type_span: Span,
    /// The `id:` expression over the mapping's own key columns.
    pub id: Text,
    /// The resource, `resourceType` and `id` included as its first members, `every:` merged,
    /// `meta.lastUpdated` added when the header has `updated`.
    pub root: Object,
}

/// Everything above `resource:` (§2.3).
#[derive(Debug, Clone)]
pub struct Header {
    /// Where the rows come from.
    pub rows: Rows,
    /// Columns that identify a row.
    pub key: Vec<Name>,
    /// Columns of the last change; the newest counts. None: the rows do not tell.
    pub updated: Vec<Name>,
    /// How many seconds the stamp of a change may lie before the transaction that makes it.
    pub skew: u64,
    /// Where deletions are recorded.
    pub deleted: Option<Deleted>,
    /// 1:N rows.
    pub lists: Vec<List>,
    /// Compartment column.
    pub patient: Patient,
    /// Group only: who is in it.
    pub members: Option<Members>,
    /// Overrides of derived search bindings; `None` switches one off.
    pub search: Vec<(Name, Option<Name>)>,
    /// Column for parallel cursors.
    pub split: Split,
    /// Skip the mapping when its table does not exist.
    pub optional: bool,
    /// Text for the lineage document.
    pub about: Option<String>,
}

/// `patient:` of the header.
#[derive(Debug, Clone)]
pub enum Patient {
    /// Not said: derived from the tree and FHIR's CompartmentDefinition (§2.10).
    Derived,
    /// This column holds the key of the patient.
    Column(Name),
    /// `none`: not in the compartment.
    None(Span),
}

/// `split:` of the header.
#[derive(Debug, Clone)]
pub enum Split {
    /// Not said: the first key column.
    FirstKey,
    /// This column.
    Column(Name),
    /// `none`: never split.
    None,
}

/// `sql:` or `table:`.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The statement or table.
    pub kind: RowsKind,
    /// The value of `sql:` or `table:` in the mapping.
    pub span: Span,
}

/// Where rows come from.
#[derive(Debug, Clone)]
pub enum RowsKind {
    /// A table or view, its schema if one was written.
    Table {
        /// Schema, when written as `schema.name`.
        schema: Option<String>,
        /// Table name, unquoted.
        name: String,
    },
    /// One SQL statement.
    Sql(SqlText),
}

/// One SQL statement and where its lines stand.
#[derive(Debug, Clone)]
pub struct SqlText {
    /// The statement, without a closing semicolon.
    pub text: String,
    /// The SQL file, or the mapping for inline SQL.
    pub source: SourceId,
    /// Byte offset in `source` of the start of each line of `text`.
    pub line_starts: Vec<u32>,
}

/// The newest of several `updated` columns, as a column; it cannot be the name of one.
pub const NEWEST: &str = "newest of updated";

/// `deleted:` of the header.
#[derive(Debug, Clone)]
pub enum Deleted {
    /// A column of the same rows: `true`, or a time, means the row is a tombstone.
    Column(Name),
    /// A source of tombstones of its own.
    Rows {
        /// Where they are.
        rows: Rows,
        /// The columns that hold the mapping's key.
        key: Vec<Name>,
        /// The column with the time of deletion.
        at: Name,
    },
}

/// One entry of `lists:`.
#[derive(Debug, Clone)]
pub struct List {
    /// Its name, as used by `$each`.
    pub name: Name,
    /// Where its rows come from.
    pub rows: Rows,
    /// Columns of the list that hold the parent's key, in the order of that key.
    pub parent: Vec<Name>,
    /// Columns the items of one parent are ordered by.
    pub order: Vec<Name>,
    /// Columns that identify an item; needed when it has lists itself.
    pub key: Vec<Name>,
    /// Lists below an item.
    pub lists: Vec<List>,
}

/// `members:` of a Group mapping.
#[derive(Debug, Clone)]
pub struct Members {
    /// Where the member rows come from.
    pub rows: Rows,
    /// The columns that hold the group's key.
    pub parent: Vec<Name>,
    /// The column that holds the patient's key.
    pub patient: Name,
    /// The column that holds the key of another Group, whose members are members of this one.
    pub group: Option<Name>,
    /// The column with the time of joining.
    pub joined: Option<Name>,
    /// The column with the time from which on a row counts.
    pub start: Option<Name>,
    /// The column with the time up to which a row counts.
    pub end: Option<Name>,
    /// The column that is true where a row does not count.
    pub inactive: Option<Name>,
}

impl Members {
    /// The columns that hold times.
    pub fn times(&self) -> impl Iterator<Item = &Name> {
        self.joined.iter().chain(&self.start).chain(&self.end)
    }
}

/// A FHIR object being written.
#[derive(Debug, Clone)]
pub struct Object {
    /// The type whose elements `members` are: a datatype (`HumanName`), a resource, or the path of a backbone
    /// element (`Observation.component`).
    pub type_path: String,
    /// In file order.
    pub members: Vec<Member>,
    /// The object's place.
    pub span: Span,
}

/// `name: value` inside an object.
#[derive(Debug, Clone)]
pub struct Member {
    /// JSON name as written to the output: `valueQuantity`, `_birthDate`.
    pub name: String,
    /// FHIR element name within the object's type: `value[x]`, `birthDate`.
    pub element: String,
    /// Number that all members of one choice share, unique within the object.
    pub choice: Option<u16>,
    /// `$if` conditions that must all be true, outermost first.
    pub guards: Vec<Condition>,
    /// What is written.
    pub value: Value,
    /// The key's place.
    pub span: Span,
}

/// What stands behind a member or in a list.
#[derive(Debug, Clone)]
pub enum Value {
    /// One scalar of the mapping file (it may write an object: a mapped Coding, a json column).
    Leaf(Leaf),
    /// An object.
    Object(Object),
    /// A JSON array.
    List(Vec<Item>),
}

/// One item of a list.
#[derive(Debug, Clone)]
pub struct Item {
    /// `$if` conditions that must all be true (from `$if` as the only key of an item).
    pub guards: Vec<Condition>,
    /// What is written.
    pub kind: ItemKind,
}

/// The two kinds of item.
#[derive(Debug, Clone)]
pub enum ItemKind {
    /// Zero or one item.
    One(Value),
    /// One item per row of a list (`$each`).
    Each {
        /// What is iterated.
        over: Over,
        /// Where the list's name stands.
        span: Span,
        /// Written per row; columns in it are the row's, `up` counts scopes outward.
        body: Box<Value>,
    },
}

/// What `$each` iterates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// A list of the header: positions in `lists` from the outermost (`[1, 0]`: first list below the second).
    List(Vec<usize>),
    /// An array or json-array column of the current scope. Of a json array the item's fields are its columns;
    /// of a plain array its only column is `value`.
    Column(ColumnRef),
}

/// A scalar of the mapping file.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// FHIR type wanted here: a primitive (`code`), or any type when an object comes from a map or json column.
    pub fhir_type: String,
    /// FHIR path for messages: `Patient.name.given`.
    pub path: String,
    /// Canonical of the value set the code must be in, when the binding is required and the list is closed.
    pub required_binding: Option<String>,
    /// True when the scalar stands where FHIR wants a list (an array or json column fills it).
    pub list: bool,
    /// The value.
    pub expr: Expr,
    /// Its place.
    pub span: Span,
}

/// A scalar's meaning (§2.4). References and codings are already objects by now.
#[derive(Debug, Clone)]
pub enum Expr {
    /// JSON text, ready to be written.
    Constant(String),
    /// `$a via m or $b or fallback`.
    Column(ColumnExpr),
    /// A template, a reference's target, a generated id: a string built per row.
    Text(Text),
}

/// The first term that is not empty wins.
#[derive(Debug, Clone)]
pub struct ColumnExpr {
    /// Tried in order.
    pub terms: Vec<Term>,
    /// JSON text of the constant that may stand last.
    pub fallback: Option<String>,
}

/// `$path` or `$path via map`.
#[derive(Debug, Clone)]
pub struct Term {
    /// The column.
    pub column: ColumnRef,
    /// The code map it goes through.
    pub via: Option<CodeMapId>,
}

/// A column by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnRef {
    /// How many scopes outward (`../`).
    pub up: u8,
    /// Column name.
    pub name: String,
    /// Steps into a json column: `$addr.city` has `["city"]`.
    pub json: Vec<String>,
    /// Where it is named.
    pub span: Span,
}

/// A string built per row. It is empty when a column outside every guard is.
#[derive(Debug, Clone)]
pub struct Text {
    /// In order.
    pub parts: Vec<Part>,
    /// Set when the text is a reference to the resource that another mapping makes (§2.9).
    pub refers: Option<Refers>,
    /// Values are HTML-escaped (`Narrative.div`); literals are not.
    pub html: bool,
    /// Its place.
    pub span: Span,
}

/// What a reference points to: `patient(patient_id)`.
#[derive(Debug, Clone)]
pub struct Refers {
    /// Name of the mapping that makes the target.
    pub mapping: String,
    /// Values of the target's key columns, in order.
    pub args: Vec<Arg>,
}

/// A piece of a [`Text`].
#[derive(Debug, Clone)]
pub enum Part {
    /// Written as it is.
    Literal(String),
    /// A column as FHIR text (dates ISO, decimals with scale).
    Column(ColumnRef),
    /// `{{uuid 'Space' a b}}`: UUIDv5 of the arguments, in database text form, joined by `-`.
    Uuid {
        /// UUIDv5(project namespace, space).
        namespace: [u8; 16],
        /// The name's parts.
        args: Vec<Arg>,
    },
    /// `{{sha256 a b}}`: hex digest of the arguments, in database text form, joined by `-`.
    Sha256(Vec<Arg>),
    /// `{{upper x}}` and its like over one column.
    Apply(Function, ColumnRef),
    /// `{{#if}}`, `{{#unless}}`, `{{else}}`.
    When {
        /// Decides.
        test: Test,
        /// Parts when true.
        then: Vec<Part>,
        /// Parts when false.
        otherwise: Vec<Part>,
    },
    /// What has no compiled form: rendered by the handlebars crate, with helpers of ours that do as compiled templates
    /// do: `upper`, `lower`, `trim`, `urlencode`, `len`, `eq`, `ne`, `gt`, `gte`, `lt`, `lte`.
    Render {
        /// Handlebars source of this piece alone. It reads columns as `@root.[name]`, a parent row's as
        /// `@root.[../name]`: the members of its context are called so.
        template: String,
        /// Every column it names, guarded ones included, each once and whole (no json steps).
        columns: Vec<ColumnRef>,
        /// Those that must not be empty, json steps included; none when the piece stands inside a guard.
        required: Vec<ColumnRef>,
    },
}

/// An argument of `uuid` or `sha256`.
#[derive(Debug, Clone)]
pub enum Arg {
    /// A column in database text form (`timestamptz` in UTC).
    Column(ColumnRef),
    /// A literal.
    Literal(String),
}

/// Text functions of templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// Unicode upper case.
    Upper,
    /// Unicode lower case.
    Lower,
    /// Without white space at both ends.
    Trim,
    /// Percent-encoded for a URL component.
    UrlEncode,
    /// Number of characters of a text.
    Len,
}

/// A condition inside a template; columns that are empty are simply false.
#[derive(Debug, Clone)]
pub enum Test {
    /// Not empty, not `false`, not integer 0; of a field of a json column also not the texts `false` and `0`.
    Truthy(ColumnRef),
    /// Negation.
    Not(Box<Test>),
    /// All.
    And(Vec<Test>),
    /// Any.
    Or(Vec<Test>),
    /// `eq` of two texts (`ne` is its negation).
    Eq(Arg, Arg),
}

/// A `$if` condition: SQL's three-valued logic, unknown counts as false at the end (§2.5).
#[derive(Debug, Clone)]
pub enum Condition {
    /// All.
    And(Vec<Condition>),
    /// Any.
    Or(Vec<Condition>),
    /// Negation.
    Not(Box<Condition>),
    /// `is null` / `is not null`.
    IsNull {
        /// What is tested.
        operand: Operand,
        /// `is not null`.
        negated: bool,
    },
    /// `in (…)` / `not in (…)`.
    In {
        /// What is tested.
        operand: Operand,
        /// Literals.
        list: Vec<Operand>,
        /// `not in`.
        negated: bool,
    },
    /// A comparison.
    Compare {
        /// Left side.
        left: Operand,
        /// Operator.
        op: CompareOp,
        /// Right side.
        right: Operand,
    },
    /// A bare boolean column.
    Truthy(ColumnRef),
}

impl Condition {
    /// Its columns, in the order of the text.
    pub fn columns(&self) -> Vec<&ColumnRef> {
        fn of(operand: &Operand) -> Option<&ColumnRef> {
            match operand {
                Operand::Column(column) => Some(column),
                Operand::Text(_) | Operand::Number(_) | Operand::Bool(_) => None,
            }
        }
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::columns).collect(),
            Self::Not(part) => part.columns(),
            Self::IsNull { operand, .. } => of(operand).into_iter().collect(),
            Self::In { operand, list, .. } => std::iter::once(operand).chain(list).filter_map(of).collect(),
            Self::Compare { left, right, .. } => [left, right].into_iter().filter_map(of).collect(),
            Self::Truthy(column) => vec![column],
        }
    }
}

/// `=`, `<>`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `=`
    Eq,
    /// `<>`, `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

/// A side of a comparison.
#[derive(Debug, Clone)]
pub enum Operand {
    /// A column.
    Column(ColumnRef),
    /// `'text'`.
    Text(String),
    /// A number, its digits as written.
    Number(String),
    /// `true` / `false`.
    Bool(bool),
}

/// Number of a code map in [`Pack::code_maps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CodeMapId(pub usize);

/// A code map (§2.8): CSV or ConceptMap.
#[derive(Debug, Clone)]
pub struct CodeMap {
    /// Name, as used by `via`.
    pub name: String,
    /// Its file.
    pub source: SourceId,
    /// Listed source codes in file order; several targets where one source has several rows.
    pub rows: Vec<CodeRow>,
    /// What NULL becomes, if the file says so.
    pub empty: Option<Fallback>,
    /// What a value not listed becomes, if the file says so (else [`Policy::unmapped`]).
    pub other: Option<Fallback>,
}

/// One source code.
#[derive(Debug, Clone)]
pub struct CodeRow {
    /// The value in the database.
    pub source: String,
    /// What it becomes.
    pub targets: Vec<Target>,
}

/// What a listed or unlisted value becomes.
#[derive(Debug, Clone)]
pub struct Target {
    /// URI, alias resolved.
    pub system: Option<String>,
    /// Code.
    pub code: String,
    /// Display.
    pub display: Option<String>,
    /// The code's place in the file.
    pub span: Span,
}

/// The `*` row, or the row with an empty source.
#[derive(Debug, Clone)]
pub enum Fallback {
    /// These codes.
    Targets(Vec<Target>),
    /// A special code, with the row's system (for `!same`).
    Special(Unmapped, Option<String>),
}
