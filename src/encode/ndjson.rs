//! The machine that runs a program over streams of rows and writes NDJSON.

use std::sync::Arc;

use super::code::{Instruction, instructions};
use super::leaf::Leaves;
use super::output::{Mark, Output};
use super::report::{Counts, Report};
use super::scope::{Peek, Rows};
use super::string::Text;
use super::verify::verify;
use super::watch::Watched;
use super::{EncodeError, Invalid};
use crate::plan::program::{Lit, Op, Program};
use crate::row::RowBatch;

/// Bounds of an encoder's memory.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of output after which the caller is asked to drain it. A single row may exceed it.
    pub chunk_bytes: usize,
}

/// Why [`Encoder::step`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// This stream's batch is used up: [`Encoder::feed`] it, or [`Encoder::finish`] it.
    Need(u16),
    /// The output has reached the chunk size, maybe inside a resource: drain it as [`Output`] says.
    Chunk,
    /// Every stream is finished and every row done with. The output may hold a last chunk.
    Done,
}

/// Runs one program over its streams. It does no I/O: it asks for batches and fills an [`Output`].
///
/// Every resource is written whole or not at all. Streams other than 0 are lists, ordered as their parents' stream is;
/// they are merged with it row by row, so a list of any length needs one batch at a time.
#[derive(Debug)]
pub struct Encoder {
    program: Arc<Program>,
    code: Arc<[Instruction]>,
    texts: Vec<Text>,
    /// Sites of resource ids.
    id_sites: Vec<bool>,
    rows: Rows,
    leaves: Leaves,
    counts: Counts,
    chunk_bytes: usize,
    phase: Phase,
    /// The next instruction.
    pc: usize,
    /// The current scope.
    scope: usize,
    /// Parts that may be taken back, innermost last.
    opens: Vec<Part>,
    /// The part closed last was kept.
    kept: bool,
    /// At [`Op::Next`]: the last row is done with, the next one not yet there.
    between: bool,
    /// At [`Op::Next`]: the caller was asked to drain and came back.
    asked: bool,
    /// What is seen of every row, when somebody wants an explanation.
    watched: Option<Vec<Watched>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The next row of stream 0 is to be loaded.
    Row,
    /// Its ops run.
    Run,
    /// It is done; what its lists still hold for it is passed.
    Pass,
    /// Stream 0 has ended; what the lists still hold is passed.
    Rest,
    Done,
}

/// A part that may be taken back.
#[derive(Debug, Clone, Copy)]
struct Part {
    mark: Mark,
    live: bool,
    /// An element that it requires is missing: its site, and whether that rejects the resource.
    lacks: Option<(u16, bool)>,
    /// The site of a value in it that cannot be written.
    invalid: Option<u16>,
}

/// Why the ops stopped.
enum Stop {
    Need(usize),
    Chunk,
    End,
    Reject(u16),
}

impl Encoder {
    /// An encoder at the beginning of its streams.
    pub fn new(program: Arc<Program>, limits: Limits) -> Result<Self, EncodeError> {
        verify(&program)?;
        let rows = Rows::new(&program)?;
        Ok(Self {
            code: instructions(&program.ops).into(),
            id_sites: program.sites.iter().map(|site| site.code == "R405").collect(),
            texts: program.texts.iter().map(Text::new).collect::<Result<_, _>>()?,
            leaves: Leaves::new(&program)?,
            counts: Counts::new(rows.stream_count()),
            rows,
            // Room for the byte that a spilled resource leaves behind, and one more.
            chunk_bytes: limits.chunk_bytes.max(2),
            phase: Phase::Row,
            pc: 0,
            scope: 0,
            opens: Vec::new(),
            kept: false,
            between: false,
            asked: false,
            watched: None,
            program,
        })
    }

    /// Gives the next rows of the stream that [`Step::Need`] names; they must have as many columns as its statement.
    /// The batch used up comes back, to be filled again.
    pub fn feed(&mut self, stream: u16, batch: RowBatch) -> RowBatch {
        self.rows.feed(stream, batch)
    }

    /// Says that a stream has no rows beyond those fed.
    pub fn finish(&mut self, stream: u16) {
        self.rows.finish(stream);
    }

    /// The counts since this was last called.
    pub fn report(&mut self) -> Report {
        self.counts.take()
    }

    /// From now on it remembers what it sees of every row: for explanations, a few rows at a time.
    pub fn watch(&mut self) {
        self.watched = Some(Vec::new());
    }

