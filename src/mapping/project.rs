//! `project.yaml` (§2.2): what holds for the whole pack.

use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, nearest};
use super::shape;
use super::source::SourceId;
use super::tree::{Name, Policy, Project, Unmapped};
use super::uuid5::{OID, URL, uuid5};
use super::yaml::{self, Node};

/// Packages whose profiles are built in.
const PACKAGES: [&str; 3] = ["hl7.fhir.us.core#6.1.0", "hl7.fhir.us.core#7.0.0", "hl7.fhir.us.core#8.0.0"];

const KEYS: [&str; 11] =
    ["format", "fhir", "extends", "packages", "schema", "timezone", "namespace", "alias", "site", "every", "policy"];

/// What `{{uuid …}}` starts from when `namespace:` is not given: smelt's own name under the OID namespace.
const DEFAULT_NAMESPACE: &str = "smelt";

/// What is written in FHIR's `uri` elements: a scheme, a colon, something, no white space.
pub fn is_absolute_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        && !rest.is_empty()
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// The pack that the pack of this `project.yaml` is based on, by name (§2.13).
pub fn extends(text: &str) -> Option<String> {
    let node = yaml::parse(SourceId(0), text, &mut Vec::new())?;
    node.get("extends")?.text().map(str::to_owned).filter(|name| !name.is_empty())
}

/// Reads the merged `project.yaml` of the pack called `name`. `builtin` are the aliases every pack has.
///
/// What is wrong is reported and takes its default, so that the rest of the pack can be checked.
pub(super) fn read(
    name: &str,
    node: &Node,
    builtin: &BTreeMap<String, String>,
    out: &mut Vec<Diagnostic>,
) -> (Project, Option<Node>) {
    let mut project = Project {
        name: name.to_owned(),
        packages: Vec::new(),
        schema: Vec::new(),
        timezone: None,
        namespace: uuid5(&OID, DEFAULT_NAMESPACE.as_bytes()),
        alias: builtin.clone(),
        site: BTreeMap::new(),
        policy: Policy { unmapped: Unmapped::Omit, reject_missing: false, reject_invalid: true },
    };
    let mut every = None;
    let Some(entries) = shape::object(node, "project.yaml", out) else { return (project, every) };
    shape::known_keys(entries, "project.yaml", &KEYS, out);
    for entry in entries {
        let value = &entry.value;
        match &*entry.key.text {
            "fhir" => fhir(value, out),
            "packages" => {
                let wanted = "a package like `hl7.fhir.us.core#6.1.0`, or a list of them";
                let packages = shape::texts(value, "packages", wanted, out);
                project.packages = packages.into_iter().filter_map(|package| known_package(package, out)).collect();
            }
            "schema" => {
                let schemas = shape::texts(value, "schema", "a schema's name, or a list of names", out);
                project.schema = schemas.into_iter().map(|schema| schema.text).collect();
            }
            "timezone" => project.timezone = timezone(value, out),
            "namespace" => {
                if let Some(text) = shape::text(value, "namespace", "a UUID, a URL or a name", out) {
                    project.namespace = namespace(&text.text);
                }
            }
            "alias" => alias(value, &mut project.alias, out),
            "site" => project.site = site(value, out),
            "every" => every = shape::object(value, "every", out).map(|_| value.clone()),
            "policy" => policy(value, &mut project.policy, out),
            "extends" => drop(shape::text(value, "extends", "the name of another pack", out)),
            _ => {}
        }
    }
    (project, every)
}

/// Checks `format:` of one file; files that are merged each have their own.
pub(super) fn format(node: &Node, out: &mut Vec<Diagnostic>) {
    let Some(first) = node.entries().map(|entries| entries.first()) else { return };
    match node.get("format") {
        Some(value) if value.text() == Some("1") => {}
        Some(value) => {
            let error = Diagnostic::error("M106", value.span, "this version of smelt reads `format: 1`");
            out.push(error.label("another format of the mapping language"));
        }
        None => {
            let error = Diagnostic::error(
                "M106",
                first.map_or(node.span, |entry| entry.key.span),
                "project.yaml does not say its format",
            );
            out.push(error.help("add `format: 1`"));
        }
    }
}

fn fhir(value: &Node, out: &mut Vec<Diagnostic>) {
    if value.text() != Some("4.0.1") {
        let error = Diagnostic::error("M106", value.span, "resources are written in FHIR 4.0.1 (R4)");
        out.push(error.label("must be `4.0.1`"));
    }
}

fn known_package(package: Name, out: &mut Vec<Diagnostic>) -> Option<String> {
    if PACKAGES.contains(&&*package.text) {
        return Some(package.text);
    }
    let error = Diagnostic::error("M106", package.span, format!("no package `{}`", package.text))
        .label("its profiles are not built in")
        .note(format!("built in: {}", PACKAGES.join(", ")));
    // Of another package no version is a likely meaning.
    let id = |package: &str| package.split('#').next().map(str::to_owned);
    let versions = PACKAGES.into_iter().filter(|known| id(known) == id(&package.text));
    out.push(match nearest(&package.text, versions) {
        Some(near) => error.edit("did you mean", package.span, near),
        None => error,
    });
    None
}

