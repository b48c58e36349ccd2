//! Scopes while a program is being made: presence as symbolic bits, resolved to masks at the end.

use std::collections::HashMap;

use super::program::{Bit, Lookup, Predicate, PredicateTest, Rule, Scope, ScopeRows, Slot};

/// A bit before slots are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Sym {
    /// Presence of a slot.
    Slot(u16),
    /// Any other bit, in order of creation.
    Derived(u16),
}

/// When something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Presence {
    Never,
    Always,
    When(Sym),
}

/// A lookup whose bits are still symbolic.
#[derive(Debug, Clone)]
struct LookupDraft {
    slot: u16,
    map: u16,
    present: Sym,
    absent: Sym,
    site: u16,
}

#[derive(Debug, Clone)]
struct RuleDraft {
    out: Sym,
    inputs: Vec<Sym>,
    all: bool,
}

/// One nesting level in the making.
#[derive(Debug)]
pub(super) struct ScopeDraft {
    pub(super) parent: Option<u16>,
    pub(super) rows: ScopeRows,
    pub(super) slots: Vec<Slot>,
    lookups: Vec<LookupDraft>,
    imports: Vec<(Sym, Sym)>,
    predicates: Vec<(Sym, PredicateTest)>,
    rules: Vec<RuleDraft>,
    derived: u16,
    combined: HashMap<(Vec<Sym>, bool), Sym>,
}

impl ScopeDraft {
    pub(super) fn new(parent: Option<u16>, rows: ScopeRows) -> Self {
        Self {
            parent,
            rows,
            slots: Vec::new(),
            lookups: Vec::new(),
            imports: Vec::new(),
            predicates: Vec::new(),
            rules: Vec::new(),
            derived: 0,
            combined: HashMap::new(),
        }
    }

    fn derive(&mut self) -> Sym {
        self.derived += 1;
        Sym::Derived(self.derived - 1)
    }

    /// The slot that reads this column this way, made if it is new.
    pub(super) fn slot(&mut self, slot: Slot) -> u16 {
        if let Some(at) = self.slots.iter().position(|known| *known == slot) {
            return at as u16;
        }
        self.slots.push(slot);
        (self.slots.len() - 1) as u16
    }

    /// The lookup of `slot` in `map`: its number, and the bits for "something to write" and "`!absent` applies".
    pub(super) fn lookup(&mut self, slot: u16, map: u16, site: u16) -> (u16, Sym, Sym) {
        if let Some(at) = self.lookups.iter().position(|known| known.slot == slot && known.map == map) {
            return (at as u16, self.lookups[at].present, self.lookups[at].absent);
        }
        let (present, absent) = (self.derive(), self.derive());
        self.lookups.push(LookupDraft { slot, map, present, absent, site });
        ((self.lookups.len() - 1) as u16, present, absent)
    }

    /// The own bit that repeats `bit` of the enclosing scope.
    pub(super) fn import(&mut self, bit: Sym) -> Sym {
        if let Some((_, own)) = self.imports.iter().find(|(theirs, _)| *theirs == bit) {
            return *own;
        }
        let own = self.derive();
        self.imports.push((bit, own));
        own
    }

    /// The bit of a condition.
    pub(super) fn predicate(&mut self, test: PredicateTest) -> Sym {
        if let Some((bit, _)) = self.predicates.iter().find(|(_, known)| *known == test) {
            return *bit;
        }
        let bit = self.derive();
        self.predicates.push((bit, test));
        bit
    }

    /// Present when any of these is.
    pub(super) fn any(&mut self, parts: impl IntoIterator<Item = Presence>) -> Presence {
        let mut inputs = Vec::new();
        for part in parts {
            match part {
                Presence::Always => return Presence::Always,
                Presence::Never => {}
                Presence::When(bit) => inputs.push(bit),
            }
        }
        self.combine(inputs, false, Presence::Never)
    }

    /// Present when all of these are.
    pub(super) fn all(&mut self, parts: impl IntoIterator<Item = Presence>) -> Presence {
        let mut inputs = Vec::new();
        for part in parts {
            match part {
                Presence::Never => return Presence::Never,
                Presence::Always => {}
                Presence::When(bit) => inputs.push(bit),
            }
        }
        self.combine(inputs, true, Presence::Always)
    }

    fn combine(&mut self, mut inputs: Vec<Sym>, all: bool, none: Presence) -> Presence {
        inputs.sort_unstable();
        inputs.dedup();
        match inputs.as_slice() {
            [] => none,
            [one] => Presence::When(*one),
            _ => {
                let key = (inputs, all);
                if let Some(bit) = self.combined.get(&key) {
                    return Presence::When(*bit);
                }
                let out = self.derive();
                self.rules.push(RuleDraft { out, inputs: key.0.clone(), all });
                self.combined.insert(key, out);
                Presence::When(out)
            }
        }
    }

    /// The bit's final number: slots first, then the rest.
    pub(super) fn bit(&self, sym: Sym) -> Bit {
        match sym {
            Sym::Slot(slot) => slot,
            Sym::Derived(n) => self.slots.len() as u16 + n,
        }
    }

    /// The finished scope. `parent` is the draft of the enclosing scope.
    pub(super) fn finish(&self, parent: Option<&ScopeDraft>) -> Scope {
        let mut bits = self.slots.len() as u16 + self.derived;
        let mut rules = Vec::new();
        for draft in &self.rules {
            let mut words: Vec<(u16, u64)> = Vec::new();
            for input in &draft.inputs {
                let bit = self.bit(*input);
                let (word, mask) = (bit / 64, 1u64 << (bit % 64));
                match words.iter_mut().find(|(known, _)| *known == word) {
                    Some((_, known)) => *known |= mask,
                    None => words.push((word, mask)),
                }
            }
            let out = self.bit(draft.out);
            // Inputs in several words go through a bit per word, and once more while those bits span words.
            while words.len() > 1 {
                let mut next: Vec<(u16, u64)> = Vec::new();
                for (word, mask) in words {
                    rules.push(Rule { out: bits, word, mask, all: draft.all });
                    let (word, mask) = (bits / 64, 1u64 << (bits % 64));
                    match next.iter_mut().find(|(known, _)| *known == word) {
                        Some((_, known)) => *known |= mask,
                        None => next.push((word, mask)),
                    }
                    bits += 1;
                }
                words = next;
            }
            rules.extend(words.into_iter().map(|(word, mask)| Rule { out, word, mask, all: draft.all }));
        }
        Scope {
            parent: self.parent,
            rows: self.rows.clone(),
            slots: self.slots.clone(),
            lookups: self
                .lookups
                .iter()
                .map(|draft| Lookup {
                    slot: draft.slot,
                    map: draft.map,
                    present: self.bit(draft.present),
                    absent: self.bit(draft.absent),
                    site: draft.site,
                })
                .collect(),
            imports: parent
                .map(|parent| self.imports.iter().map(|(theirs, own)| (parent.bit(*theirs), self.bit(*own))).collect())
                .unwrap_or_default(),
            predicates: self
                .predicates
                .iter()
                .map(|(bit, test)| Predicate { bit: self.bit(*bit), test: test.clone() })
                .collect(),
            rules,
            bits,
        }
    }
}
