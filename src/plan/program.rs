//! The compiled writer of one resource: straight-line ops over the fields of a row.
//!
//! A program reads rows of one or more *streams* (stream 0 makes the resources, the others are lists, ordered by
//! the parent's key) and writes one JSON object and a newline per row of stream 0. Each nesting level of `$each` is
//! a *scope* with its own slots and bits. When a scope's row is loaded, its bits are computed in this order:
//! slots, lookups, imports, predicates, rules. After that every jump tests one bit of the current scope.
//!
//! Objects and lists write every member as `"key":value,`; closing one replaces the last comma.
//! Only what holds a list whose length is known at run time alone is opened by [`Op::Open`] and may be taken back.

use super::select::StreamPlan;
use crate::mapping::source::Span;
pub use crate::mapping::tree::{CompareOp, Function};
use crate::row::PgKind;

/// A bit of a scope: 0..slots are the slots' presence.
pub type Bit = u16;

/// A range of [`Program::literals`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lit {
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

/// The compiled writer of one resource type by one mapping.
#[derive(Debug, Clone)]
pub struct Program {
    /// FHIR resource type written.
    pub resource_type: String,
    /// All constant bytes.
    pub literals: Vec<u8>,
    /// Scope 0 is the resource's row.
    pub scopes: Vec<Scope>,
    /// The ops, run from 0 to [`Op::End`] for each row of stream 0.
    pub ops: Vec<Op>,
    /// Strings built per row.
    pub texts: Vec<TextProgram>,
    /// Code maps in the form one use of them needs.
    pub maps: Vec<MapTable>,
    /// Code lists of required bindings that are checked per row.
    pub allowed: Vec<Vec<String>>,
    /// Places that can fail or drop something, for counts and outcomes.
    pub sites: Vec<Site>,
    /// IANA zone that local times are read in and offsets are written for; UTC when none is declared.
    pub timezone: String,
    /// The string that becomes the resource's id; the encoder checks it and reports failures by it.
    pub id: u16,
    /// Invalid values reject the resource (else they are omitted: their slot's bit is not set, and it is counted).
    pub reject_invalid: bool,
}

/// One nesting level.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The enclosing scope; `None` for scope 0.
    pub parent: Option<u16>,
    /// Where its rows come from.
    pub rows: ScopeRows,
    /// Columns used.
    pub slots: Vec<Slot>,
    /// Code look-ups.
    pub lookups: Vec<Lookup>,
    /// Bits copied from the enclosing scope: (its bit, own bit).
    pub imports: Vec<(Bit, Bit)>,
    /// `$if` conditions.
    pub predicates: Vec<Predicate>,
    /// Derived presence, in order.
    pub rules: Vec<Rule>,
    /// Number of bits.
    pub bits: u16,
}

/// Where a scope's rows come from.
#[derive(Debug, Clone)]
pub enum ScopeRows {
    /// Rows of a stream that belong to the enclosing scope's row: `key` compares columns of the enclosing scope's
    /// stream with columns of this one. Both streams are ordered by these columns, ascending, NULLs absent.
    Stream {
        /// Number of the stream (index into the plan's statements).
        stream: u16,
        /// Columns compared, in order of the ordering. Empty for scope 0.
        key: Vec<KeyColumn>,
        /// False: rows whose key is less than the enclosing row's belong to nobody; they are skipped and counted.
        /// True: the statement joins the parents, so every row belongs to one, in the parents' own order; a key that
        /// differs belongs to a later parent.
        joined: bool,
    },
    /// Elements of array columns of the enclosing scope's row, side by side: slot n of this scope reads element i
    /// of the array in `arrays[n]`.
    Arrays {
        /// Slots of the enclosing scope that hold the arrays.
        arrays: Vec<u16>,
    },
}

/// One column of the ordering that two streams share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyColumn {
    /// Column in the enclosing scope's stream.
    pub parent: u16,
    /// Column in this scope's stream.
    pub child: u16,
    /// How both are compared: ints and times as numbers, text by bytes (`collate "C"`), uuid by bytes,
    /// numeric by value. Both columns have this kind.
    pub kind: PgKind,
}

