//! Rows that try everything: NULL, blank, what the mapping looks for, and what nobody expects.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use smelt::fixture::{RowTree, arrange};
use smelt::mapping::tree::{
    Arg, ColumnRef, Condition, Expr, ItemKind, List, Mapping, Member, Object, Operand, Over, Pack, Part, Test, Text,
    Value,
};
use smelt::plan::catalog::{Catalog, RowSource};
use smelt::row::PgKind;

/// A small generator of numbers (xorshift), the same on every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// What a mapping looks for in its columns.
#[derive(Default)]
struct Wanted {
    /// Texts by column: codes of maps and bindings, literals of conditions.
    texts: HashMap<String, BTreeSet<String>>,
    /// Paths into json columns that hold scalars.
    scalars: BTreeMap<String, BTreeSet<Vec<String>>>,
    /// Paths into json columns that hold documents.
    documents: BTreeMap<String, BTreeSet<Vec<String>>>,
    /// Json arrays that are iterated, with the paths read in their items.
    arrays: BTreeMap<(String, Vec<String>), BTreeSet<Vec<String>>>,
}

/// Makes rows for one mapping.
pub(crate) struct Generator<'a> {
    mapping: &'a Mapping,
    catalog: &'a Catalog,
    wanted: Wanted,
    random: Random,
}

const TEXTS: &[&str] = &[
    "",
    " ",
    " \t\r\n",
    "a\"b\\c/",
    "tab\there",
    "line\nbreak",
    "\u{1}\u{1f}",
    "Größe 漢字 🚑",
    "null",
    "{}",
    "[]",
    " lead",
    "trail  ",
    "two  blanks",
    "a b",
    "<b>&'\"`=</b>",
    "{{x}}",
    "$x",
    "0",
    "-1",
    "1.50",
    "+1",
    "1e5",
    "true",
    "false",
    "1958",
    "1958-11",
    "1958-11-03",
    "2026-02-30",
    "2026-03-08T10:00:00Z",
    "2026-03-08T10:00:00.5-14:00",
    "2026-03-08T10:00:00",
    "10:00:00",
    "24:00:00",
    "urn:oid:1.2.3",
    "urn:oid:3",
    "urn:uuid:x",
    "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "http://example.org/a?b#c",
    "\u{a0}",
    "\u{2028}",
    "\u{7f}",
    "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg",
    "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg",
    "R0lG",
    "a.b-C",
    "M",
    "é",
];
const NUMERICS: &[&str] = &[
    "0",
    "0.00",
    "1",
    "1.5",
    "1.50",
    "-0.001",
    "100",
    "-12.0",
    "81.50",
    "12345678901234567890.123456789",
    "10000",
    "0.00000001",
    "99999999",
    "NaN",
    "Infinity",
    "-Infinity",
];
const FLOATS: &[&str] = &["0", "1", "1.5", "-2.25", "36.6", "0.001", "100000", "-0", "NaN", "Infinity", "-Infinity"];
const DATES: &[&str] =
    &["1990-07-21", "1958-11-03", "2000-02-29", "0001-01-01", "9999-12-31", "10000-01-01", "infinity", "-infinity"];
const TIMES: &[&str] = &["09:30:00", "00:00:00", "23:59:59.999999", "12:00:00.5", "12:00:00.125", "24:00:00"];
const MOMENTS: &[&str] = &[
    "2026-03-08 14:05:09.125",
    "2026-03-09 00:00:00",
    "2026-03-08 02:30:00",
    "2026-03-08 07:00:00",
    "2026-11-01 01:30:00",
    "2026-11-01 05:59:59.999999",
    "1999-12-31 23:59:59.000001",
    "1950-06-01 12:00:00",
    "9999-12-01 00:00:00",
    "0001-01-01 00:00:00",
    "10000-01-01 00:00:00",
    "infinity",
    "-infinity",
];
const DOCUMENTS: &[&str] = &[
    "{}",
    "[]",
    "\"\"",
    "\"text\"",
    "1.50",
    "{\"text\": \"a \\\"b\\\" ü\"}",
    "{\"coding\": [{\"code\": \"x\", \"system\": \"urn:x\"}], \"text\": \"two  blanks\"}",
    "[\"a\", \"b\"]",
    "[{\"value\": 1.50}, {\"value\": -0.0}]",
];

impl<'a> Generator<'a> {
    pub(crate) fn new(pack: &'a Pack, mapping: &'a Mapping, catalog: &'a Catalog, seed: u64) -> Self {
        let mut wanted = Wanted::default();
        wanted.object(pack, &mapping.root, &mut Vec::new());
        Self { mapping, catalog, wanted, random: Random::new(seed) }
    }