    /// What was seen of the rows of stream 0 that are done with, since this was last called.
    pub fn take_watched(&mut self) -> Vec<Watched> {
        let Some(watched) = &mut self.watched else { return Vec::new() };
        let under_way = matches!(self.phase, Phase::Run).then(|| watched.pop()).flatten();
        std::mem::replace(watched, under_way.into_iter().collect())
    }

    fn see(&mut self, scope: usize) {
        let Some(watched) = &mut self.watched else { return };
        if scope == 0 {
            watched.push(Watched::default());
        }
        if let Some(resource) = watched.last_mut() {
            resource.rows.push(self.rows.watched(scope));
        }
    }

    /// Writes as much as it can.
    pub fn step(&mut self, out: &mut Output) -> Step {
        let program = Arc::clone(&self.program);
        loop {
            match self.phase {
                Phase::Row => match self.rows.peek(0) {
                    Peek::Need => return Step::Need(0),
                    Peek::End => self.phase = Phase::Rest,
                    Peek::Row => {
                        self.rows.load(&program, 0, &mut self.leaves, &mut self.counts);
                        self.see(0);
                        self.pc = 0;
                        self.phase = Phase::Run;
                    }
                },
                Phase::Run => {
                    match self.run(&program, out) {
                        Stop::Need(stream) => return Step::Need(stream as u16),
                        Stop::Chunk => return Step::Chunk,
                        Stop::End => {
                            out.settle();
                            self.counts.emitted();
                            if let Some(resource) = self.watched.as_mut().and_then(|watched| watched.last_mut()) {
                                resource.written = true;
                            }
                        }
                        Stop::Reject(site) => {
                            out.take_back();
                            let id = self.texts.get(usize::from(program.id));
                            self.counts.rejected(site, || id.and_then(|id| id.id(&self.rows, &mut self.leaves)));
                            self.leaves.take_adjusted();
                        }
                    }
                    self.scope = 0;
                    self.opens.clear();
                    self.phase = Phase::Pass;
                }
                Phase::Pass => {
                    if let Err(stream) = self.rows.pass_lists(0, &mut self.counts) {
                        return Step::Need(stream as u16);
                    }
                    self.rows.advance(0);
                    self.phase = Phase::Row;
                    if out.bytes.len() >= self.chunk_bytes || out.waits() {
                        return Step::Chunk;
                    }
                }
                Phase::Rest => match self.rows.pass_rest(&mut self.counts) {
                    Err(stream) => return Step::Need(stream as u16),
                    Ok(()) => self.phase = Phase::Done,
                },
                Phase::Done => return Step::Done,
            }
        }
    }

