//! Checks that a program refers only to what it has, so that running it needs no doubt.

use super::EncodeError;
use crate::plan::program::{
    Bit, Lit, Op, PredicateTest, Program, ScopeRows, SlotRef, TextArg, TextArgText, TextPart, TextTest,
};

type Checked = Result<(), EncodeError>;

fn hold(holds: bool, what: &'static str) -> Checked {
    if holds { Ok(()) } else { Err(EncodeError::Program(what)) }
}

/// `Err` names the first thing that is not there.
pub(super) fn verify(program: &Program) -> Checked {
    let check = Check { program };
    check.scopes()?;
    check.ops()?;
    check.text(0, program.id)
}

struct Check<'a> {
    program: &'a Program,
}

impl Check<'_> {
    fn site(&self, site: u16) -> Checked {
        hold(usize::from(site) < self.program.sites.len(), "a site is not there")
    }

    fn bit(&self, scope: usize, bit: Bit) -> Checked {
        let known = self.program.scopes.get(scope).is_some_and(|scope| bit < scope.bits);
        hold(known, "a bit is not there")
    }

    fn literal(&self, lit: Lit) -> Checked {
        let end = lit.start as usize + lit.len as usize;
        hold(end <= self.program.literals.len(), "a literal is not there")
    }

    fn outward(&self, scope: usize, up: u8) -> Option<usize> {
        (0..up).try_fold(scope, |scope, _| self.program.scopes.get(scope)?.parent.map(usize::from))
    }

    fn slot(&self, scope: usize, slot: SlotRef) -> Checked {
        let known = self
            .outward(scope, slot.up)
            .and_then(|scope| self.program.scopes.get(scope))
            .is_some_and(|scope| usize::from(slot.slot) < scope.slots.len());
        hold(known, "a slot is not there")
    }

    fn scopes(&self) -> Checked {
        let scopes = &self.program.scopes;
        let first = scopes.first().map(|scope| &scope.rows);
        hold(matches!(first, Some(ScopeRows::Stream { stream: 0, .. })), "scope 0 does not read stream 0")?;
        for (number, scope) in scopes.iter().enumerate() {
            let parent = match scope.parent.map(usize::from) {
                Some(parent) if parent < number => scopes.get(parent),
                None if number == 0 => None,
                _ => return Err(EncodeError::Program("a scope does not stand after the one around it")),
            };
            match &scope.rows {
                ScopeRows::Stream { .. } => {
                    let over_rows = parent.is_none_or(|parent| matches!(parent.rows, ScopeRows::Stream { .. }));
                    hold(over_rows, "a list stands in an array")?;
                }
                ScopeRows::Arrays { arrays } => {
                    let slots = parent.map_or(0, |parent| parent.slots.len());
                    hold(arrays.iter().all(|slot| usize::from(*slot) < slots), "an array is not there")?;
                    let known = scope.slots.iter().all(|slot| usize::from(slot.column) < arrays.len());
                    hold(known, "a slot reads an array that is not there")?;
                }
            }
            hold(scope.slots.len() <= usize::from(scope.bits), "a slot has no bit")?;
            for slot in &scope.slots {
                slot.check.map_or(Ok(()), |(_, site)| self.site(site))?;
            }
            for lookup in &scope.lookups {
                self.slot(number, SlotRef { up: 0, slot: lookup.slot })?;
                hold(usize::from(lookup.map) < self.program.maps.len(), "a code map is not there")?;
                self.bit(number, lookup.present)?;
                self.bit(number, lookup.absent)?;
                self.site(lookup.site)?;
            }
            for (theirs, own) in &scope.imports {
                hold(parent.is_some_and(|parent| *theirs < parent.bits), "an imported bit is not there")?;
                self.bit(number, *own)?;
            }
            for predicate in &scope.predicates {
                self.bit(number, predicate.bit)?;
                self.predicate(number, &predicate.test)?;
            }
            for rule in &scope.rules {
                self.bit(number, rule.out)?;
                hold(usize::from(rule.word) < usize::from(scope.bits).div_ceil(64), "a rule reads bits not there")?;
            }
        }
        Ok(())
    }

    fn predicate(&self, scope: usize, test: &PredicateTest) -> Checked {
        match test {
            PredicateTest::And(tests) | PredicateTest::Or(tests) => {
                tests.iter().try_for_each(|test| self.predicate(scope, test))
            }
            PredicateTest::Not(test) => self.predicate(scope, test),
            PredicateTest::IsNull(slot)
            | PredicateTest::Truthy(slot)
            | PredicateTest::Literal(slot, ..)
            | PredicateTest::In(slot, _) => self.slot(scope, *slot),
            PredicateTest::Written(text) => self.text_parts(scope, &text.parts),
            PredicateTest::Slots(left, _, right) => {
                self.slot(scope, *left)?;
                self.slot(scope, *right)
            }
        }
    }

    fn ops(&self) -> Checked {
        let ops = &self.program.ops;
        hold(matches!(ops.last(), Some(Op::End)), "the last op is not the end")?;
        let jump = |to: u32| hold((to as usize) < ops.len(), "a jump leads out of the program");
        let mut scope = 0;
        for op in ops {
            match *op {
                Op::Literal(lit) | Op::Open(lit) | Op::Trim(lit) => self.literal(lit)?,
                Op::Put { from, site, .. } => {
                    self.slot(scope, from)?;
                    self.site(site)?;
                }
                Op::Map { up, lookup } => {
                    let known = self
                        .outward(scope, up)
                        .and_then(|scope| self.program.scopes.get(scope))
                        .is_some_and(|scope| usize::from(lookup) < scope.lookups.len());
                    hold(known, "a lookup is not there")?;
                }
                Op::Text { text, site } => {
                    self.text(scope, text)?;
                    self.site(site)?;
                }
                Op::JumpUnless { bit, to } => {
                    self.bit(scope, bit)?;
                    jump(to)?;
                }
                Op::Jump { to } | Op::JumpIfKept { to } => jump(to)?,
                Op::Drop { site } | Op::Reject { site } | Op::Lack { site, .. } => self.site(site)?,
                Op::Close { closer, .. } => self.literal(closer)?,
                Op::Each { scope: inner, end } => {
                    let parent = self.program.scopes.get(usize::from(inner)).and_then(|inner| inner.parent);
                    hold(parent.map(usize::from) == Some(scope), "a scope is entered from the wrong place")?;
                    jump(end)?;
                    scope = usize::from(inner);
                }
                Op::Next { scope: inner, start } => {
                    hold(usize::from(inner) == scope, "a scope is left that was not entered")?;
                    jump(start)?;
                    scope = self.outward(scope, 1).ok_or(EncodeError::Program("scope 0 is left"))?;
                }
                Op::Live | Op::End => {}
            }
        }
        hold(scope == 0, "a scope is not left")
    }

    fn text(&self, scope: usize, text: u16) -> Checked {
        let text = self.program.texts.get(usize::from(text)).ok_or(EncodeError::Program("a text is not there"))?;
        self.text_parts(scope, &text.parts)
    }

    fn text_parts(&self, scope: usize, parts: &[TextPart]) -> Checked {
        parts.iter().try_for_each(|part| match part {
            TextPart::Literal(_) => Ok(()),
            TextPart::Slot(slot, _) | TextPart::Apply(_, slot, _) => self.slot(scope, *slot),
            TextPart::Uuid(_, args) | TextPart::Sha256(args) => args.iter().try_for_each(|arg| match arg {
                TextArg::Slot(slot) => self.slot(scope, *slot),
                TextArg::Literal(_) => Ok(()),
            }),
            TextPart::When(test, then, otherwise) => {
                self.text_test(scope, test)?;
                self.text_parts(scope, then)?;
                self.text_parts(scope, otherwise)
            }
            TextPart::Render(_, columns) => columns.iter().try_for_each(|(_, slot, _)| self.slot(scope, *slot)),
        })
    }

    fn text_test(&self, scope: usize, test: &TextTest) -> Checked {
        let side = |side: &TextArgText| match side {
            TextArgText::Slot(slot, _) => self.slot(scope, *slot),
            TextArgText::Literal(_) => Ok(()),
        };
        match test {
            TextTest::Truthy(slot) => self.slot(scope, *slot),
            TextTest::Not(test) => self.text_test(scope, test),
            TextTest::And(tests) | TextTest::Or(tests) => tests.iter().try_for_each(|test| self.text_test(scope, test)),
            TextTest::Eq(left, right) => {
                side(left)?;
                side(right)
            }
        }
    }
}
