use proptest::prelude::*;

use super::super::render;
use super::super::tree::RowsKind;
use super::*;

const BUILTIN: [(&str, &str); 2] = [("loinc", "http://loinc.org"), ("snomed", "http://snomed.info/sct")];

fn layer(name: &str, files: &[(&str, &str)]) -> Layer {
    Layer {
        name: name.to_owned(),
        files: files.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())).collect(),
    }
}

fn load_layers(layers: Vec<Layer>) -> (Loaded, String) {
    let loaded = load(&PackFiles { layers }, BUILTIN);
    let report = render::text(&loaded.diagnostics, &loaded.sources, false);
    (loaded, report)
}

fn synthea() -> Layer {
    layer(
        "synthea",
        &[
            (
                "mappings/synthea/project.yaml",
                "format: 1\nschema: [synthea]\ntimezone: america/New_York\nalias: {mrn: urn:mrn, x: urn:x}\nevery: {meta: {source: urn:s}}\n",
            ),
            (
                "mappings/synthea/patient.yaml",
                "sql: patients.sql\nkey: id\nresource:\n  resourceType: Patient\n  gender: $g via gender\n  maritalStatus: $m\n",
            ),
            ("mappings/synthea/visit.yaml", "table: visits\nkey: id\nresource: {resourceType: Encounter}\n"),
            ("mappings/synthea/patient.test.yaml", "- not: read here"),
            ("mappings/synthea/columns.lock", "not: [read"),
            ("mappings/synthea/codes/gender.csv", "source,system,code,display\nM,mrn,male,\n"),
            ("mappings/synthea/fragments/mmhg.yaml", "type: Quantity\nvalue: {unit: own}\n"),
            ("sql/synthea/patients.sql", "select id from patients"),
        ],
    )
}

fn mercy() -> Layer {
    layer(
        "mercy",
        &[
            ("mappings/mercy/project.yaml", "format: 1\nextends: synthea\nalias: {mrn: urn:mercy, x: null}\n"),
            (
                "mappings/mercy/patient.yaml",
                "extends: patient\nupdated: changed\nresource:\n  maritalStatus: null\n  active: true\n",
            ),
            ("sql/mercy/patients.sql", "select id, changed from mercy"),
        ],
    )
}

#[test]
fn one_pack() {
    let (loaded, report) = load_layers(vec![synthea()]);
    assert_eq!(report, "");
    let project = loaded.project.expect("a project");
    assert_eq!((&*project.name, project.timezone.as_deref()), ("synthea", Some("America/New_York")));
    assert_eq!(project.alias.get("loinc").map(String::as_str), Some("http://loinc.org"));
    assert!(loaded.every.expect("every").get("meta").is_some());
    let names: Vec<_> = loaded.mappings.iter().map(|mapping| &*mapping.name).collect();
    assert_eq!(names, ["patient", "visit"]);
    assert_eq!(loaded.code_maps[0].rows[0].targets[0].system.as_deref(), Some("urn:mrn"));
    assert_eq!(loaded.fragments.len(), SHIPPED.len(), "the own mmhg takes the shipped one's place");
    assert_eq!(loaded.fragments["mmhg"].value.get("unit").and_then(Node::text), Some("own"));
    assert_eq!(loaded.sources.get(loaded.fragments["us-core-race"].source).path, "smelt:fragments/us-core-race.yaml");
}