/// A used column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Column of the scope's stream (or position in `arrays`).
    pub column: u16,
    /// How its field is read.
    pub kind: PgKind,
    /// What must hold beyond "not NULL and not blank" for the bit to be set (only under `invalid: omit`).
    pub check: Option<(Writer, u16)>,
}

/// A column through a code map: sets up to two bits and remembers the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// Slot looked up, of this scope.
    pub slot: u16,
    /// Index into [`Program::maps`].
    pub map: u16,
    /// Set when there is something to write.
    pub present: Bit,
    /// Set when `!absent` applies: an extension is written in place of the value.
    pub absent: Bit,
    /// Counts unmapped values.
    pub site: u16,
}

/// A code map for one form of use.
#[derive(Debug, Clone)]
pub struct MapTable {
    /// The map's name.
    pub name: String,
    /// Source value → JSON to write.
    pub entries: Vec<(String, Vec<u8>)>,
    /// What NULL (or blank) becomes.
    pub empty: MapOther,
    /// What a value not listed becomes.
    pub other: MapOther,
    /// True when a value not listed is counted as unmapped: the map does not say itself what such a value becomes.
    pub counted: bool,
}

/// What an unlisted value becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapOther {
    /// Nothing.
    Omit,
    /// These bytes.
    Json(Vec<u8>),
    /// The source value as a JSON string between these bytes (`!same`, `!text`).
    Around(Vec<u8>, Vec<u8>),
    /// The lookup's `absent` bit.
    Absent,
    /// The resource is rejected.
    Reject,
}

/// A condition that sets a bit.
#[derive(Debug, Clone)]
pub struct Predicate {
    /// Set when the condition is true.
    pub bit: Bit,
    /// The condition.
    pub test: PredicateTest,
}

/// A condition over slots, in SQL's three-valued logic.
#[derive(Debug, Clone, PartialEq)]
pub enum PredicateTest {
    /// All.
    And(Vec<PredicateTest>),
    /// Any.
    Or(Vec<PredicateTest>),
    /// Negation.
    Not(Box<PredicateTest>),
    /// The slot is NULL or blank.
    IsNull(SlotRef),
    /// A boolean slot.
    Truthy(SlotRef),
    /// Slot against a literal.
    Literal(SlotRef, CompareOp, Comparand),
    /// Slot against a slot of the same kind.
    Slots(SlotRef, CompareOp, SlotRef),
    /// The slot equals one of these.
    In(SlotRef, Vec<Comparand>),
    /// The text is not blank: only its `if`s or a rendered template could say something.
    Written(Box<TextProgram>),
}

/// A literal in the form its column's kind is compared in.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparand {
    /// Text kinds: bytes.
    Text(String),
    /// Integer kinds, `date` (days), `timestamp[tz]` and `time` (microseconds): as PostgreSQL stores them.
    Int(i64),
    /// `numeric`: decimal text (`-12.50`).
    Numeric(String),
    /// `real`, `double precision`.
    Float(f64),
    /// `boolean`.
    Bool(bool),
    /// `uuid`.
    Uuid([u8; 16]),
}

/// A slot seen from some scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotRef {
    /// Scopes outward.
    pub up: u8,
    /// Slot in that scope.
    pub slot: u16,
}

/// `out = any/all of (word & mask)`. Masks that span words chain through bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Bit written.
    pub out: Bit,
    /// 64-bit word of bits read.
    pub word: u16,
    /// Bits of that word.
    pub mask: u64,
    /// Any or all of the masked bits.
    pub all: bool,
}

