//! The checked tree → ops. Presence (§2.7) becomes bits here; what remains for run time are jumps.

use std::collections::HashMap;

use super::catalog::Catalog;
use super::columns::ScopeNames;
use super::emit::{Emitter, Patch};
use super::program::{Compiled, MapTable, Op, Program, ScopeRows, SlotRef, TextProgram, Writer};
use super::scope::{Presence, ScopeDraft};
use super::select::{Read, StreamPlan};
use super::split::SplitColumn;
use super::writer::{Choice, Misfit, Use, choose, is_primitive};
use crate::fhir::elements::{codes, elements};
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::source::{Sources, Span};
use crate::mapping::tree::{
    CodeMapId, ColumnRef, Expr, Item, ItemKind, Leaf, Mapping, Member, Object, Over, Pack, Value,
};

/// The element that a data-absent-reason stands in for a value that is missing (`!absent`).
const ABSENT: &[u8] =
    br#"{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}"#;

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
    allowed: Vec<Vec<String>>,
    allowed_numbers: HashMap<String, u16>,
}

/// What is known about the presence of a value before its ops run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    /// Present for sure when this holds.
    fixed: Presence,
    /// It holds a list whose items only the run can count.
    runtime: bool,
}

/// One way a leaf can be written.
enum Way {
    Json(String),
    Put(SlotRef, Choice, u16),
    Map { up: u8, lookup: u16 },
    Text,
    Absent,
}

/// What an object stands in while its members are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is the resource.
    Root,
    /// It is known to be written.
    Fixed,
    /// It may be taken back.
    Open,
}

/// What decides whether an object is written.
struct Rule {
    /// The object says something: §2.7 rule 3.
    kept: Known,
    /// Elements FHIR requires, each with what must hold.
    required: Vec<(String, Known)>,
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
        (Compiled { mapping: self.mapping.name.clone(), program, streams: self.streams, split }, self.diagnostics)
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

    fn scope(&mut self) -> &mut ScopeDraft {
        &mut self.scopes[self.current as usize]
    }

    fn guard(&mut self, guards: &[crate::mapping::tree::Condition]) -> Presence {
        let bits: Vec<Presence> = guards.iter().map(|guard| self.condition(guard)).collect();
        self.scope().all(bits)
    }

