//! `every:` under every resource (§2.2).

use crate::mapping::yaml::{Entry, Kind, Node};

/// The resource with `every:` merged in: objects merge, the resource's own members win. `resourceType` and `id`
/// come first, then what `every:` says, then the rest in file order.
pub(super) fn with_every(every: Option<&Node>, resource: &Node) -> Node {
    let merged = every.map_or_else(|| resource.clone(), |every| deep(every, resource));
    let Kind::Map(entries) = merged.kind else { return merged };
    let (mut first, rest): (Vec<Entry>, Vec<Entry>) =
        entries.into_iter().partition(|entry| matches!(&*entry.key.text, "resourceType" | "id"));
    first.sort_by_key(|entry| entry.key.text == "id");
    first.extend(rest);
    Node { span: merged.span, kind: Kind::Map(first) }
}

fn deep(base: &Node, own: &Node) -> Node {
    let (Kind::Map(base), Kind::Map(members)) = (&base.kind, &own.kind) else { return own.clone() };
    let mut entries: Vec<Entry> = Vec::with_capacity(base.len() + members.len());
    for entry in base {
        // A block key has conditions of its own and merges with nothing.
        let same = members.iter().find(|member| member.key.text == entry.key.text && !entry.key.text.starts_with('$'));
        entries.push(match same {
            Some(member) => Entry { key: member.key.clone(), value: deep(&entry.value, &member.value) },
            None => entry.clone(),
        });
    }
    let new = |member: &&Entry| {
        member.key.text.starts_with('$') || base.iter().all(|entry| entry.key.text != member.key.text)
    };
    entries.extend(members.iter().filter(new).cloned());
    Node { span: own.span, kind: Kind::Map(entries) }
}
