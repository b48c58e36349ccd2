//! The checked tree → ops. Presence (§2.7) becomes bits here; what remains for run time are jumps.

use std::collections::HashMap;

use super::catalog::Catalog;
use super::columns::ScopeNames;
use super::emit::Emitter;
use super::objects::Place;
use super::program::{Compiled, MapTable, Op, Program, ScopeRows, TextProgram};
use super::scope::{Presence, ScopeDraft, Sym};
use super::select::{Read, StreamPlan};
use super::split::SplitColumn;
use crate::fhir::elements::{elements, heads};
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::source::{Sources, Span};
use crate::mapping::tree::{CodeMapId, Expr, ItemKind, Mapping, Member, Object, Pack, Value};

/// One mapping being lowered.
pub(super) struct Lower<'a> {
    pub(super) pack: &'a Pack,
    pub(super) mapping: &'a Mapping,
    pub(super) sources: &'a Sources,
    pub(super) catalog: &'a Catalog,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) emit: Emitter,
    pub(super) scopes: Vec<ScopeDraft>,
    pub(super) names: Vec<ScopeNames<'a>>,
    pub(super) streams: Vec<StreamPlan>,
    pub(super) split: Option<SplitColumn>,
    pub(super) current: u16,
    pub(super) texts: Vec<TextProgram>,
    pub(super) maps: Vec<MapTable>,
    pub(super) map_numbers: HashMap<(CodeMapId, super::codes::Form), u16>,
    pub(super) allowed: Vec<Vec<String>>,
    pub(super) allowed_numbers: HashMap<String, u16>,
    /// `$if` conditions: the place of their first column, their scope and bit.
    pub(super) conditions: Vec<(Span, u16, Sym)>,
}

/// What is known about the presence of a value before its ops run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// Present for sure when this holds.
    pub(super) fixed: Presence,
    /// It holds a list whose items only the run can count.
    pub(super) runtime: bool,
}

/// What decides whether an object is written.
pub(super) struct Rule {
    /// The object says something: §2.7 rule 3.
    pub(super) kept: Known,
    /// Elements FHIR requires, each with what must hold.
    pub(super) required: Vec<(String, Known)>,
}

impl<'a> Lower<'a> {
    /// Starts with the scope of the driving rows; `None` when their columns are not known.
    pub(super) fn new(
        pack: &'a Pack,
        mapping: &'a Mapping,
        sources: &'a Sources,
        catalog: &'a Catalog,
    ) -> Option<Self> {
        let rows = catalog.rows.get(&mapping.name)?;
        let described = super::bind::described(&mapping.header.rows, sources, mapping);
        let split = super::columns::split_column(mapping, rows);
        let stream = StreamPlan {
            name: mapping.name.clone(),
            rows: mapping.name.clone(),
            from: super::bind::from_item(&mapping.header.rows, "q"),
            columns: Vec::new(),
            reads: Vec::new(),
            conditions: Vec::new(),
            order: Vec::new(),
            parent: None,
            split: split.as_ref().and_then(|split| super::columns::order_of("q", &split.name, &split.kind)),
        };
        Some(Self {
            pack,
            mapping,
            sources,
            catalog,
            diagnostics: Vec::new(),
            emit: Emitter::default(),
            scopes: vec![ScopeDraft::new(None, ScopeRows::Stream { stream: 0, key: Vec::new(), joined: false })],
            names: vec![ScopeNames::Rows { rows, described, stream: 0, alias: "q", path: Vec::new(), each: None }],
            streams: vec![stream],
            split,
            current: 0,
            texts: Vec::new(),
            maps: Vec::new(),
            map_numbers: HashMap::new(),
            allowed: Vec::new(),
            allowed_numbers: HashMap::new(),
            conditions: Vec::new(),
        })
    }

    /// The finished program and its streams. Ops end the line with a newline.
    pub(super) fn finish(mut self, id: u16) -> (Compiled, Vec<Diagnostic>) {
        let _ = self.emit.op(0, Op::End);
        let (ops, literals, sites) = self.emit.finish(&self.scopes);
        let scopes = self
            .scopes
            .iter()
            .map(|scope| scope.finish(scope.parent.map(|parent| &self.scopes[parent as usize])))
            .collect();
        // A statement needs a column even when the resource is constant.
        for stream in &mut self.streams {
            if stream.columns.is_empty() {
                stream.columns.push("true".to_owned());
                stream.reads.push(Read::Nothing);
            }
        }
        let program = Program {
            resource_type: self.mapping.resource_type.clone(),
            literals,
            scopes,
            ops,
            texts: self.texts,
            maps: self.maps,
            allowed: self.allowed,
            sites,
            timezone: self.pack.project.timezone.clone().unwrap_or_else(|| "UTC".to_owned()),
            id,
            reject_invalid: self.pack.project.policy.reject_invalid,
        };
        let split = self.split.clone();
        let program = std::sync::Arc::new(program);
        let bit = |(span, scope, sym): &(Span, u16, Sym)| (*span, *scope, self.scopes[*scope as usize].bit(*sym));
        let conditions = self.conditions.iter().map(bit).collect();
        let mapping = self.mapping.name.clone();
        (Compiled { mapping, program, streams: self.streams, split, conditions }, self.diagnostics)
    }

    /// Writes the whole resource: mandatory elements first decide whether it is rejected.
    pub(super) fn resource(&mut self, root: &Object) {
        let rule = self.rule(root, &self.mapping.resource_type.clone());
        for (path, known) in &rule.required {
            if !known.runtime {
                self.reject_unless(known.fixed, "R206", path);
                self.assume(known.fixed);
            }
        }
        self.emit.literal(b"{");
        self.members(root, &self.mapping.resource_type.clone(), Place::Root);
        self.emit.trim(0, b"}");
        self.emit.literal(b"\n");
    }