/// One instruction. Bits are those of the current scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Copies literal bytes.
    Literal(Lit),
    /// Writes a slot; if its value cannot be written the resource is rejected with `site`.
    Put {
        /// The slot.
        from: SlotRef,
        /// How its bytes become JSON.
        writer: Writer,
        /// Wrap in quotes (a number where FHIR wants a string).
        quoted: bool,
        /// For the outcome.
        site: u16,
    },
    /// Copies the JSON that a lookup of the current scope found.
    Map {
        /// Scopes outward.
        up: u8,
        /// Lookup in that scope.
        lookup: u16,
    },
    /// Writes a text as a JSON string.
    Text {
        /// Index into [`Program::texts`].
        text: u16,
        /// For the outcome.
        site: u16,
    },
    /// Goes on at `to` unless the bit is set.
    JumpUnless {
        /// The bit.
        bit: Bit,
        /// Op index.
        to: u32,
    },
    /// Goes on at `to`.
    Jump {
        /// Op index.
        to: u32,
    },
    /// Counts a part that is not written because an element FHIR requires is empty.
    Drop {
        /// Where.
        site: u16,
    },
    /// Rejects the resource: it leaves no bytes and is counted.
    Reject {
        /// Why and where.
        site: u16,
    },
    /// Marks the output; what follows may be taken back by the matching [`Op::Close`].
    Open(Lit),
    /// Something was written that makes the innermost open part worth keeping.
    Live,
    /// The innermost open part lacks an element FHIR requires. When it is closed and live it is taken back and counted
    /// at the site, or the resource is rejected. Outside every part the resource lacks it, and is rejected.
    Lack {
        /// The element.
        site: u16,
        /// Reject the resource rather than take back the part.
        reject: bool,
    },
    /// Closes the innermost open part: if it is not live or lacks something, everything since its mark is taken back;
    /// else the last comma becomes `closer`. A value in it that cannot be written rejects the resource only now, and
    /// only if no part around it is taken back.
    Close {
        /// `},` or `],`.
        closer: Lit,
        /// A part that is kept makes the part around it live.
        live: bool,
    },
    /// Goes on at `to` if the part closed last was kept (a choice whose member holds a list).
    JumpIfKept {
        /// Op index.
        to: u32,
    },
    /// Loads the first row of a scope that belongs to the current row; none: goes on at `end`.
    Each {
        /// The scope entered.
        scope: u16,
        /// First op after the matching [`Op::Next`].
        end: u32,
    },
    /// Loads the next row and goes on at `start`; none left: leaves the scope and goes on with the next op.
    Next {
        /// The scope.
        scope: u16,
        /// First op of the body.
        start: u32,
    },
    /// The last comma becomes these bytes.
    Trim(Lit),
    /// The resource is whole.
    End,
}

/// How a field's bytes become JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Writer {
    /// Text → JSON string. `char(n)` is right-trimmed.
    String,
    /// Text → trimmed JSON string that must match FHIR's form of the type, and be in
    /// [`Program::allowed`] if a number is given.
    Checked(Syntax, Option<u16>),
    /// `true` / `false`.
    Bool,
    /// Integer kinds → digits, within FHIR's bounds of the type.
    Int {
        /// Least value allowed.
        min: i32,
        /// Greatest value allowed.
        max: i32,
    },
    /// Any integer kind → digits, no bounds (decimal, string).
    BigInt,
    /// `numeric` → digits with its scale; NaN and infinities are invalid.
    Numeric,
    /// `real` → shortest digits that read back the same.
    Float4,
    /// `double precision` → shortest digits that read back the same.
    Float8,
    /// `date` → `"1990-07-21"`.
    Date,
    /// `time` → `"09:30:00"`.
    Time,
    /// `timestamp` → `"2026-03-08T09:30:00-04:00"`, read in the project's zone.
    Timestamp,
    /// `timestamptz` → the same, in the project's zone.
    TimestampTz,
    /// `uuid` → `"…"`.
    Uuid,
    /// `bytea` → base64 JSON string.
    Base64,
    /// `json`/`jsonb` → as it is, white space outside strings removed; must be an object.
    Json,
    /// The same where it stands for a whole list; must be an array.
    JsonList,
    /// Each element of a one-dimensional array, by the writer of the element's kind, with commas between.
    Array(ArrayOf),
}

/// Element writers of arrays (no arrays of arrays).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArrayOf {
    /// Text.
    String,
    /// Checked text.
    Checked(Syntax, Option<u16>),
    /// Boolean.
    Bool,
    /// Integers.
    BigInt(bool),
    /// `numeric`, quoted or not.
    Numeric(bool),
    /// Dates.
    Date,
    /// Times with zone.
    TimestampTz,
    /// Times without zone.
    Timestamp,
    /// Uuids.
    Uuid,
}

