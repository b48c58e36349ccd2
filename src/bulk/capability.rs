//! What the service says of itself: CapabilityStatement and OperationDefinitions (C-01 to C-09).
//!
//! Both are made of [`Features`], so nothing is advertised that is not there.

use serde_json::{Value, json};

use super::associated::supported;
use super::cohort::PROFILE;
use super::kickoff::Dialect;
use crate::fhir::search::search_param;

/// Where the guide's own definitions live.
const GUIDE: &str = "http://hl7.org/fhir/uv/bulkdata";

/// Name of this program, and its publisher: clients switch quirks on those of others (C-09).
const NAME: &str = "smelt";

/// What is on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features {
    /// The public FHIR base.
    pub base_url: String,
    /// Version of this program.
    pub software_version: String,
    /// FHIR dateTime: since when this is so.
    pub date: String,
    /// Every type that can be exported (C-04).
    pub types: Vec<TypeFeatures>,
    /// The token endpoint where access is authorized, none where it is open (C-08).
    pub auth: Option<String>,
    /// `Group/[id]/$export`, and Group read and search (G-01).
    pub group: bool,
    /// Groups that clients make (G-10, G-16).
    pub cohorts: bool,
    /// `$export-v4` beside `$export` (C-06).
    pub v4: bool,
    /// Browsers of other origins are answered.
    pub cors: bool,
}

/// What is on for a type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeFeatures {
    /// `Observation`
    pub name: String,
    /// Search parameters that `_typeFilter` accepts (C-05).
    pub search_params: Vec<String>,
}

/// What an export is called on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    System,
    Patient,
    Group,
}

impl Scope {
    /// The official definition of its operation.
    fn canonical(self) -> String {
        format!("{GUIDE}/OperationDefinition/{}", self.name())
    }

    fn name(self) -> &'static str {
        match self {
            Self::System => "export",
            Self::Patient => "patient-export",
            Self::Group => "group-export",
        }
    }
}

/// `GET [base]/metadata`.
pub fn capability_statement(features: &Features) -> Value {
    let mut rest = json!({
        "mode": "server",
        "documentation": "Bulk Data export. Resources are not read or searched one by one.",
        "resource": resources(features),
        "operation": operations(Scope::System, features),
    });
    rest["security"] = security(features);
    json!({
        "resourceType": "CapabilityStatement",
        "name": "Smelt",
        "title": "Bulk Data export",
        "status": "active",
        "date": features.date,
        "publisher": NAME,
        "kind": "instance",
        "instantiates": [format!("{GUIDE}/CapabilityStatement/bulk-data")],
        "software": {"name": NAME, "version": features.software_version},
        "implementation": {"description": "Bulk Data export of a relational store", "url": features.base_url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "implementationGuide": [format!("{GUIDE}/ImplementationGuide/hl7.fhir.uv.bulkdata")],
        "rest": [rest],
    })
}

/// How access is authorized; the older extension is what some clients find the token endpoint by (C-08, T-06).
fn security(features: &Features) -> Value {
    let Some(token_url) = &features.auth else {
        return json!({"cors": features.cors, "description": "Access is not authorized by this server."});
    };
    json!({
        "extension": [{
            "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
            "extension": [{"url": "token", "valueUri": token_url}],
        }],
        "cors": features.cors,
        "service": [{"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
            "code": "SMART-on-FHIR",
        }]}],
    })
}

/// Every exportable type, and those that an operation is called on (C-03, C-04).
fn resources(features: &Features) -> Vec<Value> {
    let mut names: Vec<&str> = features.types.iter().map(|one| one.name.as_str()).collect();
    names.push("Patient");
    names.extend(features.group.then_some("Group"));
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| resource(name, features)).collect()
}

fn resource(name: &str, features: &Features) -> Value {
    let mut resource = json!({"type": name});
    let exported = features.types.iter().find(|one| one.name == name);
    let mut params = exported.map(search_parameters).unwrap_or_default();
    let group = name == "Group" && features.group;
    if group {
        let write: &[&str] = if features.cohorts { &["create", "update", "delete"] } else { &[] };
        let codes = ["read", "search-type"].iter().chain(write);
        resource["interaction"] = codes.map(|code| json!({"code": code})).collect();
        if features.cohorts {
            // G-17
            resource["supportedProfile"] = json!([PROFILE]);
            resource["versioning"] = json!("versioned-update");
            resource["updateCreate"] = json!(true);
        }
        for (code, kind) in [("_id", "token"), ("identifier", "token"), ("name", "string"), ("type", "token")] {
            if !params.iter().any(|param| param["name"] == code) {
                params.push(not_in_bulk(name, code, kind));
            }
        }
    }
    if !params.is_empty() {
        resource["searchParam"] = Value::Array(params);
    }
    let scope = if group { Some(Scope::Group) } else { (name == "Patient").then_some(Scope::Patient) };
    if let Some(scope) = scope {
        resource["operation"] = Value::Array(operations(scope, features));
    }
    resource
}

/// What `_typeFilter` accepts for a type (C-05). `_lastUpdated` is always listed, because clients look for it before they
/// send `_since` (T-11); where no mapping of the type knows the last change it is marked as no filter (C-07).
fn search_parameters(features: &TypeFeatures) -> Vec<Value> {
    let mut codes: Vec<&str> = features.search_params.iter().map(String::as_str).collect();
    codes.sort_unstable();
    codes.dedup();
    let unchanging = !codes.contains(&"_lastUpdated");
    let last_updated = unchanging.then(|| not_in_bulk(&features.name, "_lastUpdated", "date"));
    last_updated
        .into_iter()
        .chain(codes.into_iter().filter_map(|code| search_parameter(&features.name, code)))
        .collect()
}

