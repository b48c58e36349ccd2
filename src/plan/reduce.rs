//! `_elements`: a mapping without the elements that are not wanted (K-46, K-47, K-48).
//!
//! The tree is pruned before it is lowered, so columns and lists of what is left out are not read. What a search looks
//! at is still made (K-69): it stands behind a [mark](MARK), and is cut off when the search has been asked.

use std::collections::BTreeSet;

use super::catalog::Catalog;
use super::compile::compile_mapping;
use super::program::Compiled;
use crate::bulk::elements::bare;
use crate::fhir::elements::elements;
use crate::mapping::check::demanded;
use crate::mapping::source::{Sources, Span};
use crate::mapping::tree::{Expr, Item, ItemKind, Leaf, Mapping, Member, Object, Pack, Value};

/// Stands in a line before what only searches look at. Nothing else in a line has a tab: texts escape it, and white
/// space of documents is removed.
pub const MARK: &[u8] = b",\"\":\t0";

/// The tag of resources that do not have all their elements.
const SUBSETTED: &str = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}"#;

/// A mapping whose resources cannot be reduced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mapping `{mapping}` cannot make resources with some elements alone: {why}")]
pub struct NotReducible {
    /// The mapping.
    pub mapping: String,
    /// Why.
    pub why: &'static str,
}

/// The mapping with the elements in `wanted` (named as `_elements` does) and those that are mandatory. `searched` are
/// members that searches look at, by their JSON names.
///
/// # Errors
///
/// A `meta` that no tag can be added to.
pub fn reduced(
    pack: &Pack,
    mapping: &Mapping,
    wanted: &BTreeSet<&str>,
    searched: &BTreeSet<&str>,
) -> Result<Mapping, NotReducible> {
    let root = prune(pack, mapping, wanted, searched);
    let root = root.map_err(|why| NotReducible { mapping: mapping.name.clone(), why })?;
    Ok(Mapping { root, ..mapping.clone() })
}

/// The program of a reduced mapping.
///
/// # Errors
///
/// Columns that are not known: none, for a mapping of a pack that was proven.
pub fn compiled(
    pack: &Pack,
    mapping: &Mapping,
    sources: &Sources,
    catalog: &Catalog,
) -> Result<Compiled, NotReducible> {
    let compiled = compile_mapping(pack, mapping, sources, catalog).map(|(compiled, _)| compiled);
    compiled.ok_or_else(|| NotReducible { mapping: mapping.name.clone(), why: "its columns are not known" })
}

fn prune(
    pack: &Pack,
    mapping: &Mapping,
    wanted: &BTreeSet<&str>,
    searched: &BTreeSet<&str>,
) -> Result<Object, &'static str> {
    let root = &mapping.root;
    let needed = elements(&mapping.resource_type).iter().filter(|element| element.min > 0);
    let mut kept: BTreeSet<&str> = needed.map(|element| bare(element.name)).collect();
    kept.extend(["resourceType", "id", "meta"]);
    for name in demanded(&pack.project, root) {
        kept.insert(bare(name));
    }
    kept.extend(wanted.iter().copied());
    // Of a choice all forms or none: which is written depends on those before it.
    let looked = root.members.iter().filter(|member| searched.contains(member.name.as_str()));
    let looked: BTreeSet<&str> = looked.map(|member| member.element.as_str()).collect();
    let is_kept = |member: &&Member| kept.contains(bare(&member.element));
    let mut members: Vec<Member> = root.members.iter().filter(is_kept).cloned().collect();
    tag(&mut members, mapping.type_span)?;
    // The tag is none of the resource's own, so a search sees `meta` without it.
    let of_search =
        |member: &&Member| looked.contains(member.element.as_str()) && (member.element == "meta" || !is_kept(member));
    let mut rest: Vec<Member> = root.members.iter().filter(of_search).cloned().collect();
    if !rest.is_empty() {
        let free = next_choice(&members);
        for choice in rest.iter_mut().filter_map(|member| member.choice.as_mut()) {
            *choice += free;
        }
        members.push(member("", constant("\t0", mapping.type_span), mapping.type_span));
        members.append(&mut rest);
    }
    Ok(Object { members, ..root.clone() })
}

/// Adds the tag to `meta`, which is made for rows that have none.
fn tag(members: &mut Vec<Member>, span: Span) -> Result<(), &'static str> {
    let choice = next_choice(members);
    let coding = Item { guards: Vec::new(), kind: ItemKind::One(constant(SUBSETTED, span)) };
    let alone = member("tag", Value::List(vec![coding.clone()]), span);
    let (mut after, mut sure, mut shared) = (None, false, Some(choice));
    for (at, meta) in members.iter_mut().enumerate().filter(|(_, member)| member.element == "meta") {
        let Value::Object(object) = &mut meta.value else { return Err("its `meta` is a document") };
        match object.members.iter_mut().find(|member| member.element == "tag") {
            None => object.members.push(alone.clone()),
            Some(Member { value: Value::List(items), guards, .. }) => {
                for item in items.iter_mut() {
                    item.guards.splice(0..0, guards.iter().cloned());
                }
                guards.clear();
                items.push(coding.clone());
            }
            Some(_) => return Err("its `meta.tag` is a document"),
        }
        sure |= meta.guards.is_empty();
        meta.choice = meta.choice.or(Some(choice));
        (after, shared) = (Some(at), meta.choice);
    }
    if !sure {
        let meta = Object { type_path: "Meta".to_owned(), members: vec![alone], span };
        let meta = Member { choice: shared, ..member("meta", Value::Object(meta), span) };
        let first =
            members.iter().take_while(|member| matches!(member.element.as_str(), "resourceType" | "id")).count();
        members.insert(after.map_or(first, |at| at + 1), meta);
    }
    Ok(())
}

/// A number that no choice of these members has.
fn next_choice(members: &[Member]) -> u16 {
    members.iter().filter_map(|member| member.choice).max().map_or(0, |most| most + 1)
}

fn member(name: &str, value: Value, span: Span) -> Member {
    Member { name: name.to_owned(), element: name.to_owned(), choice: None, guards: Vec::new(), value, span }
}

fn constant(json: &str, span: Span) -> Value {
    let expr = Expr::Constant(json.to_owned());
    Value::Leaf(Leaf {
        fhir_type: "Coding".to_owned(),
        path: String::new(),
        required_binding: None,
        list: false,
        expr,
        span,
    })
}

#[cfg(test)]
mod tests;