    fn known(&mut self, value: &Value, path: &str) -> Known {
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

    fn member_known(&mut self, member: &Member, path: &str) -> Known {
        let known = self.known(&member.value, path);
        let guard = self.guard(&member.guards);
        Known { fixed: self.scope().all([guard, known.fixed]), runtime: known.runtime }
    }

    fn either(&mut self, all: impl IntoIterator<Item = Known>) -> Known {
        let all: Vec<Known> = all.into_iter().collect();
        let runtime = all.iter().any(|known| known.runtime);
        Known { fixed: self.scope().any(all.into_iter().map(|known| known.fixed)), runtime }
    }

    fn rule(&mut self, object: &Object, path: &str) -> Rule {
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

    // ---- leaves ---------------------------------------------------------------------------------------------

    fn ways(&mut self, leaf: &Leaf) -> Vec<(Presence, Way)> {
        match &leaf.expr {
            Expr::Constant(json) => vec![(Presence::Always, Way::Json(json.clone()))],
            Expr::Text(text) => {
                let presence = self.text_presence(text);
                vec![(presence, Way::Text)]
            }
            Expr::Column(expr) => {
                let mut ways = Vec::new();
                for term in &expr.terms {
                    match term.via {
                        Some(map) => self.mapped(leaf, &term.column, map, &mut ways),
                        None => self.direct(leaf, &term.column, &mut ways),
                    }
                }
                if let Some(json) = &expr.fallback {
                    ways.push((Presence::Always, Way::Json(json.clone())));
                }
                ways
            }
        }
    }

    fn direct(&mut self, leaf: &Leaf, column: &ColumnRef, ways: &mut Vec<(Presence, Way)>) {
        let document = !is_primitive(&leaf.fhir_type) || leaf.list;
        let Some(found) = self.find_column(column, document) else { return };
        let allowed = leaf.required_binding.as_deref().and_then(|set| self.allowed_codes(set));
        let used =
            Use { from_json: found.from_json, zone: self.pack.project.timezone.is_some(), list: leaf.list, allowed };
        match choose(&found.kind, &leaf.fhir_type, used) {
            Ok(choice) => {
                let checked = !self.pack.project.policy.reject_invalid;
                let code = if allowed.is_some() { "R205" } else { "R204" };
                let site = self.emit.site(code, &leaf.path, Some(&column.name));
                let (slot, presence) = self.slot_of(&found, checked.then_some((choice.writer, site)));
                ways.push((presence, Way::Put(slot, choice, site)));
            }
            Err(misfit) => {
                let wants = if leaf.list { format!("list of {}", leaf.fhir_type) } else { leaf.fhir_type.clone() };
                self.misfit(&misfit, column, &found.kind.to_string(), &wants);
            }
        }
    }

    /// Says M303 or M204.
    pub(super) fn misfit(&mut self, misfit: &Misfit, column: &ColumnRef, kind: &str, wants: &str) {
        let diagnostic = match misfit {
            Misfit::NoZone => Diagnostic::error(
                "M303",
                column.span,
                format!("`{}` has no time zone, and FHIR requires one with a time of day", column.name),
            )
            .label(format!("{kind} -> {wants}"))
            .help("say which zone the hospital writes local times in: `timezone: America/New_York` in project.yaml")
            .help(format!(
                "or, if only the day is meant, select `{}::date` in {}",
                column.name,
                self.sql_of(column)
            )),
            Misfit::Type(help) => Diagnostic::error(
                "M204",
                column.span,
                format!("column `{}` does not fit: {kind} where FHIR wants {wants}", column.name),
            )
            .label(format!("{kind} -> {wants}"))
            .help(*help),
        };
        self.diagnostics.push(diagnostic);
    }

    /// Where the author writes the query that gives this column.
    fn sql_of(&self, column: &ColumnRef) -> &str {
        match self.names.get(self.outward(column.up) as usize) {
            Some(ScopeNames::Rows { described, .. }) if described.strip_suffix(".sql").is_some() => described,
            _ => "the SQL",
        }
    }

    fn mapped(&mut self, leaf: &Leaf, column: &ColumnRef, map: CodeMapId, ways: &mut Vec<(Presence, Way)>) {
        let Some(found) = self.find_column(column, false) else { return };
        if let Err(misfit) = super::writer::in_text(&found.kind, true) {
            self.misfit(&misfit, column, &found.kind.to_string(), "code looked up in a map");
            return;
        }
        let number = self.map_table(map, &leaf.fhir_type);
        let name = self.maps[number as usize].name.clone();
        let table = &self.maps[number as usize];
        let rejects =
            table.other == super::program::MapOther::Reject || table.empty == super::program::MapOther::Reject;
        let absents =
            table.other == super::program::MapOther::Absent || table.empty == super::program::MapOther::Absent;
        let site = self.emit.site(if rejects { "R503" } else { "R501" }, &leaf.path, Some(&name));
        let (slot, _) = self.slot_of(&found, None);
        let scope = self.outward(found.up);
        let (lookup, present, absent) = self.scopes[scope as usize].lookup(slot.slot, number, site);
        let present = self.seen(scope, present);
        ways.push((present, Way::Map { up: found.up, lookup }));
        if absents {
            let absent = self.seen(scope, absent);
            ways.push((absent, Way::Absent));
        }
    }

    /// The number of a closed code list that text columns are checked against.
    fn allowed_codes(&mut self, value_set: &str) -> Option<u16> {
        if let Some(number) = self.allowed_numbers.get(value_set) {
            return Some(*number);
        }
        let list: Vec<String> = codes(value_set)?.iter().map(|(_, code)| code.to_owned()).collect();
        self.allowed.push(list);
        let number = (self.allowed.len() - 1) as u16;
        self.allowed_numbers.insert(value_set.to_owned(), number);
        Some(number)
    }

    /// Writes a leaf; `name` is its key where it stands in an object. The leaf is known to be present.
    fn leaf(&mut self, leaf: &Leaf, name: Option<&str>) {
        let ways = self.ways(leaf);
        let count = ways.len();
        let mut ends: Vec<Patch> = Vec::new();
        for (at, (presence, way)) in ways.into_iter().enumerate() {
            let last = at + 1 == count;
            let skip = if last { None } else { self.emit.jump_unless(self.current, presence) };
            if let Some(name) = name {
                let underscore = matches!(way, Way::Absent) && is_primitive(&leaf.fhir_type);
                self.key(if underscore { format!("_{name}") } else { name.to_owned() }.as_str());
            }
            self.way(leaf, way);
            if !last {
                self.emit.literal(b",");
                ends.push(self.emit.jump(self.current));
            }
            self.emit.land(self.current, skip);
        }
        self.emit.literal(b",");
        if !ends.is_empty() {
            self.emit.land(self.current, ends);
        }
    }

    fn way(&mut self, leaf: &Leaf, way: Way) {
        let array = leaf.list && !matches!(&way, Way::Put(_, Choice { writer: Writer::JsonList, .. }, _));
        if array {
            self.emit.literal(b"[");
        }
        match way {
            Way::Json(json) => self.emit.literal(json.as_bytes()),
            Way::Put(from, choice, site) => {
                let op = Op::Put { from, writer: choice.writer, quoted: choice.quoted, site };
                let _ = self.emit.op(self.current, op);
            }
            Way::Map { up, lookup } => {
                let _ = self.emit.op(self.current, Op::Map { up, lookup });
            }
            Way::Text => {
                if let Expr::Text(text) = &leaf.expr {
                    let number = self.text(text);
                    let code = if leaf.fhir_type == "id" { "R405" } else { "R204" };
                    let site = self.emit.site(code, &leaf.path, None);
                    let _ = self.emit.op(self.current, Op::Text { text: number, site });
                }
            }
            Way::Absent => self.emit.literal(ABSENT),
        }
        if array {
            self.emit.literal(b"]");
        }
    }

    fn key(&mut self, name: &str) {
        self.emit.literal(format!("\"{name}\":").as_bytes());
    }

    // ---- objects and lists ----------------------------------------------------------------------------------

    fn members(&mut self, object: &Object, path: &str, place: Place) {
        let heads: Vec<&str> = heads(&object.type_path)
            .iter()
            .copied()
            .filter(|head| object.members.iter().any(|member| member.element == *head))
            .collect();
        let mut written = vec![false; object.members.len()];
        for at in 0..object.members.len() {
            if written[at] {
                continue;
            }
            let group: Vec<usize> = match object.members[at].choice {
                None => vec![at],
                Some(choice) => {
                    (at..object.members.len()).filter(|n| object.members[*n].choice == Some(choice)).collect()
                }
            };
            // Whether one of these is there, the run alone knows: it looks behind the last of them.
            let lack = self.lacks_at_run_time(object, &group, path);
            let mut ends = Vec::new();
            for (nth, member) in group.iter().enumerate() {
                written[*member] = true;
                let last = nth + 1 == group.len() && lack.is_none();
                let live = match place {
                    Place::Open => heads.is_empty() || heads.contains(&object.members[*member].element.as_str()),
                    Place::Root | Place::Fixed => false,
                };
                if let Some(end) = self.member(&object.members[*member], path, live, last) {
                    ends.push(end);
                }
            }
            if let Some(site) = lack {
                let reject = place == Place::Root || self.pack.project.policy.reject_missing;
                let _ = self.emit.op(self.current, Op::Lack { site, reject });
            }
            if !ends.is_empty() {
                self.emit.land(self.current, ends);
            }
        }
    }

    /// The site of an element FHIR requires that these members, all there are of it, may turn out not to write.
    fn lacks_at_run_time(&mut self, object: &Object, group: &[usize], path: &str) -> Option<u16> {
        let element = &object.members[*group.first()?].element;
        let others = object.members.iter().filter(|member| member.element == *element).count() > group.len();
        if others || !elements(&object.type_path).iter().any(|known| known.min > 0 && known.name == *element) {
            return None;
        }
        let known: Vec<Known> = group
            .iter()
            .map(|at| self.member_known(&object.members[*at], &child_path(path, &object.members[*at])))
            .collect();
        let known = self.either(known);
        (known.runtime && known.fixed != Presence::Always)
            .then(|| self.emit.site("R206", &format!("{path}.{element}"), None))
    }

    /// Writes a member if it is present; with `live` it makes the open part around it worth keeping. Unless it is the
    /// last that may stand for its element, gives the jump past those that come after it.
    fn member(&mut self, member: &Member, path: &str, live: bool, last: bool) -> Option<Patch> {
        let path = child_path(path, member);
        let known = self.known(&member.value, &path);
        let guard = self.guard(&member.guards);
        let end;
        if known.runtime {
            let mut skips: Vec<Patch> = self.emit.jump_unless(self.current, guard).into_iter().collect();
            let prefix = format!("\"{}\":", member.name);
            skips.extend(self.runtime(&member.value, &path, prefix.as_bytes(), live));
            end = (!last).then(|| self.emit.op(self.current, Op::JumpIfKept { to: 0 }));
            // Beyond the jump: what was skipped was not kept.
            self.emit.land(self.current, skips);
        } else {
            let present = self.scope().all([guard, known.fixed]);
            let skips = self.skip_unless(present, guard, &member.value, &path);
            let before = self.assume(present);
            match &member.value {
                Value::Leaf(leaf) => self.leaf(leaf, Some(&member.name)),
                value => {
                    self.key(&member.name);
                    self.fixed(value, &path);
                    self.emit.literal(b",");
                }
            }
            self.emit.forget(before);
            end = (!last).then(|| self.emit.jump(self.current));
            self.emit.land(self.current, skips);
        }
        end
    }

    /// Jumps that leave out a value that is not present. On their way, parts are counted (or the resource is rejected)
    /// that would be written but for an element FHIR requires.
    fn skip_unless(&mut self, present: Presence, guard: Presence, value: &Value, path: &str) -> Vec<Patch> {
        let absent: Vec<Patch> = self.emit.jump_unless(self.current, present).into_iter().collect();
        if absent.is_empty() || !self.can_miss(value, path) {
            return absent;
        }
        let go_on = self.emit.jump(self.current);
        self.emit.land(self.current, absent);
        let mut skips = self.misses(guard, value, path);
        skips.push(self.emit.jump(self.current));
        self.emit.land(self.current, [go_on]);
        skips
    }

    /// True when an object in `value` can lack an element FHIR requires.
    fn can_miss(&mut self, value: &Value, path: &str) -> bool {
        match value {
            Value::Leaf(_) => false,
            Value::Object(object) => {
                !self.rule(object, path).required.is_empty()
                    || object.members.iter().any(|member| self.can_miss(&member.value, &child_path(path, member)))
            }
            Value::List(items) => items.iter().any(|item| match &item.kind {
                ItemKind::One(value) => self.can_miss(value, path),
                ItemKind::Each { .. } => false,
            }),
        }
    }

    /// Tells of the parts of an absent value that lack an element FHIR requires; gives jumps past the value.
    fn misses(&mut self, guard: Presence, value: &Value, path: &str) -> Vec<Patch> {
        let mut done = Vec::new();
        match value {
            Value::Leaf(_) => {}
            Value::Object(object) => {
                let rule = self.rule(object, path);
                let kept = self.scope().all([guard, rule.kept.fixed]);
                let empty: Vec<Patch> = self.emit.jump_unless(self.current, kept).into_iter().collect();
                for (path, known) in rule.required {
                    if let Some(missing) = self.emit.jump_unless(self.current, known.fixed) {
                        let go_on = self.emit.jump(self.current);
                        self.emit.land(self.current, [missing]);
                        let site = self.emit.site("R206", &path, None);
                        done.extend(self.missing(site));
                        self.emit.land(self.current, [go_on]);
                    }
                }
                self.emit.land(self.current, empty);
                for member in &object.members {
                    let path = child_path(path, member);
                    if self.can_miss(&member.value, &path) {
                        let own = self.guard(&member.guards);
                        let guard = self.scope().all([guard, own]);
                        let after = self.misses(guard, &member.value, &path);
                        self.emit.land(self.current, after);
                    }
                }
            }
            Value::List(items) => {
                for item in items {
                    if let ItemKind::One(value) = &item.kind
                        && self.can_miss(value, path)
                    {
                        let own = self.guard(&item.guards);
                        let guard = self.scope().all([guard, own]);
                        let after = self.misses(guard, value, path);
                        self.emit.land(self.current, after);
                    }
                }
            }
        }
        done
    }

    /// A part lacks an element FHIR requires: the resource is rejected, or the part is counted and passed by the jump.
    fn missing(&mut self, site: u16) -> Option<Patch> {
        if self.pack.project.policy.reject_missing {
            let _ = self.emit.op(self.current, Op::Reject { site });
            return None;
        }
        let _ = self.emit.op(self.current, Op::Drop { site });
        Some(self.emit.jump(self.current))
    }

    /// Writes an object or list that is known to be present.
    fn fixed(&mut self, value: &Value, path: &str) {
        match value {
            Value::Leaf(_) => {}
            Value::Object(object) => {
                self.emit.literal(b"{");
                self.members(object, path, Place::Fixed);
                self.emit.trim(self.current, b"}");
            }
            Value::List(items) => {
                self.emit.literal(b"[");
                for item in items {
                    if let ItemKind::One(value) = &item.kind {
                        self.item(item, value, path, false);
                    }
                }
                self.emit.trim(self.current, b"]");
            }
        }
    }

    /// Writes one item if it is present, with a comma after it.
    fn item(&mut self, item: &Item, value: &Value, path: &str, live: bool) {
        let known = self.known(value, path);
        let guard = self.guard(&item.guards);
        if known.runtime {
            let mut skips: Vec<Patch> = self.emit.jump_unless(self.current, guard).into_iter().collect();
            skips.extend(self.runtime(value, path, b"", true));
            self.emit.land(self.current, skips);
            return;
        }
        let present = self.scope().all([guard, known.fixed]);
        let skips = self.skip_unless(present, guard, value, path);
        let before = self.assume(present);
        if let Value::Leaf(leaf) = value {
            self.leaf(leaf, None);
        } else {
            self.fixed(value, path);
            self.emit.literal(b",");
        }
        self.emit.forget(before);
        if live {
            let _ = self.emit.op(self.current, Op::Live);
        }
        self.emit.land(self.current, skips);
    }

    /// Writes a value that holds a list whose length only the run knows; it may take itself back. Gives the jumps that
    /// leave it out altogether.
    fn runtime(&mut self, value: &Value, path: &str, prefix: &[u8], live: bool) -> Vec<Patch> {
        let mut skips = Vec::new();
        match value {
            Value::Leaf(_) => {}
            Value::Object(object) => {
                let rule = self.rule(object, path);
                if !rule.kept.runtime {
                    skips.extend(self.emit.jump_unless(self.current, rule.kept.fixed));
                }
                let open = self.emit.pool(&[prefix, b"{"].concat());
                let _ = self.emit.op(self.current, Op::Open(open));
                self.live_if(rule.kept.fixed);
                for (path, known) in rule.required.iter().filter(|(_, known)| !known.runtime) {
                    if let Some(missing) = self.emit.jump_unless(self.current, known.fixed) {
                        let go_on = self.emit.jump(self.current);
                        self.emit.land(self.current, [missing]);
                        let (site, reject) =
                            (self.emit.site("R206", path, None), self.pack.project.policy.reject_missing);
                        let _ = self.emit.op(self.current, Op::Lack { site, reject });
                        self.emit.land(self.current, [go_on]);
                    }
                }
                self.members(object, path, Place::Open);
                let closer = self.emit.pool(b"},");
                let _ = self.emit.op(self.current, Op::Close { closer, live });
            }
            Value::List(items) => {
                let known = self.known(value, path);
                let open = self.emit.pool(&[prefix, b"["].concat());
                let _ = self.emit.op(self.current, Op::Open(open));
                self.live_if(known.fixed);
                for item in items {
                    match &item.kind {
                        ItemKind::One(value) => self.item(item, value, path, false),
                        ItemKind::Each { over, span, body } => self.each(item, over, *span, body, path),
                    }
                }
                let closer = self.emit.pool(b"],");
                let _ = self.emit.op(self.current, Op::Close { closer, live });
            }
        }
        skips
    }

    fn live_if(&mut self, presence: Presence) {
        if presence == Presence::Never {
            return;
        }
        let skip = self.emit.jump_unless(self.current, presence);
        let _ = self.emit.op(self.current, Op::Live);
        self.emit.land(self.current, skip);
    }

    fn each(&mut self, item: &Item, over: &Over, span: Span, body: &Value, path: &str) {
        let outer = self.current;
        let guard = self.guard(&item.guards);
        let scope = match over {
            Over::List(list) => self.list_scope(list, span),
            Over::Column(column) => self.column_scope(column),
        };
        let Some(scope) = scope else { return };
        let skip = self.emit.jump_unless(outer, guard);
        let enter = self.emit.op(outer, Op::Each { scope, end: 0 });
        self.current = scope;
        let start = self.emit.here(scope);
        let plain = Item { guards: Vec::new(), kind: ItemKind::One(body.clone()) };
        self.item(&plain, body, path, true);
        let _ = self.emit.op(scope, Op::Next { scope, start });
        self.current = outer;
        self.emit.land(outer, std::iter::once(enter).chain(skip));
    }
}

fn child_path(path: &str, member: &Member) -> String {
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

/// Elements without which a datatype says nothing (§2.7).
fn heads(type_path: &str) -> &'static [&'static str] {
    match type_path {
        "Quantity" | "Age" | "Count" | "Distance" | "Duration" | "SimpleQuantity" | "MoneyQuantity" | "Money"
        | "Identifier" | "ContactPoint" => &["value"],
        "Coding" => &["code", "display"],
        "Reference" => &["reference", "identifier", "display"],
        "Attachment" => &["data", "url"],
        "Annotation" => &["text"],
        "Extension" => &["value[x]", "extension"],
        _ => &[],
    }
}
