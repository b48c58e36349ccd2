//! The rows being looked at: one per scope, with the bits that decide what of it is written.

use std::cmp::Ordering;
use std::sync::Arc;

use super::array::ArrayCursor;
use super::compare::{self, Literal};
use super::leaf::{self, Leaves};
use super::lookup::{self, Found, Table};
use super::report::Counts;
use super::string::Text;
use super::watch::{Seen, WatchedRow};
use super::{EncodeError, Invalid};
use crate::plan::program::CompareOp;
use crate::plan::program::{Bit, Lookup, PredicateTest, Program, ScopeRows, Slot, SlotRef};
use crate::row::{PgKind, Place, RowBatch};

/// A stream: the batch at hand and the place in it.
#[derive(Debug, Default)]
struct Stream {
    batch: RowBatch,
    row: usize,
    finished: bool,
}

/// What a stream has next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peek {
    /// A row.
    Row,
    /// The batch is used up.
    Need,
    /// There are no more rows.
    End,
}

/// A scope at run time.
#[derive(Debug)]
struct State {
    /// Itself for scope 0.
    parent: usize,
    from: From,
    /// The stream whose batch has the bytes of its fields.
    bytes: usize,
    /// First of its slots' places and kinds.
    slots: usize,
    /// First word of its bits.
    words: usize,
    /// First of its lookups' results.
    found: usize,
    /// Scopes below it that have streams of their own.
    lists: Vec<usize>,
}

#[derive(Debug)]
enum From {
    Stream {
        stream: usize,
        joined: bool,
    },
    /// Slots of the enclosing scope, the place in each one's array, and the element there.
    Arrays(Vec<(u16, ArrayCursor, Place)>),
}

/// The current row of every scope.
#[derive(Debug)]
pub(super) struct Rows {
    program: Arc<Program>,
    streams: Vec<Stream>,
    scopes: Vec<State>,
    /// Slots of the current rows, and their kinds.
    places: Vec<Place>,
    kinds: Vec<PgKind>,
    bits: Vec<u64>,
    found: Vec<Found>,
    tables: Vec<Table>,
    /// Conditions by scope, literals ready.
    tests: Vec<Vec<(Bit, Test)>>,
}

/// A [`PredicateTest`] with literals ready.
#[derive(Debug)]
enum Test {
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
    IsNull(SlotRef),
    Truthy(SlotRef),
    Literal(SlotRef, CompareOp, Literal),
    Slots(SlotRef, CompareOp, SlotRef),
    In(SlotRef, Vec<Literal>),
    Written(Box<Text>),
}

impl Test {
    fn new(test: &PredicateTest) -> Result<Self, EncodeError> {
        let literal = |literal| {
            Literal::new(literal).map_err(|Invalid| EncodeError::Program("a condition has a literal that is no number"))
        };
        let all = |tests: &[PredicateTest]| tests.iter().map(Self::new).collect::<Result<Vec<_>, _>>();
        Ok(match test {
            PredicateTest::And(tests) => Self::And(all(tests)?),
            PredicateTest::Or(tests) => Self::Or(all(tests)?),
            PredicateTest::Not(test) => Self::Not(Box::new(Self::new(test)?)),
            PredicateTest::IsNull(slot) => Self::IsNull(*slot),
            PredicateTest::Truthy(slot) => Self::Truthy(*slot),
            PredicateTest::Literal(slot, op, value) => Self::Literal(*slot, *op, literal(value)?),
            PredicateTest::Slots(left, op, right) => Self::Slots(*left, *op, *right),
            PredicateTest::In(slot, literals) => {
                Self::In(*slot, literals.iter().map(literal).collect::<Result<_, _>>()?)
            }
            PredicateTest::Written(text) => Self::Written(Box::new(Text::new(text)?)),
        })
    }
}