    /// This many driving rows or some less (keys of rows with lists are unique), in the order of the statement.
    pub(crate) fn rows(&mut self, count: usize) -> Vec<RowTree> {
        let header = &self.mapping.header;
        let columns = &self.catalog.rows[&self.mapping.name];
        let key: Vec<&str> = header.key.iter().map(|name| name.text.as_str()).collect();
        let mut rows = Vec::new();
        for _ in 0..count {
            rows.push(self.row(&self.mapping.name.clone(), columns, &key, &header.lists));
        }
        if !header.lists.is_empty() {
            unique(&mut rows, columns, &key);
        }
        arrange(self.mapping, self.catalog, &mut rows);
        rows
    }

    fn row(&mut self, name: &str, columns: &RowSource, key: &[&str], lists: &[List]) -> RowTree {
        let mut row = RowTree::empty(columns, lists);
        // Most rows are nearly full, so that deep parts are reached.
        let sparse = self.random.one_in(4);
        for (at, column) in columns.columns.iter().enumerate() {
            let is_key = key.contains(&column.name.as_str());
            let null = if sparse && !is_key { self.random.one_in(2) } else { self.random.one_in(12) };
            if !null {
                row.values[at] = Some(self.value(&column.name, &column.kind, is_key));
            }
        }
        for (at, list) in lists.iter().enumerate() {
            let name = format!("{name}/{}", list.name.text);
            let columns = &self.catalog.rows[&name];
            let key: Vec<&str> = list.key.iter().map(|name| name.text.as_str()).collect();
            let len = if self.random.one_in(3) { 0 } else { self.random.below(4) };
            let mut items: Vec<RowTree> = (0..len).map(|_| self.row(&name, columns, &key, &list.lists)).collect();
            if !list.lists.is_empty() {
                unique(&mut items, columns, &key);
            }
            row.lists[at] = items;
        }
        row
    }

    fn value(&mut self, name: &str, kind: &PgKind, is_key: bool) -> String {
        let wanted: Vec<&String> = self.wanted.texts.get(name).into_iter().flatten().collect();
        if !wanted.is_empty() && !matches!(kind, PgKind::Array(_)) && self.random.one_in(2) {
            let text = (*self.random.pick(&wanted)).clone();
            if smelt::row::value::binary(kind, &text, &mut Vec::new()).is_ok() {
                return text;
            }
        }
        let random = &mut self.random;
        let odd = random.one_in(4);
        match kind {
            PgKind::Text | PgKind::Char => {
                let mut text = if odd && (!is_key || random.one_in(4)) {
                    (*random.pick(TEXTS)).to_owned()
                } else if is_key || random.one_in(2) {
                    format!("k-{}", random.below(100_000))
                } else {
                    format!("{} {}", random.pick(&["Ana", "O'Neil", "kg", "Main St"]), random.below(50))
                };
                if *kind == PgKind::Char {
                    text.push_str(if random.one_in(2) { "   " } else { "" });
                }
                text
            }
            PgKind::Bool => (*random.pick(&["true", "false"])).to_owned(),
            PgKind::Int2 if odd => (*random.pick(&["0", "-1", "32767", "-32768"])).to_owned(),
            PgKind::Int4 if odd => (*random.pick(&["0", "-1", "2147483647", "-2147483648"])).to_owned(),
            PgKind::Int8 if odd => (*random.pick(&["0", "-1", "2147483648", "-9223372036854775808"])).to_owned(),
            PgKind::Int2 | PgKind::Int4 | PgKind::Int8 => random.below(30_000).to_string(),
            PgKind::Numeric if odd => (*random.pick(NUMERICS)).to_owned(),
            PgKind::Numeric => format!("{}.{:02}", random.below(300), random.below(100)),
            PgKind::Float4 | PgKind::Float8 => (*random.pick(FLOATS)).to_owned(),
            PgKind::Date if odd => (*random.pick(DATES)).to_owned(),
            PgKind::Date => self.day(),
            PgKind::Time => (*random.pick(TIMES)).to_owned(),
            PgKind::Timestamp => self.moment(),
            PgKind::TimestampTz => {
                let moment = self.moment();
                if moment.ends_with("infinity") { moment } else { format!("{moment}+00") }
            }
            PgKind::Uuid => {
                format!("{:08x}-0002-4f1a-8d3b-6a5b4c3d2e1f", random.below(1 << 20))
            }
            PgKind::Bytea => (*random.pick(&["\\x", "\\x00ff", "\\x616263", "\\x61"])).to_owned(),
            PgKind::Json | PgKind::Jsonb => self.document(name),
            PgKind::Array(of) => {
                let elements: Vec<String> = (0..self.random.below(4))
                    .map(|_| {
                        if self.random.one_in(6) {
                            return "NULL".to_owned();
                        }
                        let text = self.value(name, of, false);
                        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
                    })
                    .collect();
                format!("{{{}}}", elements.join(","))
            }
            PgKind::Other(name) => panic!("no values of {name}"),
        }
    }