#[test]
fn a_site_changes_its_base() {
    let (loaded, report) = load_layers(vec![mercy(), synthea()]);
    assert_eq!(report, "");
    let project = loaded.project.expect("a project");
    assert_eq!(project.name, "mercy");
    assert_eq!(project.schema, ["synthea"]);
    assert_eq!(project.alias.get("mrn").map(String::as_str), Some("urn:mercy"));
    assert_eq!(project.alias.get("x"), None);
    assert_eq!(
        loaded.code_maps[0].rows[0].targets[0].system.as_deref(),
        Some("urn:mercy"),
        "the base's map, our alias"
    );
    let patient = &loaded.mappings[0];
    assert_eq!(loaded.sources.get(patient.source).path, "mappings/mercy/patient.yaml");
    let path_of = |key: &str| {
        let entry = patient.resource.entry(key)?;
        Some(loaded.sources.get(entry.key.span.source).path.clone())
    };
    assert_eq!(path_of("gender").as_deref(), Some("mappings/synthea/patient.yaml"));
    assert_eq!(path_of("active").as_deref(), Some("mappings/mercy/patient.yaml"));
    assert_eq!(path_of("maritalStatus"), None);
    let RowsKind::Sql(sql) = &patient.header.rows.kind else { panic!("sql") };
    assert_eq!(sql.text, "select id, changed from mercy", "the own file of the same name");
    assert_eq!(loaded.mappings.len(), 2, "what is not changed is inherited");
}

#[test]
fn a_clinic_changes_the_site() {
    let clinic = layer(
        "clinic",
        &[
            ("mappings/clinic/project.yaml", "format: 1\nextends: mercy\n"),
            ("mappings/clinic/patient.yaml", "extends: patient\nresource: {active: false}\n"),
            ("mappings/clinic/child.yaml", "extends: patient\nkey: child\n"),
        ],
    );
    let (loaded, report) = load_layers(vec![clinic, mercy(), synthea()]);
    assert_eq!(report, "");
    let [child, patient, _] = &loaded.mappings[..] else { panic!("three mappings") };
    assert_eq!(child.header.key[0].text, "child");
    assert_eq!(patient.resource.get("active").and_then(Node::text), Some("false"));
    assert_eq!(patient.resource.get("maritalStatus"), None, "the site's change holds");
    assert_eq!(patient.header.updated.first().map(|name| &*name.text), Some("changed"));
}

#[test]
fn the_digest_is_of_what_counts() {
    let digest = |layer: Layer| load_layers(vec![layer]).0.digest;
    let before = digest(synthea());
    assert_eq!(before.len(), 64);
    let mut turned = synthea();
    turned.files.reverse();
    assert_eq!(digest(turned), before, "not of the order");
    let edited = |path: &str| {
        let mut layer = synthea();
        for (_, text) in layer.files.iter_mut().filter(|(name, _)| name.ends_with(path)) {
            text.push('\n');
        }
        digest(layer)
    };
    assert_eq!(edited("patient.test.yaml"), before);
    assert_eq!(edited("columns.lock"), before);
    assert_ne!(edited("patients.sql"), before);
    assert_ne!(edited("gender.csv"), before);
}

