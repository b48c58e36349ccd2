//! Programs, rows and a caller for tests.

use std::sync::Arc;

use super::{Encoder, Limits, Output, Report, Spill, Step};
use crate::plan::program::{
    Bit, KeyColumn, Lit, Lookup, MapTable, Op, Predicate, PredicateTest, Program, Rule, Scope, ScopeRows, Site, Slot,
    SlotRef, TextPart, TextProgram, Writer,
};
use crate::row::{PgKind, RowBatch, value};

/// A program that writes nothing.
pub(super) fn empty_program() -> Program {
    Program {
        resource_type: "Basic".to_owned(),
        literals: Vec::new(),
        scopes: vec![Scope {
            parent: None,
            rows: ScopeRows::Stream { stream: 0, key: Vec::new(), joined: false },
            slots: Vec::new(),
            lookups: Vec::new(),
            imports: Vec::new(),
            predicates: Vec::new(),
            rules: Vec::new(),
            bits: 0,
        }],
        ops: Vec::new(),
        texts: Vec::new(),
        maps: Vec::new(),
        allowed: Vec::new(),
        sites: Vec::new(),
        timezone: "UTC".to_owned(),
        id: 0,
        reject_invalid: true,
    }
}

/// Writes programs by hand. Add all slots of a scope before its other bits.
pub(super) struct Assembler {
    pub(super) program: Program,
}

impl Assembler {
    /// A program whose id is text column 0, and whose rows have columns of these kinds.
    pub(super) fn new(kinds: &[&str]) -> Self {
        let mut program = empty_program();
        program.texts.push(TextProgram { parts: vec![TextPart::Slot(own(0), Writer::String)], html: false });
        let mut this = Self { program };
        this.slots(0, kinds);
        this
    }

    fn slots(&mut self, scope: usize, kinds: &[&str]) {
        let scope = &mut self.program.scopes[scope];
        for (column, kind) in kinds.iter().enumerate() {
            let kind = PgKind::from_sql_name(kind);
            scope.slots.push(Slot { column: column as u16, kind, check: None });
        }
        scope.bits = kinds.len() as u16;
    }

    fn scope(&mut self, parent: u16, rows: ScopeRows, kinds: &[&str]) -> u16 {
        self.program.scopes.push(Scope { parent: Some(parent), rows, ..empty_program().scopes.remove(0) });
        self.slots(self.program.scopes.len() - 1, kinds);
        (self.program.scopes.len() - 1) as u16
    }

    /// A list whose first columns hold the first columns of the rows around it.
    pub(super) fn list(&mut self, parent: u16, stream: u16, keys: usize, joined: bool, kinds: &[&str]) -> u16 {
        let column = |n: usize| KeyColumn { parent: n as u16, child: n as u16, kind: PgKind::from_sql_name(kinds[n]) };
        let key = (0..keys).map(column).collect();
        self.scope(parent, ScopeRows::Stream { stream, key, joined }, kinds)
    }

    /// Arrays in these slots of the enclosing scope, side by side.
    pub(super) fn arrays(&mut self, parent: u16, arrays: &[u16], kinds: &[&str]) -> u16 {
        self.scope(parent, ScopeRows::Arrays { arrays: arrays.to_vec() }, kinds)
    }

    fn new_bit(&mut self, scope: u16) -> Bit {
        let scope = &mut self.program.scopes[usize::from(scope)];
        scope.bits += 1;
        scope.bits - 1
    }

    pub(super) fn rule(&mut self, scope: u16, bits: &[Bit], all: bool) -> Bit {
        let out = self.new_bit(scope);
        let mask = bits.iter().fold(0, |mask, bit| mask | 1 << bit);
        self.program.scopes[usize::from(scope)].rules.push(Rule { out, word: 0, mask, all });
        out
    }

    pub(super) fn import(&mut self, scope: u16, bit: Bit) -> Bit {
        let own = self.new_bit(scope);
        self.program.scopes[usize::from(scope)].imports.push((bit, own));
        own
    }

    pub(super) fn predicate(&mut self, scope: u16, test: PredicateTest) -> Bit {
        let bit = self.new_bit(scope);
        self.program.scopes[usize::from(scope)].predicates.push(Predicate { bit, test });
        bit
    }

    /// A lookup: its number, and its bits.
    pub(super) fn lookup(&mut self, scope: u16, slot: u16, map: MapTable, site: u16) -> (u16, Bit, Bit) {
        let (present, absent) = (self.new_bit(scope), self.new_bit(scope));
        self.program.maps.push(map);
        let map = (self.program.maps.len() - 1) as u16;
        let lookups = &mut self.program.scopes[usize::from(scope)].lookups;
        lookups.push(Lookup { slot, map, present, absent, site });
        ((lookups.len() - 1) as u16, present, absent)
    }

    pub(super) fn site(&mut self, code: &'static str, path: &str) -> u16 {
        self.program.sites.push(Site { code, path: path.to_owned(), name: None });
        (self.program.sites.len() - 1) as u16
    }

    pub(super) fn lit(&mut self, text: &str) -> Lit {
        let start = self.program.literals.len() as u32;
        self.program.literals.extend_from_slice(text.as_bytes());
        Lit { start, len: text.len() as u32 }
    }

    pub(super) fn op(&mut self, op: Op) -> &mut Self {
        self.program.ops.push(op);
        self
    }

