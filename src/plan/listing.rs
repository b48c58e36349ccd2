//! A compiled program as text, an instruction per line, for people.

use super::program::{
    Bit, Compiled, Lit, Op, Program, Scope, ScopeRows, SlotRef, TextArg, TextArgText, TextPart, TextProgram, TextTest,
};

/// The most characters of a constant that are shown.
const SHOWN: usize = 120;

/// How deep a derived bit is spelt out.
const DEPTH: usize = 3;

/// The instructions of a program, with the names of the columns they read.
pub fn listing(compiled: &Compiled) -> Vec<String> {
    let names = Names { program: &compiled.program, compiled };
    let mut lines = Vec::new();
    let mut scopes = vec![0_usize];
    for (at, op) in compiled.program.ops.iter().enumerate() {
        let depth = scopes.len() - 1;
        let scope = scopes.last().copied().unwrap_or_default();
        lines.push(format!("{at:>4} {}{}", "  ".repeat(depth), names.op(scope, op)));
        match op {
            Op::Each { scope, .. } => scopes.push(usize::from(*scope)),
            Op::Next { .. } if depth > 0 => _ = scopes.pop(),
            _ => {}
        }
    }
    lines
}

struct Names<'a> {
    program: &'a Program,
    compiled: &'a Compiled,
}