    fn day(&mut self) -> String {
        let random = &mut self.random;
        format!("{:04}-{:02}-{:02}", 1900 + random.below(150), 1 + random.below(12), 1 + random.below(28))
    }

    fn moment(&mut self) -> String {
        if self.random.one_in(3) {
            return (*self.random.pick(MOMENTS)).to_owned();
        }
        let day = self.day();
        let random = &mut self.random;
        let fraction = random.pick(&["", "", ".5", ".125", ".000001"]);
        format!("{day} {:02}:{:02}:{:02}{fraction}", random.below(24), random.below(60), random.below(60))
    }

    /// A document in which the mapping finds something at most of the paths that it reads.
    fn document(&mut self, name: &str) -> String {
        use serde_json::Value as Json;
        let own = Vec::new();
        let whole = self.wanted.documents.get(name).is_some_and(|paths| paths.contains(&own));
        let is_list = self.wanted.arrays.contains_key(&(name.to_owned(), Vec::new()));
        if (whole && !is_list) || self.random.one_in(8) {
            return (*self.random.pick(DOCUMENTS)).to_owned();
        }
        let mut document = Json::Object(serde_json::Map::new());
        let arrays: Vec<_> = self
            .wanted
            .arrays
            .iter()
            .filter(|((column, _), _)| column == name)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        for ((_, path), fields) in arrays {
            let items = (0..self.random.below(4))
                .map(|_| {
                    let mut item = Json::Object(serde_json::Map::new());
                    for field in &fields {
                        let value = self.scalar(name);
                        put(&mut item, field, value);
                    }
                    item
                })
                .collect();
            if path.is_empty() {
                return Json::Array(items).to_string();
            }
            put(&mut document, &path, Json::Array(items));
        }
        for path in self.wanted.scalars.get(name).cloned().into_iter().flatten() {
            let value = self.scalar(name);
            put(&mut document, &path, value);
        }
        for path in self.wanted.documents.get(name).cloned().into_iter().flatten() {
            let value = self.random.pick(DOCUMENTS).parse().unwrap();
            put(&mut document, &path, value);
        }
        document.to_string()
    }

    fn scalar(&mut self, name: &str) -> serde_json::Value {
        let wanted: Vec<String> = self.wanted.texts.get(name).into_iter().flatten().cloned().collect();
        match self.random.below(8) {
            0 => serde_json::Value::Null,
            1 => self.random.below(100).into(),
            2 => true.into(),
            3 => (self.random.below(100) as f64 / 4.0).into(),
            4 if !wanted.is_empty() => self.random.pick(&wanted).as_str().into(),
            5 => (*self.random.pick(TEXTS)).into(),
            _ => format!("j{}", self.random.below(1_000)).into(),
        }
    }
}

/// Leaves one row of each key.
fn unique(rows: &mut Vec<RowTree>, columns: &RowSource, key: &[&str]) {
    let mut seen = BTreeSet::new();
    let at: Vec<usize> = key.iter().filter_map(|name| Some(columns.column(name)?.0)).collect();
    rows.retain(|row| seen.insert(at.iter().map(|at| row.values[*at].clone()).collect::<Vec<_>>()));
}

fn put(document: &mut serde_json::Value, path: &[String], value: serde_json::Value) {
    match (path, document) {
        ([last], serde_json::Value::Object(members)) => {
            members.insert(last.clone(), value);
        }
        ([first, rest @ ..], serde_json::Value::Object(members)) if !rest.is_empty() => {
            let inner =
                members.entry(first.clone()).or_insert_with(|| serde_json::Value::Object(serde_json::Map::new()));
            put(inner, rest, value);
        }
        _ => {}
    }
}

/// The json array whose items the current names are fields of.
type Inside = Vec<Option<(String, Vec<String>)>>;

impl Wanted {
    fn text(&mut self, column: &ColumnRef, text: &str) {
        self.texts.entry(column.name.clone()).or_default().insert(text.to_owned());
    }