fn timezone(value: &Node, out: &mut Vec<Diagnostic>) -> Option<String> {
    let wanted = "the name of a time zone, like `America/New_York`";
    let name = shape::text(value, "timezone", wanted, out)?;
    let zones = jiff::tz::db();
    if let Ok(zone) = zones.get(&name.text) {
        return zone.iana_name().map(str::to_owned);
    }
    let error = Diagnostic::error("M106", name.span, format!("no time zone `{}`", name.text))
        .label("not a name of the IANA time zone database");
    let names: Vec<String> = zones.available().map(|zone| zone.to_string()).collect();
    let near = nearest(&name.text, names.iter().map(String::as_str));
    out.push(match near {
        Some(near) => error.edit("did you mean", name.span, near),
        None => error.help("write it as region and city, like `America/New_York`"),
    });
    None
}

/// A UUID is used as it is, a URL is hashed under the URL namespace, other text under the OID namespace.
fn namespace(text: &str) -> [u8; 16] {
    match uuid::Uuid::try_parse(text) {
        Ok(uuid) => uuid.into_bytes(),
        Err(_) if text.contains("://") => uuid5(&URL, text.as_bytes()),
        Err(_) => uuid5(&OID, text.as_bytes()),
    }
}

fn alias(value: &Node, aliases: &mut BTreeMap<String, String>, out: &mut Vec<Diagnostic>) {
    for entry in shape::object(value, "alias", out).unwrap_or_default() {
        let name = &entry.key;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.text.is_empty() || !name.text.chars().all(plain) {
            let error = Diagnostic::error("M106", name.span, format!("`{}` cannot name a URI", name.text));
            out.push(error.label("letters, digits, `-`, `_` and `.`"));
        }
        let Some(uri) = shape::text(&entry.value, &name.text, "an absolute URI", out) else { continue };
        if is_absolute_uri(&uri.text) {
            aliases.insert(name.text.clone(), uri.text);
        } else {
            let error = Diagnostic::error("M209", uri.span, format!("`{}` is not an absolute URI", uri.text));
            out.push(error.label("an alias stands for a URI like `https://…` or `urn:oid:…`"));
        }
    }
}

fn site(value: &Node, out: &mut Vec<Diagnostic>) -> BTreeMap<String, String> {
    let mut constants = BTreeMap::new();
    for entry in shape::object(value, "site", out).unwrap_or_default() {
        let name = &entry.key;
        let starts = name.text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts || !name.text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let error = Diagnostic::error("M106", name.span, format!("`$site.{}` cannot be written", name.text));
            out.push(error.label("a letter or `_`, then letters, digits and `_`"));
        }
        if let Some(text) = shape::text(&entry.value, &format!("site.{}", name.text), "text", out) {
            constants.insert(name.text.clone(), text.text);
        }
    }
    constants
}

fn policy(value: &Node, policy: &mut Policy, out: &mut Vec<Diagnostic>) {
    let Some(entries) = shape::object(value, "policy", out) else { return };
    shape::known_keys(entries, "policy", &["unmapped", "missing", "invalid"], out);
    for entry in entries {
        let allowed: &[&str] = match (&*entry.key.text, entry.value.text()) {
            ("unmapped", Some(word)) => match unmapped(word) {
                Some(unmapped) => {
                    policy.unmapped = unmapped;
                    continue;
                }
                None => &UNMAPPED,
            },
            ("missing", Some(word @ ("drop" | "reject"))) => {
                policy.reject_missing = word == "reject";
                continue;
            }
            ("invalid", Some(word @ ("reject" | "omit"))) => {
                policy.reject_invalid = word == "reject";
                continue;
            }
            ("unmapped", _) => &UNMAPPED,
            ("missing", _) => &["drop", "reject"],
            ("invalid", _) => &["reject", "omit"],
            _ => continue,
        };
        let message = format!("`policy.{}` must be one of {}", entry.key.text, allowed.join(", "));
        let error = Diagnostic::error("M106", entry.value.span, message);
        out.push(match entry.value.text().and_then(|word| nearest(word, allowed.iter().copied())) {
            Some(near) => error.edit("did you mean", entry.value.span, near),
            None => error,
        });
    }
}

/// What can become of an unmapped code, as `policy.unmapped` says it; code maps write a `!` before it.
pub(super) const UNMAPPED: [&str; 5] = ["omit", "text", "same", "absent", "error"];

/// The meaning of a word of [`UNMAPPED`].
pub(super) fn unmapped(word: &str) -> Option<Unmapped> {
    Some(match word {
        "omit" => Unmapped::Omit,
        "text" => Unmapped::Text,
        "same" => Unmapped::Same,
        "absent" => Unmapped::Absent,
        "error" => Unmapped::Error,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