#[test]
fn every_mistake_of_every_file() {
    let pack = layer(
        "p",
        &[
            ("mappings/project.yaml", "format: 2\ntimezon: UTC\nextends: q\n"),
            ("mappings/a.yaml", "sql: patient.sql\nkey: id\nresource: {resourceType: A}\n"),
            ("mappings/b.yaml", "extends: a\nresource: {}\n"),
            ("mappings/c.yaml", "table: t\nkey: id\n"),
            ("mappings/d.yaml", "table: t\nkey: [id\n"),
            ("mappings/e.yaml", "sql: bad.sql\nkey: id\nresource: []\n"),
            ("mappings/f.yaml", "sql: bad.sql\nkey: id\nresource: {}\n"),
            ("mappings/2g.yaml", "table: t\nkey: id\nresource: {}\n"),
            ("mappings/gender.csv", ""),
            ("mappings/codes/m.csv", "source,code\n*,!omti\n"),
            ("mappings/codes/m.json", "{}"),
            ("mappings/fragments/x.yaml", "type: Quantity\n"),
            ("mappings/notes.txt", ""),
            ("sql/patients.sql", "select 1"),
            ("sql/bad.sql", "select 1; select 2"),
        ],
    );
    let (loaded, report) = load_layers(vec![pack]);
    insta::assert_snapshot!(report);
    assert_eq!(loaded.broken.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(loaded.mappings.len(), 1);
}

#[test]
fn mistakes_between_packs() {
    let own = layer(
        "own",
        &[
            ("mappings/own/project.yaml", "extends: synthea\n"),
            ("mappings/own/patient.yaml", "extends: pateint\n"),
            ("mappings/own/visit.yaml", "extends: [visit]\n"),
        ],
    );
    insta::assert_snapshot!(load_layers(vec![own, synthea()]).1);
    let lost = layer("lost", &[("mappings/lost/patient.yaml", "table: t\nkey: id\nresource: {}\n")]);
    insta::assert_snapshot!("a_pack_without_project", load_layers(vec![lost]).1);
}

/// The page that shows the whole language (§2.1).
const PAGE: &str = r#"sql: observations.sql            # a file in sql/ (or `table: schema.name`, or inline SQL after `|`)
key: [encounter, seq]            # the columns that identify a row
updated: updated_at              # answers _since and fills meta.lastUpdated

lists:                           # 1:N rows, joined by the engine
  notes: {sql: notes.sql, parent: [encounter, seq], order: written_at}

resource:                        # from here on it is the FHIR resource
  resourceType: Observation
  id: "{{uuid 'Observation' encounter seq}}"   # text, in Handlebars
  status: $status via obs-status or unknown    # column → code map → fallback
  code: loinc#{{code}} "{{name}}"              # Coding / CodeableConcept shorthand
  subject: patient(patient_id)                 # Reference: mapping(key columns)
  effectiveDateTime: $taken_at                 # a column, with its type

  $if kind = 'numeric':                        # a SQL condition; the block joins its parent
    valueQuantity: {value: $num, unit: $unit, system: ucum, code: $unit}
  valueString: $text                           # of value[x], the first non-empty is written

  note:
    - $each notes:                             # one item per row of the list
        text: $body
        time: $written_at
        authorReference: $../author_ref        # `../` = the parent row
  component:
    - $use blood-pressure: {kind: systolic, value: $sys}   # a fragment from fragments/
"#;

#[test]
fn the_whole_language_on_one_page() {
    let pack = layer(
        "p",
        &[
            ("mappings/project.yaml", "format: 1"),
            ("mappings/observation.yaml", PAGE),
            ("sql/observations.sql", "select 1;"),
            ("sql/notes.sql", "select 2"),
        ],
    );
    let (loaded, report) = load_layers(vec![pack]);
    assert_eq!(report, "");
    let resource = &loaded.mappings[0].resource;
    let text = |key: &str| resource.get(key).and_then(Node::text);
    assert_eq!(text("id"), Some("{{uuid 'Observation' encounter seq}}"));
    assert_eq!(text("code"), Some("loinc#{{code}} \"{{name}}\""));
    assert!(resource.get("$if kind = 'numeric'").and_then(|block| block.get("valueQuantity")).is_some());
}

#[test]
fn no_files_at_all() {
    let (loaded, _) = load_layers(Vec::new());
    assert!(loaded.project.is_none() && loaded.mappings.is_empty());
}

proptest! {
    #[test]
    fn a_pack_with_a_hole_is_survived(file in 0..8_usize, start in 0..200_usize, length in 1..12_usize, with in "[:{}'\"$,\n -]{0,2}") {
        let mut layer = synthea();
        if let Some((_, text)) = layer.files.get_mut(file) {
            let start = text.floor_char_boundary(start.min(text.len()));
            let end = text.floor_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end, &with);
        }
        let (loaded, report) = load_layers(vec![mercy(), layer]);
        prop_assert_eq!(loaded.diagnostics.is_empty(), report.is_empty());
        prop_assert!(render::sarif(&loaded.diagnostics, &loaded.sources).contains("2.1.0"));
    }
}
