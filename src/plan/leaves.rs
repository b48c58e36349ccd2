//! Leaves: every way a scalar of the mapping can be written, and the ops of the one that applies.

use super::columns::ScopeNames;
use super::emit::Patch;
use super::lower::Lower;
use super::program::{Op, SlotRef, Writer};
use super::scope::Presence;
use super::writer::{Choice, Misfit, Use, choose, is_primitive};
use crate::fhir::elements::codes;
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::tree::{CodeMapId, ColumnRef, Expr, Leaf};

/// The element that a data-absent-reason stands in for a value that is missing (`!absent`).
const ABSENT: &[u8] =
    br#"{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}"#;

/// One way a leaf can be written.
pub(super) enum Way {
    Json(String),
    Put(SlotRef, Choice, u16),
    Map { up: u8, lookup: u16 },
    Text,
    Absent,
}

impl Lower<'_> {
    pub(super) fn ways(&mut self, leaf: &Leaf) -> Vec<(Presence, Way)> {
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
    pub(super) fn leaf(&mut self, leaf: &Leaf, name: Option<&str>) {
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

    pub(super) fn key(&mut self, name: &str) {
        self.emit.literal(format!("\"{name}\":").as_bytes());
    }
}