    /// Rejects the resource unless `presence` holds.
    pub(super) fn reject_unless(&mut self, presence: Presence, code: &'static str, path: &str) {
        if presence == Presence::Always {
            return;
        }
        let site = self.emit.site(code, path, None);
        let bad = self.emit.jump_unless(self.current, presence);
        let good = self.emit.jump(self.current);
        self.emit.land(self.current, bad);
        let _ = self.emit.op(self.current, Op::Reject { site });
        self.emit.land(self.current, [good]);
    }

    /// What follows is reached only when `presence` holds.
    pub(super) fn assume(&mut self, presence: Presence) -> usize {
        let facts = self.scope().implied(presence);
        self.emit.assume(self.current, facts)
    }

    // ---- presence -------------------------------------------------------------------------------------------

    pub(super) fn scope(&mut self) -> &mut ScopeDraft {
        &mut self.scopes[self.current as usize]
    }

    pub(super) fn guard(&mut self, guards: &[crate::mapping::tree::Condition]) -> Presence {
        let bits: Vec<Presence> = guards.iter().map(|guard| self.condition(guard)).collect();
        self.scope().all(bits)
    }

    pub(super) fn known(&mut self, value: &Value, path: &str) -> Known {
        match value {
            Value::Leaf(leaf) => {
                let ways = self.ways(leaf);
                let fixed = self.scope().any(ways.into_iter().map(|(presence, _)| presence));
                Known { fixed, runtime: false }
            }
            Value::Object(object) => {
                let rule = self.rule(object, path);
                let runtime = rule.kept.runtime || rule.required.iter().any(|(_, known)| known.runtime);
                if runtime {
                    return Known { fixed: Presence::Never, runtime };
                }
                let fixed = self
                    .scope()
                    .all(std::iter::once(rule.kept.fixed).chain(rule.required.iter().map(|(_, k)| k.fixed)));
                Known { fixed, runtime }
            }
            Value::List(items) => {
                let mut runtime = false;
                let mut fixed = Vec::new();
                for item in items {
                    match &item.kind {
                        ItemKind::One(value) => {
                            let known = self.known(value, path);
                            let guard = self.guard(&item.guards);
                            fixed.push(self.scope().all([guard, known.fixed]));
                            runtime |= known.runtime;
                        }
                        ItemKind::Each { .. } => runtime = true,
                    }
                }
                Known { fixed: self.scope().any(fixed), runtime }
            }
        }
    }

    pub(super) fn member_known(&mut self, member: &Member, path: &str) -> Known {
        let known = self.known(&member.value, path);
        let guard = self.guard(&member.guards);
        Known { fixed: self.scope().all([guard, known.fixed]), runtime: known.runtime }
    }

    pub(super) fn either(&mut self, all: impl IntoIterator<Item = Known>) -> Known {
        let all: Vec<Known> = all.into_iter().collect();
        let runtime = all.iter().any(|known| known.runtime);
        Known { fixed: self.scope().any(all.into_iter().map(|known| known.fixed)), runtime }
    }

    pub(super) fn rule(&mut self, object: &Object, path: &str) -> Rule {
        let known: Vec<Known> =
            object.members.iter().map(|member| self.member_known(member, &child_path(path, member))).collect();
        let heads = heads(&object.type_path);
        let headed: Vec<Known> = object
            .members
            .iter()
            .zip(&known)
            .filter(|(member, _)| heads.contains(&member.element.as_str()))
            .map(|(_, known)| *known)
            .collect();
        let kept = if object.members.iter().all(is_constant) {
            Known { fixed: Presence::Always, runtime: false }
        } else if object.type_path == "Meta" {
            // `lastUpdated` joins what the author wrote; without a time the profile still holds.
            self.either(known.iter().copied())
        } else if headed.is_empty() {
            let dynamic: Vec<Known> = object
                .members
                .iter()
                .zip(&known)
                .filter(|(member, _)| !is_constant(member))
                .map(|(_, known)| *known)
                .collect();
            self.either(dynamic)
        } else {
            self.either(headed)
        };
        let mut required = Vec::new();
        for element in elements(&object.type_path).iter().filter(|element| element.min > 0) {
            // A primitive's extension (`_x`) stands in for its value.
            let of: Vec<Known> = object
                .members
                .iter()
                .zip(&known)
                .filter(|(member, _)| member.element == element.name)
                .map(|(_, known)| *known)
                .collect();
            let known = self.either(of);
            if known.fixed != Presence::Always {
                required.push((format!("{path}.{}", element.name), known));
            }
        }
        Rule { kept, required }
    }
}

pub(super) fn child_path(path: &str, member: &Member) -> String {
    format!("{path}.{}", member.name)
}

/// True when nothing of the row takes part.
fn is_constant(member: &Member) -> bool {
    fn constant(value: &Value) -> bool {
        match value {
            Value::Leaf(leaf) => match &leaf.expr {
                Expr::Constant(_) => true,
                Expr::Column(_) => false,
                Expr::Text(text) => {
                    text.parts.iter().all(|part| matches!(part, crate::mapping::tree::Part::Literal(_)))
                }
            },
            Value::Object(object) => object.members.iter().all(is_constant),
            Value::List(items) => items
                .iter()
                .all(|item| item.guards.is_empty() && matches!(&item.kind, ItemKind::One(value) if constant(value))),
        }
    }
    member.guards.is_empty() && constant(&member.value)
}