    pub(super) fn write(&mut self, text: &str) -> &mut Self {
        let lit = self.lit(text);
        self.op(Op::Literal(lit))
    }

    pub(super) fn put(&mut self, from: SlotRef, writer: Writer, site: u16) -> &mut Self {
        self.op(Op::Put { from, writer, quoted: false, site })
    }

    pub(super) fn trim(&mut self, closer: &str) -> &mut Self {
        let lit = self.lit(closer);
        self.op(Op::Trim(lit))
    }

    pub(super) fn open(&mut self, opener: &str) -> &mut Self {
        let lit = self.lit(opener);
        self.op(Op::Open(lit))
    }

    pub(super) fn close(&mut self, closer: &str) -> &mut Self {
        let closer = self.lit(closer);
        self.op(Op::Close { closer, live: true })
    }

    pub(super) fn here(&self) -> u32 {
        self.program.ops.len() as u32
    }

    /// What `body` writes, if the bit is set.
    pub(super) fn when(&mut self, bit: Bit, body: impl FnOnce(&mut Self)) -> &mut Self {
        let at = self.program.ops.len();
        self.op(Op::JumpUnless { bit, to: 0 });
        body(self);
        let to = self.here();
        self.program.ops[at] = Op::JumpUnless { bit, to };
        self
    }

    /// What `body` writes, for each row of a scope.
    pub(super) fn each(&mut self, scope: u16, body: impl FnOnce(&mut Self)) -> &mut Self {
        let at = self.program.ops.len();
        self.op(Op::Each { scope, end: 0 });
        let start = self.here();
        body(self);
        self.op(Op::Next { scope, start });
        let end = self.here();
        self.program.ops[at] = Op::Each { scope, end };
        self
    }

    /// The program, its last op added.
    pub(super) fn finish(mut self) -> Arc<Program> {
        self.op(Op::End);
        Arc::new(self.program)
    }
}

/// A slot of the current scope.
pub(super) fn own(slot: u16) -> SlotRef {
    SlotRef { up: 0, slot }
}

/// Rows as text; `-` is NULL.
pub(super) type Rows = Vec<Vec<String>>;

/// Rows from lines of values between `|`.
pub(super) fn rows(text: &str) -> Rows {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| line.split('|').map(str::to_owned).collect()).collect()
}

fn batch(kinds: &[PgKind], rows: &[Vec<String>]) -> RowBatch {
    let mut batch = RowBatch::new(kinds.len());
    for row in rows {
        assert_eq!(row.len(), kinds.len());
        for (kind, text) in kinds.iter().zip(row) {
            if text == "-" {
                batch.push(None);
            } else {
                let mut field = Vec::new();
                value::binary(kind, text, &mut field).unwrap();
                batch.push(Some(&field));
            }
        }
    }
    batch
}

/// What came out.
pub(super) struct Run {
    pub(super) text: String,
    pub(super) report: Report,
    pub(super) resources: u64,
    /// Times the spill was used.
    pub(super) spills: usize,
    /// The most bytes that stood in the buffer when the encoder came back.
    pub(super) most: usize,
}

/// Runs a program over its streams, as an export does: batches of some rows, drained at some chunk size.
pub(super) fn run(program: &Arc<Program>, streams: &[Rows], batch_rows: usize, chunk_bytes: usize) -> Run {
    let mut encoder = Encoder::new(Arc::clone(program), Limits { chunk_bytes }).unwrap();
    let mut kinds: Vec<Vec<PgKind>> = vec![Vec::new(); streams.len()];
    for scope in &program.scopes {
        if let ScopeRows::Stream { stream, .. } = scope.rows {
            kinds[usize::from(stream)] = scope.slots.iter().map(|slot| slot.kind.clone()).collect();
        }
    }
    let mut fed = vec![0; streams.len()];
    let mut out = Output::new();
    let (mut file, mut spill, mut spills, mut most) = (Vec::new(), Vec::new(), 0, 0);
    let mut resources = 0;
    loop {
        let step = encoder.step(&mut out);
        most = most.max(out.settled().len() + out.open_len());
        if let Step::Need(stream) = step {
            let at = usize::from(stream);
            let next = streams[at].chunks(batch_rows).nth(fed[at]);
            fed[at] += 1;
            match next {
                Some(rows) => drop(encoder.feed(stream, batch(&kinds[at], rows))),
                None => encoder.finish(stream),
            }
            continue;
        }
        while let Some(order) = out.spill() {
            match order {
                Spill::Cut(len) => spill.truncate(len as usize),
                Spill::Whole(len) => {
                    assert_eq!(spill.len() as u64, len);
                    file.append(&mut spill);
                }
            }
        }
        let mut settled = out.take_settled(Vec::new());
        file.append(&mut settled.bytes);
        resources += settled.resources;
        if step == Step::Done {
            assert_eq!((out.open_len(), spill.len()), (0, 0), "nothing is left open");
            break;
        }
        if out.open_len() >= chunk_bytes {
            spill.append(&mut out.take_open(Vec::new()));
            spills += 1;
        }
    }
    let report = encoder.report();
    assert_eq!(report.rows_read, report.emitted + report.rejected);
    assert_eq!(resources, report.emitted);
    Run { text: String::from_utf8(file).unwrap(), report, resources, spills, most }
}
