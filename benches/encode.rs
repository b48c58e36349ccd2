//! Nanoseconds per row and bytes per second of the encoder alone: US Core laboratory observations from memory.
//!
//! `cargo bench --bench encode`

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use smelt::encode::{Encoder, Limits, Output, Step};
use smelt::plan::program::{
    Lit, Lookup, MapOther, MapTable, Op, Program, Rule, Scope, ScopeRows, Site, Slot, SlotRef, Syntax, TextPart,
    TextProgram, Writer,
};
use smelt::row::{PgKind, RowBatch, value};

const ROWS: usize = 100_000;
const BATCH: usize = 4_000;
const ROUNDS: usize = 15;

const COLUMNS: [&str; 12] =
    ["uuid", "uuid", "uuid", "text", "text", "text", "text", "text", "numeric", "text", "timestamptz", "timestamptz"];

/// Writes the program as the compiler would: literals merged, presence as bits.
#[derive(Default)]
struct Ops {
    literals: Vec<u8>,
    ops: Vec<Op>,
}

impl Ops {
    fn lit(&mut self, text: &str) -> Lit {
        let start = self.literals.len() as u32;
        self.literals.extend_from_slice(text.as_bytes());
        Lit { start, len: text.len() as u32 }
    }

    fn write(&mut self, text: &str) -> &mut Self {
        let lit = self.lit(text);
        self.ops.push(Op::Literal(lit));
        self
    }

    fn put(&mut self, slot: u16, writer: Writer) -> &mut Self {
        self.ops.push(Op::Put { from: SlotRef { up: 0, slot }, writer, quoted: false, site: 0 });
        self
    }

    fn text(&mut self, text: u16) -> &mut Self {
        self.ops.push(Op::Text { text, site: 0 });
        self
    }

    fn when(&mut self, bit: u16, body: impl FnOnce(&mut Self)) -> &mut Self {
        let at = self.ops.len();
        self.ops.push(Op::JumpUnless { bit, to: 0 });
        body(self);
        let to = self.ops.len() as u32;
        self.ops[at] = Op::JumpUnless { bit, to };
        self
    }
}

