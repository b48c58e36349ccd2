//! The ops in the form they are run in: constant bytes ride on the op after them, which halves the number of steps.

use crate::plan::program::{Lit, Op};

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    /// Written first.
    pub(super) before: Lit,
    /// Done then. Jumps lead to instructions.
    pub(super) op: Op,
}

const NOTHING: Lit = Lit { start: 0, len: 0 };

/// The instructions that do what verified ops do.
pub(super) fn instructions(ops: &[Op]) -> Vec<Instruction> {
    let mut entered = vec![false; ops.len() + 1];
    for mut op in ops.iter().copied() {
        if let Some(to) = target(&mut op) {
            entered[*to as usize] = true;
        }
    }
    let mut code: Vec<Instruction> = Vec::with_capacity(ops.len());
    let mut places = Vec::with_capacity(ops.len());
    let mut waiting = None;
    for (at, op) in ops.iter().enumerate() {
        places.push(code.len() as u32);
        if let (Op::Literal(lit), Some(next), false) = (op, ops.get(at + 1), entered[at + 1])
            && waiting.is_none()
            // These may be run again once there are rows.
            && !matches!(next, Op::Literal(_) | Op::Each { .. } | Op::Next { .. })
        {
            waiting = Some(*lit);
            continue;
        }
        code.push(Instruction { before: waiting.take().unwrap_or(NOTHING), op: *op });
    }
    for instruction in &mut code {
        if let Some(to) = target(&mut instruction.op) {
            *to = places[*to as usize];
        }
    }
    code
}

/// Where an op may lead.
fn target(op: &mut Op) -> Option<&mut u32> {
    match op {
        Op::Jump { to } | Op::JumpUnless { to, .. } | Op::JumpIfKept { to } => Some(to),
        Op::Each { end: to, .. } | Op::Next { start: to, .. } => Some(to),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_ride_on_the_next_op_unless_it_is_entered_or_run_again() {
        let lit = |start| Lit { start, len: 1 };
        let ops = [
            Op::Literal(lit(0)),
            Op::JumpUnless { bit: 0, to: 4 },
            Op::Literal(lit(1)),
            Op::Literal(lit(2)),
            Op::Trim(lit(3)),
            Op::Literal(lit(4)),
            Op::Each { scope: 1, end: 9 },
            Op::Literal(lit(5)),
            Op::Next { scope: 1, start: 7 },
            Op::End,
        ];
        let plain = |op| Instruction { before: NOTHING, op };
        assert_eq!(
            instructions(&ops),
            [
                Instruction { before: lit(0), op: Op::JumpUnless { bit: 0, to: 3 } },
                plain(Op::Literal(lit(1))),
                plain(Op::Literal(lit(2))),
                plain(Op::Trim(lit(3))),
                plain(Op::Literal(lit(4))),
                plain(Op::Each { scope: 1, end: 8 }),
                plain(Op::Literal(lit(5))),
                plain(Op::Next { scope: 1, start: 6 }),
                plain(Op::End),
            ]
        );
    }
}