impl Rows {
    pub(super) fn new(program: &Arc<Program>) -> Result<Self, EncodeError> {
        let mut scopes: Vec<State> = Vec::with_capacity(program.scopes.len());
        let mut kinds: Vec<PgKind> = Vec::new();
        let (mut words, mut found, mut streams) = (0, 0, 1);
        for (number, scope) in program.scopes.iter().enumerate() {
            let parent = scope.parent.map_or(0, usize::from);
            let from = match &scope.rows {
                ScopeRows::Stream { stream, joined, .. } => {
                    streams = streams.max(usize::from(*stream) + 1);
                    if let (Some(outer), true) = (scopes.get_mut(parent), number > 0) {
                        outer.lists.push(number);
                    }
                    From::Stream { stream: usize::from(*stream), joined: *joined }
                }
                ScopeRows::Arrays { arrays } => {
                    From::Arrays(arrays.iter().map(|slot| (*slot, ArrayCursor::default(), Place::NULL)).collect())
                }
            };
            let bytes = match &from {
                From::Stream { stream, .. } => *stream,
                From::Arrays(_) => scopes.get(parent).map_or(0, |outer| outer.bytes),
            };
            scopes.push(State { parent, from, bytes, slots: kinds.len(), words, found, lists: Vec::new() });
            kinds.extend(scope.slots.iter().map(|slot| slot.kind.clone()));
            words += usize::from(scope.bits).div_ceil(64);
            found += scope.lookups.len();
        }
        let tests = program
            .scopes
            .iter()
            .map(|scope| scope.predicates.iter().map(|one| Ok((one.bit, Test::new(&one.test)?))).collect())
            .collect::<Result<_, EncodeError>>()?;
        Ok(Self {
            program: Arc::clone(program),
            streams: std::iter::repeat_with(Stream::default).take(streams).collect(),
            scopes,
            places: vec![Place::NULL; kinds.len()],
            kinds,
            bits: vec![0; words],
            found: vec![Found::Nothing; found],
            tables: program.maps.iter().map(Table::new).collect(),
            tests,
        })
    }

    // ---- streams --------------------------------------------------------------------------------------------

    pub(super) fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Replaces the batch of a stream by the next one.
    pub(super) fn feed(&mut self, stream: u16, batch: RowBatch) -> RowBatch {
        let Some(stream) = self.streams.get_mut(usize::from(stream)) else { return batch };
        stream.row = 0;
        std::mem::replace(&mut stream.batch, batch)
    }

    pub(super) fn finish(&mut self, stream: u16) {
        if let Some(stream) = self.streams.get_mut(usize::from(stream)) {
            stream.finished = true;
        }
    }

    #[inline]
    pub(super) fn peek(&self, stream: usize) -> Peek {
        match self.streams.get(stream) {
            Some(stream) if stream.row < stream.batch.len() => Peek::Row,
            Some(stream) if !stream.finished => Peek::Need,
            _ => Peek::End,
        }
    }