fn observation() -> Program {
    let mut ops = Ops::default();
    let code = Writer::Checked(Syntax::Code, None);
    ops.write(r#"{"resourceType":"Observation","id":"#).text(0);
    ops.write(r#","meta":{"lastUpdated":"#).put(11, Writer::TimestampTz);
    ops.write(r#","source":"https://example.org/ehr","profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"]},"#);
    ops.when(12, |ops| {
        ops.write(r#""status":"#);
        ops.ops.push(Op::Map { up: 0, lookup: 0 });
        ops.write(",");
    });
    ops.write(r#""category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"Laboratory"}],"text":"Laboratory"}],"#);
    ops.when(14, |ops| {
        ops.write(r#""code":{"coding":[{"system":"http://loinc.org","#);
        ops.when(4, |ops| {
            ops.write(r#""code":"#).put(4, code).write(",");
        });
        ops.when(5, |ops| {
            ops.write(r#""display":"#).put(5, Writer::String).write(",");
        });
        let closer = ops.lit("}],");
        ops.ops.push(Op::Trim(closer));
        ops.when(5, |ops| {
            ops.write(r#""text":"#).put(5, Writer::String).write(",");
        });
        let closer = ops.lit("},");
        ops.ops.push(Op::Trim(closer));
    });
    ops.when(1, |ops| {
        ops.write(r#""subject":{"reference":"#).text(1).write("},");
    });
    ops.when(2, |ops| {
        ops.write(r#""encounter":{"reference":"#).text(2).write("},");
    });
    ops.when(10, |ops| {
        ops.write(r#""effectiveDateTime":"#).put(10, Writer::TimestampTz).write(",");
    });
    ops.when(11, |ops| {
        ops.write(r#""issued":"#).put(11, Writer::TimestampTz).write(",");
    });
    ops.when(8, |ops| {
        ops.write(r#""valueQuantity":{"value":"#).put(8, Writer::Numeric).write(",");
        ops.when(6, |ops| {
            ops.write(r#""unit":"#).put(6, Writer::String).write(",");
        });
        ops.write(r#""system":"http://unitsofmeasure.org","#);
        ops.when(7, |ops| {
            ops.write(r#""code":"#).put(7, code).write(",");
        });
        let closer = ops.lit("},");
        ops.ops.push(Op::Trim(closer));
    });
    ops.when(9, |ops| {
        ops.write(r#""note":[{"text":"#).put(9, Writer::String).write("}],");
    });
    let closer = ops.lit("}\n");
    ops.ops.push(Op::Trim(closer));
    ops.ops.push(Op::End);
    let slot =
        |column: usize| Slot { column: column as u16, kind: PgKind::from_sql_name(COLUMNS[column]), check: None };
    let reference = |to: &str, slot: u16| TextProgram {
        parts: vec![TextPart::Literal(to.to_owned()), TextPart::Slot(SlotRef { up: 0, slot }, Writer::Uuid)],
        html: false,
    };
    let statuses = ["final", "amended", "preliminary", "cancelled"];
    Program {
        resource_type: "Observation".to_owned(),
        literals: ops.literals,
        scopes: vec![Scope {
            parent: None,
            rows: ScopeRows::Stream { stream: 0, key: Vec::new(), joined: false },
            slots: (0..COLUMNS.len()).map(slot).collect(),
            lookups: vec![Lookup { slot: 3, map: 0, present: 12, absent: 13, site: 0 }],
            imports: Vec::new(),
            predicates: Vec::new(),
            rules: vec![Rule { out: 14, word: 0, mask: 1 << 4 | 1 << 5, all: false }],
            bits: 15,
        }],
        ops: ops.ops,
        texts: vec![reference("", 0), reference("Patient/", 1), reference("Encounter/", 2)],
        maps: vec![MapTable {
            name: "status".to_owned(),
            entries: statuses.iter().map(|code| (code[..1].to_owned(), format!("\"{code}\"").into_bytes())).collect(),
            empty: MapOther::Omit,
            other: MapOther::Json(b"\"unknown\"".to_vec()),
            counted: false,
        }],
        allowed: Vec::new(),
        sites: vec![Site { code: "R204", path: "Observation".to_owned(), name: None }],
        timezone: "America/New_York".to_owned(),
        id: 0,
        reject_invalid: true,
    }
}

/// Rows as they come from PostgreSQL, in batches.
fn rows() -> Result<Vec<RowBatch>, Box<dyn Error>> {
    let kinds = COLUMNS.map(PgKind::from_sql_name);
    let labs = [
        ("2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL", "mg/dL"),
        ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", "g/dL"),
        ("2951-2", "Sodium [Moles/volume] in Serum or Plasma", "mmol/L", "mmol/L"),
        ("8867-4", "Heart rate", "beats/minute", "/min"),
    ];
    // A small generator, so that every run has the same rows.
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut batches = Vec::new();
    let mut field = Vec::new();
    for nth in 0..ROWS {
        if nth % BATCH == 0 {
            batches.push(RowBatch::new(kinds.len()));
        }
        let Some(batch) = batches.last_mut() else { continue };
        let mut uuid = || format!("{:016x}{:016x}", next(), next());
        let (id, patient, encounter) = (uuid(), uuid(), uuid());
        let random = next();
        let (code, name, unit, ucum) = labs[(random % 4) as usize];
        let status = ["f", "a", "p", "x"][(random >> 8 & 3) as usize];
        let number = format!("{}.{:02}", random >> 16 & 255, random >> 24 & 63);
        let day =
            format!("20{:02}-{:02}-{:02}", 10 + (random >> 30 & 15), 1 + (random >> 35) % 12, 1 + (random >> 40) % 28);
        let time = |hour: u64| format!("{day}T{hour:02}:{:02}:{:02}Z", (random >> 50) % 60, (random >> 44) % 60);
        let (taken, issued) = (time((random >> 57) % 22), time((random >> 57) % 22 + 1));
        let note = (random >> 20).is_multiple_of(8).then_some("Sample slightly \"haemolysed\".\nRepeat if needed.");
        let fields = [
            Some(id.as_str()),
            Some(&patient),
            (random >> 12 & 31 != 0).then_some(&encounter),
            Some(status),
            Some(code),
            Some(name),
            Some(unit),
            Some(ucum),
            Some(&number),
            note,
            Some(&taken),
            Some(&issued),
        ];
        for (kind, text) in kinds.iter().zip(fields) {
            field.clear();
            match text {
                Some(text) => {
                    value::binary(kind, text, &mut field)?;
                    batch.push(Some(&field));
                }
                None => batch.push(None),
            }
        }
    }
    Ok(batches)
}

#[expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let program = Arc::new(observation());
    println!("{} columns, {} ops", COLUMNS.len(), program.ops.len());
    let mut best = f64::INFINITY;
    let mut batches = rows()?;
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let mut encoder = Encoder::new(Arc::clone(&program), Limits { chunk_bytes: 256 * 1024 })?;
        let mut out = Output::new();
        let mut spare = Vec::new();
        let mut used = Vec::with_capacity(batches.len());
        let mut queue = batches.into_iter();
        bytes = 0;
        let start = Instant::now();
        loop {
            let step = encoder.step(&mut out);
            match step {
                Step::Need(stream) => match queue.next() {
                    Some(batch) => used.push(encoder.feed(stream, batch)),
                    None => encoder.finish(stream),
                },
                Step::Chunk | Step::Done => {
                    spare = out.take_settled(spare).bytes;
                    bytes += spare.len();
                    if step == Step::Done {
                        break;
                    }
                }
            }
        }
        best = best.min(start.elapsed().as_secs_f64());
        let report = encoder.report();
        assert_eq!(report.emitted, ROWS as u64, "every row is a resource");
        // The first batch that came back was the empty one the encoder began with.
        used.push(encoder.feed(0, RowBatch::default()));
        used.remove(0);
        batches = used;
    }
    let rows = ROWS as f64;
    println!(
        "{:.0} ns/row, {:.0} B/row, {:.0} MB/s (best of {ROUNDS})",
        best / rows * 1e9,
        bytes as f64 / rows,
        bytes as f64 / best / 1e6
    );
    Ok(())
}
