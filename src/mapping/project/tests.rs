use super::super::render;
use super::super::source::Sources;
use super::*;

fn read_text(text: &str) -> (Option<Project>, String) {
    let (mut sources, mut out) = (Sources::default(), Vec::new());
    let source = sources.add("mappings/project.yaml", text);
    let builtin = [("loinc".to_owned(), "http://loinc.org".to_owned())].into();
    let project = yaml::parse(source, text, &mut out).map(|node| {
        format(&node, &mut out);
        read("p", &node, &builtin, &mut out).0
    });
    (project, render::text(&out, &sources, false))
}

fn good(text: &str) -> Project {
    let (project, report) = read_text(text);
    assert_eq!(report, "", "{text}");
    project.expect("a project")
}

#[test]
fn everything_a_project_says() {
    let project = good(
        "format: 1
fhir: 4.0.1
extends: q
packages: [hl7.fhir.us.core#6.1.0, hl7.fhir.us.core#8.0.0]
schema: [a, b]
timezone: America/New_York
namespace: https://mercy.example.org/fhir
alias: {mrn: https://mercy.example.org/id/mrn}
site: {oid: 1.2.3.4}
every: {meta: {source: urn:x}}
policy: {unmapped: text, missing: reject, invalid: omit}
",
    );
    assert_eq!(project.packages.len(), 2);
    assert_eq!(project.schema, ["a", "b"]);
    assert_eq!(project.timezone.as_deref(), Some("America/New_York"));
    assert_eq!(project.alias.keys().collect::<Vec<_>>(), ["loinc", "mrn"]);
    assert_eq!(project.site.get("oid").map(String::as_str), Some("1.2.3.4"));
    assert_eq!(project.policy, Policy { unmapped: Unmapped::Text, reject_missing: true, reject_invalid: false });
}

#[test]
fn defaults() {
    let project = good("format: 1");
    assert_eq!(project.policy, Policy { unmapped: Unmapped::Omit, reject_missing: false, reject_invalid: true });
    assert_eq!(project.timezone, None);
    assert_eq!(extends("format: 1"), None);
    assert_eq!(extends("extends: synthea\nformat: [").as_deref(), None);
    assert_eq!(extends("format: 1\nextends: synthea").as_deref(), Some("synthea"));
}

#[test]
fn namespaces() {
    let of = |text: &str| uuid::Uuid::from_bytes(good(&format!("format: 1\nnamespace: {text}")).namespace).to_string();
    // As `uuid_generate_v5(uuid_ns_url(), …)` and `uuid_generate_v5(uuid_ns_oid(), …)` of PostgreSQL give them.
    assert_eq!(of("22595853-0001-5723-a612-d9d08e5b625a"), "22595853-0001-5723-a612-d9d08e5b625a");
    assert_eq!(of("https://mercy.example.org/fhir"), "2eec87b6-25d6-561a-9216-6c3d6ec26d85");
    assert_eq!(of("MIMIC-IV"), "24ba6d92-ae8e-56f9-8898-873d8cba02da");
}

#[test]
fn absolute_uris() {
    for uri in ["http://loinc.org", "urn:oid:1.2", "mailto:a@b"] {
        assert!(is_absolute_uri(uri), "{uri}");
    }
    for text in ["loinc", "http:", ":x", "a b:c", "1x:y", "http://a b", ""] {
        assert!(!is_absolute_uri(text), "{text}");
    }
}

#[test]
fn mistakes() {
    let reports: Vec<String> = [
        "fhir: R5\ntime-zone: UTC\nnamespaces: x",
        "format: '2'\npackages: hl7.fhir.us.core#6.1\ntimezone: America/New_Yrok\nschema: {}",
        "format: 1\npackages: [hl7.fhir.uv.ips#1.1.0]\ntimezone: EDST+4\nnamespace:\nevery: x",
        "format: 1\nalias: {a/b: urn:x, mrn: mercy, b: [x]}\nsite: {a-b: x, c: {d: e}}",
        "format: 1\npolicy: {unmapped: omti, missing: omit, invalid: [x], other: y}",
        "- format: 1",
    ]
    .iter()
    .map(|text| read_text(text).1)
    .collect();
    insta::assert_snapshot!(reports.join("--------\n"));
}
