//! Objects and lists: members in order, parts that only the run can judge, and what is missing in them.

use super::emit::Patch;
use super::lower::{Known, Lower, child_path};
use super::program::Op;
use super::scope::Presence;
use crate::fhir::elements::{elements, heads};
use crate::mapping::source::Span;
use crate::mapping::tree::{Item, ItemKind, Member, Object, Over, Value};

/// What an object stands in while its members are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the resource.
    Root,
    /// It is known to be written.
    Fixed,
    /// It may be taken back.
    Open,
}

impl Lower<'_> {
    pub(super) fn members(&mut self, object: &Object, path: &str, place: Place) {
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