    /// The next row becomes the current one.
    #[inline]
    pub(super) fn advance(&mut self, stream: usize) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.row += 1;
        }
    }

    /// The stream of a scope; `None` for arrays.
    #[inline]
    pub(super) fn stream_of(&self, scope: usize) -> Option<usize> {
        match self.scopes[scope].from {
            From::Stream { stream, .. } => Some(stream),
            From::Arrays(_) => None,
        }
    }

    #[inline]
    pub(super) fn parent(&self, scope: usize) -> usize {
        self.scopes[scope].parent
    }

    /// How the next row of a list stands to the row of the enclosing scope: less belongs to nobody, equal to it,
    /// greater to a later one.
    fn belongs(&self, scope: usize) -> Ordering {
        let state = &self.scopes[scope];
        let (ScopeRows::Stream { key, .. }, From::Stream { stream, joined }, Some(outer)) =
            (&self.program.scopes[scope].rows, &state.from, self.stream_of(state.parent))
        else {
            return Ordering::Greater;
        };
        let (child, parent) = (&self.streams[*stream], &self.streams[outer]);
        for column in key {
            let own = child.batch.field(child.row, usize::from(column.child));
            let theirs = parent.batch.field(parent.row, usize::from(column.parent));
            let order = match (own, theirs) {
                (Some(own), Some(theirs)) => compare::fields(&column.kind, own, theirs),
                // NULLs come last in both streams and equal nothing.
                (Some(_), None) => Ordering::Less,
                (None, _) => Ordering::Greater,
            };
            match order {
                Ordering::Equal => {}
                _ if *joined => return Ordering::Greater,
                order => return order,
            }
        }
        Ordering::Equal
    }

    /// Goes to the next row of a list that belongs to the current row of the enclosing scope, past rows that belong
    /// to nobody. `Ok(false)` when there is none; `Err` names the stream that must be fed first.
    pub(super) fn seek(&mut self, scope: usize, counts: &mut Counts) -> Result<bool, usize> {
        let Some(stream) = self.stream_of(scope) else { return Ok(false) };
        loop {
            match self.peek(stream) {
                Peek::Need => return Err(stream),
                Peek::End => return Ok(false),
                Peek::Row => {}
            }
            match self.belongs(scope) {
                Ordering::Equal => return Ok(true),
                Ordering::Greater => return Ok(false),
                Ordering::Less => self.pass(scope, stream, true, counts)?,
            }
        }
    }

    /// Passes every row of the lists below `scope` that belongs to its current row and was not written. May be
    /// called again after a stream was fed.
    pub(super) fn pass_lists(&mut self, scope: usize, counts: &mut Counts) -> Result<(), usize> {
        for nth in 0..self.scopes[scope].lists.len() {
            let list = self.scopes[scope].lists[nth];
            while self.seek(list, counts)? {
                if let Some(stream) = self.stream_of(list) {
                    self.pass(list, stream, false, counts)?;
                }
            }
        }
        Ok(())
    }

    fn pass(&mut self, scope: usize, stream: usize, orphan: bool, counts: &mut Counts) -> Result<(), usize> {
        self.pass_lists(scope, counts)?;
        if orphan {
            counts.orphan(stream);
        }
        self.advance(stream);
        Ok(())
    }

    /// Passes what is left of every list once stream 0 has ended; all of it belongs to nobody.
    pub(super) fn pass_rest(&mut self, counts: &mut Counts) -> Result<(), usize> {
        for stream in 1..self.streams.len() {
            loop {
                match self.peek(stream) {
                    Peek::Need => return Err(stream),
                    Peek::End => break,
                    Peek::Row => {
                        counts.orphan(stream);
                        self.advance(stream);
                    }
                }
            }
        }
        Ok(())
    }

    // ---- arrays ---------------------------------------------------------------------------------------------

    /// Goes to the first elements of the arrays of a scope; false when they have none. Arrays of several dimensions
    /// are iterated element by element, as `unnest` does it.
    pub(super) fn first_elements(&mut self, scope: usize) -> bool {
        self.each_array(scope, true)
    }

    /// Goes to the next elements; false when every array has ended. Where one is shorter its elements are NULL.
    pub(super) fn next_elements(&mut self, scope: usize) -> bool {
        self.each_array(scope, false)
    }

    fn each_array(&mut self, scope: usize, from_start: bool) -> bool {
        let parent = self.scopes[scope].parent;
        let From::Arrays(arrays) = &mut self.scopes[scope].from else { return false };
        let mut arrays = std::mem::take(arrays);
        let mut any = false;
        for (slot, cursor, element) in &mut arrays {
            *element = Place::NULL;
            let Some(field) = self.field(parent, *slot) else { continue };
            if from_start {
                *cursor = ArrayCursor::open(field).map_or_else(|Invalid| ArrayCursor::default(), |(start, _)| start);
            }
            if let Some(next) = cursor.next(field) {
                any = true;
                let array = self.places[self.scopes[parent].slots + usize::from(*slot)];
                *element = next.map_or(Place::NULL, |(start, len)| array.part(start, len));
            }
        }
        self.scopes[scope].from = From::Arrays(arrays);
        any
    }

    // ---- fields ---------------------------------------------------------------------------------------------

    /// A slot's field in the current row of its scope.
    #[inline]
    fn field(&self, scope: usize, slot: u16) -> Option<&[u8]> {
        let state = &self.scopes[scope];
        self.streams[state.bytes].batch.bytes(self.places[state.slots + usize::from(slot)])
    }

    /// The scope `up` levels outward.
    #[inline]
    fn outward(&self, scope: usize, up: u8) -> usize {
        (0..up).fold(scope, |scope, _| self.scopes[scope].parent)
    }

    /// A slot's kind and field, seen from a scope; `None` when it is NULL.
    #[inline]
    pub(super) fn get(&self, scope: usize, from: SlotRef) -> Option<(&PgKind, &[u8])> {
        let scope = self.outward(scope, from.up);
        let kind = &self.kinds[self.scopes[scope].slots + usize::from(from.slot)];
        self.field(scope, from.slot).map(|field| (kind, field))
    }

    /// The same, `None` also when the slot is blank, empty or left out as invalid.
    pub(super) fn present(&self, scope: usize, from: SlotRef) -> Option<(&PgKind, &[u8])> {
        if self.bit(self.outward(scope, from.up), from.slot) { self.get(scope, from) } else { None }
    }

    // ---- bits -----------------------------------------------------------------------------------------------

    #[inline]
    pub(super) fn bit(&self, scope: usize, bit: Bit) -> bool {
        self.bits[self.scopes[scope].words + usize::from(bit / 64)] >> (bit % 64) & 1 == 1
    }

    /// What the current row of a scope has to say.
    pub(super) fn watched(&self, scope: usize) -> WatchedRow {
        let shape = &self.program.scopes[scope];
        let words = self.scopes[scope].words;
        let seen = |(nth, slot): (usize, &Slot)| match self.field(scope, nth as u16) {
            None => Seen::Null,
            Some(_) if self.bit(scope, nth as u16) => Seen::Value,
            Some(field) if leaf::is_present(&slot.kind, field) => Seen::Invalid,
            Some(_) => Seen::Blank,
        };
        WatchedRow {
            scope: scope as u16,
            slots: shape.slots.iter().enumerate().map(seen).collect(),
            bits: self.bits[words..words + usize::from(shape.bits).div_ceil(64)].to_vec(),
        }
    }

    #[inline]
    fn set(&mut self, scope: usize, bit: Bit) {
        self.bits[self.scopes[scope].words + usize::from(bit / 64)] |= 1 << (bit % 64);
    }

    /// Computes the bits of a scope's current row: slots, lookups, imports, predicates, rules.
    pub(super) fn load(&mut self, program: &Program, scope: usize, leaves: &mut Leaves, counts: &mut Counts) {
        let shape = &program.scopes[scope];
        let state = &self.scopes[scope];
        let (words, places) = (state.words, state.slots);
        self.bits[words..words + usize::from(shape.bits).div_ceil(64)].fill(0);
        let batch = &self.streams[state.bytes].batch;
        let mut word = 0;
        for (nth, slot) in shape.slots.iter().enumerate() {
            if nth % 64 == 0 && nth > 0 {
                self.bits[words + nth / 64 - 1] = word;
                word = 0;
            }
            let place = match &state.from {
                From::Stream { stream, .. } => batch.place(self.streams[*stream].row, usize::from(slot.column)),
                From::Arrays(arrays) => {
                    arrays.get(usize::from(slot.column)).map_or(Place::NULL, |(_, _, place)| *place)
                }
            };
            self.places[places + nth] = place;
            let Some(field) = batch.bytes(place) else { continue };
            let mut present = leaf::is_present(&slot.kind, field);
            if let (true, Some((writer, site))) = (present, slot.check) {
                let mut trial = std::mem::take(&mut leaves.scratch);
                trial.clear();
                present = leaves.json(&slot.kind, writer, false, field, &mut trial).is_ok();
                leaves.scratch = trial;
                leaves.take_adjusted();
                if !present {
                    counts.at(site).invalid += 1;
                }
            }
            word |= u64::from(present) << (nth % 64);
        }
        if let Some(last) = shape.slots.len().checked_sub(1) {
            self.bits[words + last / 64] = word;
        }
        for (nth, lookup) in shape.lookups.iter().enumerate() {
            let found = self.look_up(scope, lookup, leaves, counts);
            self.found[self.scopes[scope].found + nth] = found;
            match found {
                Found::Nothing => {}
                Found::Absent => self.set(scope, lookup.absent),
                // What is to be rejected counts as present, so that it is come upon only where it would be written.
                Found::Entry(_) | Found::Empty | Found::Other | Found::Reject => self.set(scope, lookup.present),
            }
        }
        let parent = self.scopes[scope].parent;
        for (theirs, own) in &shape.imports {
            if self.bit(parent, *theirs) {
                self.set(scope, *own);
            }
        }
        for nth in 0..self.tests[scope].len() {
            let (bit, test) = &self.tests[scope][nth];
            if self.holds(scope, test, leaves) == Some(true) {
                self.set(scope, *bit);
            }
        }
        for rule in &shape.rules {
            let masked = self.bits[words + usize::from(rule.word)] & rule.mask;
            if if rule.all { masked == rule.mask } else { masked != 0 } {
                self.set(scope, rule.out);
            }
        }
    }

    #[inline]
    fn look_up(&self, scope: usize, lookup: &Lookup, leaves: &mut Leaves, counts: &mut Counts) -> Found {
        let table = &self.tables[usize::from(lookup.map)];
        let slot = SlotRef { up: 0, slot: lookup.slot };
        let Some((kind, field)) = self.present(scope, slot) else { return table.find_empty() };
        let mut scratch = std::mem::take(&mut leaves.scratch);
        let value = source_value(kind, field, &mut scratch);
        let (found, unmapped) = value.map_or((Found::Nothing, false), |value| table.find(value));
        if unmapped {
            counts.unmapped(lookup.site, value.map_or(0, lookup::hash));
        }
        leaves.scratch = scratch;
        found
    }

    /// Appends what a lookup found. `Err` is the site that rejects the resource.
    #[inline]
    pub(super) fn write_found(
        &self,
        scope: usize,
        up: u8,
        nth: u16,
        leaves: &mut Leaves,
        out: &mut Vec<u8>,
    ) -> Result<(), u16> {
        let scope = self.outward(scope, up);
        let lookup = &self.program.scopes[scope].lookups[usize::from(nth)];
        let found = self.found[self.scopes[scope].found + usize::from(nth)];
        let table = &self.tables[usize::from(lookup.map)];
        if let Found::Entry(_) | Found::Empty = found {
            return table.write(found, b"", out).map_err(|Invalid| lookup.site);
        }
        let mut scratch = std::mem::take(&mut leaves.scratch);
        let value = self
            .get(scope, SlotRef { up: 0, slot: lookup.slot })
            .and_then(|(kind, field)| source_value(kind, field, &mut scratch));
        let done = table.write(found, value.unwrap_or_default(), out).map_err(|Invalid| lookup.site);
        leaves.scratch = scratch;
        done
    }

    /// SQL's three-valued logic; `None` is unknown.
    fn holds(&self, scope: usize, test: &Test, leaves: &mut Leaves) -> Option<bool> {
        match test {
            Test::And(tests) => tests
                .iter()
                .try_fold(Some(true), |all, test| match self.holds(scope, test, leaves) {
                    Some(false) => Err(()),
                    one => Ok(all.and(one)),
                })
                .unwrap_or(Some(false)),
            Test::Or(tests) => tests
                .iter()
                .try_fold(Some(false), |any, test| match self.holds(scope, test, leaves) {
                    Some(true) => Err(()),
                    one => Ok(any.and(one)),
                })
                .unwrap_or(Some(true)),
            Test::Not(test) => self.holds(scope, test, leaves).map(|held| !held),
            Test::IsNull(slot) => Some(self.present(scope, *slot).is_none()),
            Test::Truthy(slot) => leaf::boolean(self.present(scope, *slot)?.1).ok(),
            Test::Literal(slot, op, literal) => {
                let (kind, field) = self.present(scope, *slot)?;
                Some(compare::holds(*op, literal.order(kind, field)?))
            }
            Test::Slots(left, op, right) => {
                let ((kind, left), (_, right)) = (self.present(scope, *left)?, self.present(scope, *right)?);
                Some(compare::holds(*op, compare::fields(kind, left, right)))
            }
            Test::Written(text) => Some(text.says_something(self, scope, leaves)),
            Test::In(slot, literals) => {
                let (kind, field) = self.present(scope, *slot)?;
                Some(literals.iter().any(|literal| literal.order(kind, field) == Some(Ordering::Equal)))
            }
        }
    }
}

/// The text that a code map lists for a field.
#[inline]
fn source_value<'a>(kind: &PgKind, field: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if kind.is_text() {
        return Some(leaf::text_of(kind, field));
    }
    scratch.clear();
    leaf::database(kind, field, scratch).ok()?;
    Some(scratch)
}