    /// Runs ops until something stops them. What asks for rows is run again when they are there.
    fn run(&mut self, program: &Program, out: &mut Output) -> Stop {
        let literal = |lit: Lit| &program.literals[lit.start as usize..(lit.start + lit.len) as usize];
        let code = Arc::clone(&self.code);
        let mut pc = self.pc;
        loop {
            let at = pc;
            let Instruction { before, op } = &code[at];
            pc += 1;
            if before.len > 0 {
                out.bytes.extend_from_slice(literal(*before));
            }
            match *op {
                Op::Literal(lit) => out.bytes.extend_from_slice(literal(lit)),
                Op::Put { from, writer, quoted, site } => {
                    let Some((kind, field)) = self.rows.get(self.scope, from) else { return Stop::Reject(site) };
                    if let Err(Invalid) = self.leaves.json(kind, writer, quoted, field, &mut out.bytes)
                        && let Some(stop) = self.invalid(site)
                    {
                        return stop;
                    }
                    self.count_adjusted(site);
                }
                Op::Map { up, lookup } => {
                    let done = self.rows.write_found(self.scope, up, lookup, &mut self.leaves, &mut out.bytes);
                    if let Err(site) = done
                        && let Some(stop) = self.invalid(site)
                    {
                        return stop;
                    }
                }
                Op::Text { text, site } => {
                    let program_text = &self.texts[usize::from(text)];
                    let is_id = text == program.id || self.id_sites[usize::from(site)];
                    let (rows, leaves, bytes) = (&self.rows, &mut self.leaves, &mut out.bytes);
                    let done = if is_id {
                        program_text.json_id(rows, self.scope, leaves, bytes)
                    } else {
                        program_text.json(rows, self.scope, leaves, bytes)
                    };
                    if let Err(Invalid) = done
                        && let Some(stop) = self.invalid(site)
                    {
                        return stop;
                    }
                    self.count_adjusted(site);
                }
                Op::JumpUnless { bit, to } => {
                    if !self.rows.bit(self.scope, bit) {
                        pc = to as usize;
                    }
                }
                Op::Jump { to } => pc = to as usize,
                Op::JumpIfKept { to } => {
                    if self.kept {
                        pc = to as usize;
                    }
                }
                Op::Drop { site } => self.counts.at(site).dropped += 1,
                Op::Reject { site } => return Stop::Reject(site),
                Op::Trim(closer) => out.close(literal(closer)),
                Op::Open(opener) => {
                    self.opens.push(Part { mark: out.mark(), live: false, lacks: None, invalid: None });
                    out.bytes.extend_from_slice(literal(opener));
                }
                Op::Live => self.enliven(),
                Op::Lack { site, reject } => match self.opens.last_mut() {
                    Some(part) => part.lacks = part.lacks.or(Some((site, reject))),
                    None => return Stop::Reject(site),
                },
                Op::Close { closer, live } => {
                    let Some(part) = self.opens.pop() else { continue };
                    self.kept = part.live && part.lacks.is_none();
                    if !self.kept {
                        out.back_to(part.mark);
                        match part.lacks.filter(|_| part.live) {
                            Some((site, true)) => return Stop::Reject(site),
                            Some((site, false)) => self.counts.at(site).dropped += 1,
                            None => {}
                        }
                        continue;
                    }
                    out.close(literal(closer));
                    if let Some(stop) = part.invalid.and_then(|site| self.invalid(site)) {
                        return stop;
                    }
                    if live {
                        self.enliven();
                    }
                }
                Op::Each { scope, end } => {
                    let scope = usize::from(scope);
                    match self.first(scope) {
                        Ok(true) => self.enter(program, scope),
                        Ok(false) => pc = end as usize,
                        Err(stream) => {
                            self.pc = at;
                            return Stop::Need(stream);
                        }
                    }
                }
                Op::Next { scope, start } => {
                    let scope = usize::from(scope);
                    if out.bytes.len() >= self.chunk_bytes && !self.asked {
                        self.asked = true;
                        self.pc = at;
                        return Stop::Chunk;
                    }
                    match self.next(scope) {
                        Ok(true) => {
                            self.enter(program, scope);
                            pc = start as usize;
                        }
                        Ok(false) => self.scope = self.rows.parent(scope),
                        Err(stream) => {
                            self.pc = at;
                            return Stop::Need(stream);
                        }
                    }
                    self.asked = false;
                }
                Op::End => return Stop::End,
            }
        }
    }

    /// A value cannot be written: that rejects the resource unless a part around it is taken back.
    #[cold]
    fn invalid(&mut self, site: u16) -> Option<Stop> {
        let Some(part) = self.opens.last_mut() else { return Some(Stop::Reject(site)) };
        part.invalid = part.invalid.or(Some(site));
        None
    }

    /// The part being written is worth keeping.
    fn enliven(&mut self) {
        if let Some(part) = self.opens.last_mut() {
            part.live = true;
        }
    }

    #[inline]
    fn count_adjusted(&mut self, site: u16) {
        let adjusted = self.leaves.take_adjusted();
        if adjusted > 0 {
            self.counts.at(site).adjusted += adjusted;
        }
    }

    fn enter(&mut self, program: &Program, scope: usize) {
        if let Some(stream) = self.rows.stream_of(scope) {
            self.counts.item(stream);
        }
        self.scope = scope;
        self.rows.load(program, scope, &mut self.leaves, &mut self.counts);
        self.see(scope);
    }

    /// Goes to the first row of a scope; false when there is none.
    fn first(&mut self, scope: usize) -> Result<bool, usize> {
        match self.rows.stream_of(scope) {
            Some(_) => self.rows.seek(scope, &mut self.counts),
            None => Ok(self.rows.first_elements(scope)),
        }
    }

    /// Goes to the next row of the current scope; false when there is none.
    fn next(&mut self, scope: usize) -> Result<bool, usize> {
        let Some(stream) = self.rows.stream_of(scope) else { return Ok(self.rows.next_elements(scope)) };
        if !self.between {
            self.rows.pass_lists(scope, &mut self.counts)?;
            self.rows.advance(stream);
            self.between = true;
        }
        let found = self.rows.seek(scope, &mut self.counts)?;
        self.between = false;
        Ok(found)
    }
}
