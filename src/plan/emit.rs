//! Ops while a program is being made: literals merged, jumps patched, bits resolved at the end.

use std::collections::HashMap;

use super::program::{Lit, Op, Site};
use super::scope::{Presence, ScopeDraft, Sym};

/// Bits that are not slots carry this flag until [`Emitter::finish`].
const DERIVED: u16 = 0x8000;

/// A jump waiting for its target.
#[must_use]
#[derive(Debug)]
pub(super) struct Patch(usize);

/// The op list in the making.
#[derive(Debug, Default)]
pub(super) struct Emitter {
    ops: Vec<(Op, u16)>,
    literals: Vec<u8>,
    known: HashMap<Vec<u8>, Lit>,
    pending: Vec<u8>,
    sites: Vec<Site>,
}

impl Emitter {
    /// Appends constant bytes; runs of them become one op.
    pub(super) fn literal(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The range of these bytes in the literal pool.
    pub(super) fn pool(&mut self, bytes: &[u8]) -> Lit {
        if let Some(lit) = self.known.get(bytes) {
            return *lit;
        }
        let lit = Lit { start: self.literals.len() as u32, len: bytes.len() as u32 };
        self.literals.extend_from_slice(bytes);
        self.known.insert(bytes.to_vec(), lit);
        lit
    }

    fn flush(&mut self, scope: u16) {
        if !self.pending.is_empty() {
            let bytes = std::mem::take(&mut self.pending);
            let lit = self.pool(&bytes);
            self.ops.push((Op::Literal(lit), scope));
        }
    }

    /// Appends an op; `scope` is the current scope.
    pub(super) fn op(&mut self, scope: u16, op: Op) -> Patch {
        self.flush(scope);
        self.ops.push((op, scope));
        Patch(self.ops.len() - 1)
    }

    /// A jump that is taken unless `presence` holds; `None` when it always holds.
    pub(super) fn jump_unless(&mut self, scope: u16, presence: Presence) -> Option<Patch> {
        match presence {
            Presence::Always => None,
            Presence::Never => Some(self.op(scope, Op::Jump { to: 0 })),
            Presence::When(Sym::Slot(bit)) => Some(self.op(scope, Op::JumpUnless { bit, to: 0 })),
            Presence::When(Sym::Derived(n)) => Some(self.op(scope, Op::JumpUnless { bit: DERIVED | n, to: 0 })),
        }
    }

    /// A jump that is always taken.
    pub(super) fn jump(&mut self, scope: u16) -> Patch {
        self.op(scope, Op::Jump { to: 0 })
    }

    /// The index of the next op, as a jump target.
    pub(super) fn here(&mut self, scope: u16) -> u32 {
        self.flush(scope);
        self.ops.len() as u32
    }

    /// Makes the jump go to the next op.
    pub(super) fn land(&mut self, scope: u16, patch: impl IntoIterator<Item = Patch>) {
        let here = self.here(scope);
        for Patch(at) in patch {
            match &mut self.ops[at].0 {
                Op::Jump { to } | Op::JumpUnless { to, .. } | Op::JumpIfKept { to } | Op::Each { end: to, .. } => {
                    *to = here;
                }
                _ => debug_assert!(false, "only jumps are patched"),
            }
        }
    }

    /// Closes an object or a list that has at least one member: the last comma becomes `closer`.
    pub(super) fn trim(&mut self, scope: u16, closer: &[u8]) {
        if self.pending.last() == Some(&b',') {
            self.pending.pop();
            self.pending.extend_from_slice(closer);
        } else {
            let closer = self.pool(closer);
            let _ = self.op(scope, Op::Trim(closer));
        }
    }

    /// The number of a place that can fail, made if it is new.
    pub(super) fn site(&mut self, code: &'static str, path: &str, name: Option<&str>) -> u16 {
        let site = Site { code, path: path.to_owned(), name: name.map(str::to_owned) };
        if let Some(at) = self.sites.iter().position(|known| *known == site) {
            return at as u16;
        }
        self.sites.push(site);
        (self.sites.len() - 1) as u16
    }

    /// Ops with final bits, the literal pool and the sites.
    pub(super) fn finish(mut self, scopes: &[ScopeDraft]) -> (Vec<Op>, Vec<u8>, Vec<Site>) {
        self.flush(0);
        let ops = self
            .ops
            .into_iter()
            .map(|(op, scope)| match op {
                Op::JumpUnless { bit, to } if bit & DERIVED != 0 => {
                    Op::JumpUnless { bit: scopes[scope as usize].bit(Sym::Derived(bit & !DERIVED)), to }
                }
                other => other,
            })
            .collect();
        (ops, self.literals, self.sites)
    }
}