/// A search parameter, by the definition that is public.
fn search_parameter(resource_type: &str, code: &str) -> Option<Value> {
    let param = search_param(resource_type, code)?;
    Some(json!({"name": param.code, "definition": param.canonical, "type": param.kind.name()}))
}

/// A search parameter that `_typeFilter` does not accept (C-07); R4 has not defined every one.
fn not_in_bulk(resource_type: &str, code: &str, kind: &str) -> Value {
    let mut param = search_parameter(resource_type, code).unwrap_or_else(|| json!({"name": code, "type": kind}));
    param["extension"] = json!([{
        "url": format!("{GUIDE}/Extension/operation-not-supported"),
        "valueCanonical": format!("{GUIDE}/CapabilityStatement/bulk-data"),
    }]);
    param
}

/// `export`, and beside it `export-v4` with the version its definition is of (C-03, C-06).
fn operations(scope: Scope, features: &Features) -> Vec<Value> {
    let one = |dialect: Dialect, version: &str| {
        json!({
            "name": dialect.operation(),
            "definition": scope.canonical() + version,
            "documentation": format!("{}/OperationDefinition/{}", features.base_url.trim_end_matches('/'), id(scope, dialect)),
        })
    };
    let mut operations = vec![one(Dialect::Compatible, "")];
    operations.extend(features.v4.then(|| one(Dialect::V4, "|4.0.0")));
    operations
}

/// `export`, `patient-export`, `group-export`, and the same with `-v4`.
fn id(scope: Scope, dialect: Dialect) -> String {
    let version = if dialect == Dialect::V4 { "-v4" } else { "" };
    format!("{}{version}", scope.name())
}

/// `GET [base]/OperationDefinition/[name]`: the parameters that are honoured; none for another name.
pub fn operation_definition(name: &str, features: &Features) -> Option<Value> {
    let mut all = vec![(Scope::System, Dialect::Compatible), (Scope::Patient, Dialect::Compatible)];
    all.extend(features.group.then_some((Scope::Group, Dialect::Compatible)));
    if features.v4 {
        all.extend(all.clone().into_iter().map(|(scope, _)| (scope, Dialect::V4)));
    }
    let (scope, dialect) = all.into_iter().find(|(scope, dialect)| id(*scope, *dialect) == name)?;
    let title: String = name.split('-').map(capital).collect();
    let mut definition = json!({
        "resourceType": "OperationDefinition",
        "id": name,
        "url": format!("{}/OperationDefinition/{name}", features.base_url.trim_end_matches('/')),
        "version": features.software_version,
        "name": title,
        "status": "active",
        "kind": "operation",
        "date": features.date,
        "publisher": NAME,
        "description": "Exports resources as NDJSON files by the asynchronous request pattern.",
        "affectsState": false,
        "code": dialect.operation(),
        "base": scope.canonical(),
        "system": scope == Scope::System,
        "type": scope == Scope::Patient,
        "instance": scope == Scope::Group,
        "parameter": parameters(scope, dialect, features),
    });
    match scope {
        Scope::System => {}
        Scope::Patient => definition["resource"] = json!(["Patient"]),
        Scope::Group => definition["resource"] = json!(["Group"]),
    }
    Some(definition)
}

fn parameters(scope: Scope, dialect: Dialect, features: &Features) -> Vec<Value> {
    let lists = if dialect == Dialect::V4 { "Repeated for every value." } else { "Repeated, or a comma list." };
    let one = |name: &str, max: &str, kind: &str, documentation: String| json!({"name": name, "use": "in", "min": 0, "max": max, "documentation": documentation, "type": kind});
    let mut all = vec![
        one(
            "_outputFormat",
            "1",
            "string",
            "`application/fhir+ndjson` (also when left out), `application/ndjson` or `ndjson`.".to_owned(),
        ),
        one("_since", "1", "instant", "Only resources that changed after it.".to_owned()),
        one("_until", "1", "instant", "Only resources that changed before it.".to_owned()),
        one("_minimumFileSize", "1", "positiveInt", "Bytes that files should have, before compression.".to_owned()),
        one("_maximumFileSize", "1", "positiveInt", "Bytes that no file has more of, before compression.".to_owned()),
        one(
            "allowPartialManifests",
            "1",
            "boolean",
            "Files may be told on pages of the manifest while the export runs.".to_owned(),
        ),
        one("_type", "*", "string", format!("Only these resource types. {lists}")),
        one(
            "_typeFilter",
            "*",
            "string",
            "A search `Type?parameter=value` by parameters that are listed; several of one type are alternatives."
                .to_owned(),
        ),
        one(
            "_elements",
            "*",
            "string",
            format!("Only these root elements beside mandatory ones, `Type.element` or `element`. {lists}"),
        ),
        one(
            "organizeOutputBy",
            "1",
            "string",
            "`Patient`: files hold a block for each patient, instead of one type each.".to_owned(),
        ),
    ];
    let associated = supported(features.types.iter().map(|one| one.name.as_str())).join("`, `");
    all.push(one(
        "includeAssociatedData",
        "*",
        if dialect == Dialect::V4 { "Coding" } else { "code" },
        format!("What comes along: `{associated}`. {lists}"),
    ));
    if scope != Scope::System {
        let text = format!("Only the compartments of these patients; by POST. {lists}");
        all.push(one("patient", "*", "Reference", text));
    }
    all
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests;