/// Written forms of FHIR primitives that text columns must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// `[^\s]+(\s[^\s]+)*`
    Code,
    /// `[A-Za-z0-9\-\.]{1,64}`
    Id,
    /// No white space.
    Uri,
    /// `urn:oid:…`
    Oid,
    /// `urn:uuid:…`
    Uuid,
    /// Year, year and month, or day.
    Date,
    /// Date, or date and time with zone.
    DateTime,
    /// Date and time with seconds and zone.
    Instant,
    /// `hh:mm:ss`.
    Time,
    /// A decimal, written bare.
    Decimal,
    /// An integer within bounds, written bare: 0 any, 1 ≥ 0, 2 ≥ 1.
    Integer(u8),
    /// `true`/`false`, written bare.
    Boolean,
    /// base64 text.
    Base64,
}

/// A string built per row.
#[derive(Debug, Clone, PartialEq)]
pub struct TextProgram {
    /// In order.
    pub parts: Vec<TextPart>,
    /// Write HTML-escaped column values (xhtml).
    pub html: bool,
}

/// A piece of a string.
#[derive(Debug, Clone, PartialEq)]
pub enum TextPart {
    /// Literal text, not yet JSON-escaped.
    Literal(String),
    /// A slot as FHIR text.
    Slot(SlotRef, Writer),
    /// A UUIDv5 in this namespace of the arguments joined by `-`.
    Uuid([u8; 16], Vec<TextArg>),
    /// SHA-256 in hex of the arguments joined by `-`.
    Sha256(Vec<TextArg>),
    /// A function of a slot's text.
    Apply(Function, SlotRef, Writer),
    /// A choice.
    When(TextTest, Vec<TextPart>, Vec<TextPart>),
    /// Rendered by the handlebars crate: template source and its columns (name in the context, slot, writer). A parent
    /// row's column is called `../name`; a json column is a document in the context, any other its FHIR text.
    Render(String, Vec<(String, SlotRef, Writer)>),
}

/// An argument of a hash.
#[derive(Debug, Clone, PartialEq)]
pub enum TextArg {
    /// A slot in database text form (`timestamptz` in UTC, `2026-03-08 14:31:02+00`).
    Slot(SlotRef),
    /// Literal text.
    Literal(String),
}

/// A condition inside a string.
#[derive(Debug, Clone, PartialEq)]
pub enum TextTest {
    /// The slot is present, not `false` and not integer 0.
    Truthy(SlotRef),
    /// Negation.
    Not(Box<TextTest>),
    /// All.
    And(Vec<TextTest>),
    /// Any.
    Or(Vec<TextTest>),
    /// Two texts are equal.
    Eq(TextArgText, TextArgText),
}

/// A side of [`TextTest::Eq`].
#[derive(Debug, Clone, PartialEq)]
pub enum TextArgText {
    /// A slot as FHIR text; an empty one equals nothing.
    Slot(SlotRef, Writer),
    /// A literal.
    Literal(String),
}

/// A place in the output that can fail or drop something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Diagnostic code of the run-time report: `R204` invalid value, `R205` code outside a required binding,
    /// `R206` required element empty, `R405` id, `R501` unmapped code, `R503` code map says `!error`.
    pub code: &'static str,
    /// FHIR path.
    pub path: String,
    /// Column or map named in the message, if one is to blame.
    pub name: Option<String>,
}

/// One mapping, ready to run.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The mapping's name.
    pub mapping: String,
    /// The writer.
    pub program: std::sync::Arc<Program>,
    /// Statement shapes of the streams the program reads, stream 0 first.
    pub streams: Vec<StreamPlan>,
    /// The column parallel cursors divide the driving rows by; none when the mapping says so or its type has no
    /// order.
    pub split: Option<super::split::SplitColumn>,
    /// For explanations: the `$if` conditions by the place of their first column, with the scope and bit that each
    /// became.
    pub conditions: Vec<(Span, u16, Bit)>,
}