    fn column(&mut self, column: &ColumnRef, inside: &Inside, document: bool) {
        let level = inside.len().checked_sub(1 + usize::from(column.up)).and_then(|at| inside[at].clone());
        if let Some(array) = level {
            let path = std::iter::once(&column.name).chain(&column.json).cloned().collect();
            self.arrays.entry(array).or_default().insert(path);
        } else {
            let paths = if document { &mut self.documents } else { &mut self.scalars };
            paths.entry(column.name.clone()).or_default().insert(column.json.clone());
        }
    }

    fn object(&mut self, pack: &Pack, object: &Object, inside: &mut Inside) {
        for Member { guards, value, .. } in &object.members {
            for guard in guards {
                self.condition(guard, inside);
            }
            self.value(pack, value, inside);
        }
    }

    fn value(&mut self, pack: &Pack, value: &Value, inside: &mut Inside) {
        match value {
            Value::Object(object) => self.object(pack, object, inside),
            Value::List(items) => {
                for item in items {
                    item.guards.iter().for_each(|guard| self.condition(guard, inside));
                    match &item.kind {
                        ItemKind::One(value) => self.value(pack, value, inside),
                        ItemKind::Each { over, body, .. } => {
                            let array = match over {
                                Over::Column(column) => Some((column.name.clone(), column.json.clone())),
                                Over::List(_) => None,
                            };
                            inside.push(array);
                            self.value(pack, body, inside);
                            inside.pop();
                        }
                    }
                }
            }
            Value::Leaf(leaf) => match &leaf.expr {
                Expr::Constant(_) => {}
                Expr::Text(text) => self.template(text, inside),
                Expr::Column(expr) => {
                    for term in &expr.terms {
                        let primitive = leaf.fhir_type.starts_with(|c: char| c.is_ascii_lowercase());
                        self.column(&term.column, inside, !primitive || leaf.list);
                        if let Some(map) = term.via {
                            for row in &pack.code_maps[map.0].rows {
                                self.text(&term.column, &row.source);
                            }
                        }
                        let list = leaf.required_binding.as_deref().and_then(smelt::fhir::elements::codes);
                        for (_, code) in list.into_iter().flat_map(smelt::fhir::elements::CodeList::iter) {
                            self.text(&term.column, code);
                        }
                    }
                }
            },
        }
    }

    fn template(&mut self, text: &Text, inside: &Inside) {
        self.parts(&text.parts, inside);
    }

    fn parts(&mut self, parts: &[Part], inside: &Inside) {
        for part in parts {
            match part {
                Part::Literal(_) => {}
                Part::Column(column) | Part::Apply(_, column) => self.column(column, inside, false),
                Part::Uuid { args, .. } | Part::Sha256(args) => {
                    for arg in args {
                        if let Arg::Column(column) = arg {
                            self.column(column, inside, false);
                        }
                    }
                }
                Part::When { test, then, otherwise } => {
                    self.test(test, inside);
                    self.parts(then, inside);
                    self.parts(otherwise, inside);
                }
                Part::Render { columns, required, .. } => {
                    columns.iter().chain(required).for_each(|column| self.column(column, inside, true));
                }
            }
        }
    }

    fn test(&mut self, test: &Test, inside: &Inside) {
        match test {
            Test::Truthy(column) => self.column(column, inside, false),
            Test::Not(test) => self.test(test, inside),
            Test::And(tests) | Test::Or(tests) => tests.iter().for_each(|test| self.test(test, inside)),
            Test::Eq(left, right) => match (left, right) {
                (Arg::Column(column), Arg::Literal(text)) | (Arg::Literal(text), Arg::Column(column)) => {
                    self.column(column, inside, false);
                    self.text(column, text);
                }
                _ => {}
            },
        }
    }

    fn condition(&mut self, condition: &Condition, inside: &Inside) {
        let mut compared = |left: &Operand, right: &Operand| {
            for (column, literal) in [(left, right), (right, left)] {
                if let Operand::Column(column) = column {
                    self.column(column, inside, false);
                    match literal {
                        Operand::Text(text) | Operand::Number(text) => self.text(column, text),
                        Operand::Bool(_) | Operand::Column(_) => {}
                    }
                }
            }
        };
        match condition {
            Condition::And(parts) | Condition::Or(parts) => parts.iter().for_each(|part| self.condition(part, inside)),
            Condition::Not(part) => self.condition(part, inside),
            Condition::IsNull { operand, .. } => compared(operand, &Operand::Bool(true)),
            Condition::In { operand, list, .. } => list.iter().for_each(|item| compared(operand, item)),
            Condition::Compare { left, right, .. } => compared(left, right),
            Condition::Truthy(column) => self.column(column, inside, false),
        }
    }
}