impl Names<'_> {
    fn op(&self, scope: usize, op: &Op) -> String {
        let here = |slot| self.slot(scope, slot);
        match *op {
            Op::Literal(lit) => format!("write {}", self.literal(lit)),
            Op::Put { from, writer, quoted, .. } => {
                format!("put {} as {writer:?}{}", here(from), if quoted { ", quoted" } else { "" })
            }
            Op::Map { up, lookup } => self.lookup(self.outward(scope, up), lookup),
            Op::Text { text, .. } => {
                format!(
                    "text {}",
                    self.program.texts.get(usize::from(text)).map_or_else(String::new, |text| self.text(scope, text))
                )
            }
            Op::JumpUnless { bit, to } => format!("unless {} go to {to}", self.bit(scope, bit, DEPTH)),
            Op::Jump { to } => format!("go to {to}"),
            Op::Drop { site } => format!("count {}", self.site(site)),
            Op::Reject { site } => format!("reject {}", self.site(site)),
            Op::Open(lit) => format!("open {}", self.literal(lit)),
            Op::Live => "keep what is open".to_owned(),
            Op::Lack { site, reject } => {
                format!("{} what is open, {}", if reject { "reject" } else { "drop" }, self.site(site))
            }
            Op::Close { closer, .. } => format!("close {}", self.literal(closer)),
            Op::JumpIfKept { to } => format!("if kept go to {to}"),
            Op::Each { scope, end } => format!("each {}, then go to {end}", self.rows(usize::from(scope))),
            Op::Next { start, .. } => format!("next, from {start}"),
            Op::Trim(lit) => format!("close {}", self.literal(lit)),
            Op::End => "end".to_owned(),
        }
    }

    fn literal(&self, lit: Lit) -> String {
        let bytes = self.program.literals.get(lit.start as usize..(lit.start + lit.len) as usize).unwrap_or_default();
        let text = String::from_utf8_lossy(bytes).replace('\n', "\\n").replace('\t', "\\t");
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text,
        }
    }

    fn site(&self, site: u16) -> String {
        self.program
            .sites
            .get(usize::from(site))
            .map_or_else(String::new, |site| format!("{} {}", site.code, site.path))
    }

    fn scope(&self, scope: usize) -> Option<&Scope> {
        self.program.scopes.get(scope)
    }

    fn outward(&self, scope: usize, up: u8) -> usize {
        (0..up).fold(scope, |at, _| self.scope(at).and_then(|scope| scope.parent).map_or(0, usize::from))
    }

    /// The select expression of a slot.
    fn slot(&self, scope: usize, slot: SlotRef) -> String {
        let scope = self.outward(scope, slot.up);
        self.column(scope, slot.slot).unwrap_or_else(|| format!("slot {}", slot.slot))
    }

    fn column(&self, scope: usize, slot: u16) -> Option<String> {
        let of = self.scope(scope)?;
        let column = of.slots.get(usize::from(slot))?.column;
        match &of.rows {
            ScopeRows::Stream { stream, .. } => {
                self.compiled.streams.get(usize::from(*stream))?.columns.get(usize::from(column)).cloned()
            }
            ScopeRows::Arrays { arrays } => {
                let array = *arrays.get(usize::from(column))?;
                Some(format!("item of {}", self.column(usize::from(of.parent?), array)?))
            }
        }
    }

    fn rows(&self, scope: usize) -> String {
        match self.scope(scope).map(|scope| &scope.rows) {
            Some(ScopeRows::Stream { stream, .. }) => format!("row of stream {stream}"),
            Some(ScopeRows::Arrays { .. }) => "item of the arrays".to_owned(),
            None => String::new(),
        }
    }

    fn lookup(&self, scope: usize, lookup: u16) -> String {
        let found = self.scope(scope).and_then(|of| of.lookups.get(usize::from(lookup)));
        let Some(found) = found else { return format!("look-up {lookup}") };
        let map = self.program.maps.get(usize::from(found.map)).map_or("", |map| map.name.as_str());
        format!("{} via {map}", self.slot(scope, SlotRef { up: 0, slot: found.slot }))
    }

    /// What sets a bit.
    fn bit(&self, scope: usize, bit: Bit, depth: usize) -> String {
        let Some(of) = self.scope(scope) else { return format!("bit {bit}") };
        if usize::from(bit) < of.slots.len() {
            return self.slot(scope, SlotRef { up: 0, slot: bit });
        }
        if let Some(at) = of.lookups.iter().position(|one| one.present == bit || one.absent == bit) {
            return self.lookup(scope, at as u16);
        }
        if let (Some((outer, _)), Some(parent)) = (of.imports.iter().find(|(_, own)| *own == bit), of.parent) {
            return self.bit(usize::from(parent), *outer, depth);
        }
        if let Some(at) = of.predicates.iter().position(|one| one.bit == bit) {
            return format!("condition {at}");
        }
        let mut parts = Vec::new();
        let mut word = " or ";
        for rule in of.rules.iter().filter(|rule| rule.out == bit && depth > 0) {
            word = if rule.all { " and " } else { " or " };
            let bits = (0..64_u16).filter(|nth| rule.mask >> nth & 1 == 1).map(|nth| rule.word * 64 + nth);
            parts.extend(bits.map(|bit| self.bit(scope, bit, depth - 1)));
        }
        match parts.as_slice() {
            [] => format!("bit {bit}"),
            [one] => one.clone(),
            _ => format!("({})", parts.join(word)),
        }
    }

    fn text(&self, scope: usize, text: &TextProgram) -> String {
        text.parts.iter().map(|part| self.part(scope, part)).collect::<Vec<_>>().join(" ")
    }

    fn part(&self, scope: usize, part: &TextPart) -> String {
        let parts = |parts: &[TextPart]| parts.iter().map(|part| self.part(scope, part)).collect::<Vec<_>>().join(" ");
        match part {
            TextPart::Literal(text) => format!("{text:?}"),
            TextPart::Slot(slot, _) => self.slot(scope, *slot),
            TextPart::Uuid(_, args) => format!("uuid({})", self.args(scope, args)),
            TextPart::Sha256(args) => format!("sha256({})", self.args(scope, args)),
            TextPart::Apply(function, slot, _) => format!("{function:?}({})", self.slot(scope, *slot)).to_lowercase(),
            TextPart::When(test, then, otherwise) => {
                format!("if {} ({}) else ({})", self.test(scope, test), parts(then), parts(otherwise))
            }
            TextPart::Render(template, _) => format!("handlebars {template:?}"),
        }
    }

    fn args(&self, scope: usize, args: &[TextArg]) -> String {
        let arg = |arg: &TextArg| match arg {
            TextArg::Slot(slot) => self.slot(scope, *slot),
            TextArg::Literal(text) => format!("{text:?}"),
        };
        args.iter().map(arg).collect::<Vec<_>>().join(", ")
    }

    fn test(&self, scope: usize, test: &TextTest) -> String {
        let all = |tests: &[TextTest], word: &str| {
            tests.iter().map(|test| self.test(scope, test)).collect::<Vec<_>>().join(word)
        };
        let side = |side: &TextArgText| match side {
            TextArgText::Slot(slot, _) => self.slot(scope, *slot),
            TextArgText::Literal(text) => format!("{text:?}"),
        };
        match test {
            TextTest::Truthy(slot) => self.slot(scope, *slot),
            TextTest::Not(test) => format!("not {}", self.test(scope, test)),
            TextTest::And(tests) => format!("({})", all(tests, " and ")),
            TextTest::Or(tests) => format!("({})", all(tests, " or ")),
            TextTest::Eq(one, other) => format!("{} = {}", side(one), side(other)),
        }
    }
}
