use proptest::prelude::*;

use super::super::yaml;
use super::*;

const PATIENT: &str = "sql: patients.sql
key: id
resource:
  resourceType: Patient
  name:
    - family: $last
  given: [$first, $middle]
  birthdate: $birthdate
  text: {{first}} {{last}}
";

fn place(sources: &Sources, source: SourceId, word: &str) -> Span {
    let start = sources.get(source).text.find(word).expect("the word");
    Span::new(source, start, start + word.len())
}

/// One diagnostic of every form.
fn some() -> (Vec<Diagnostic>, Sources) {
    let mut sources = Sources::default();
    let patient = sources.add("mappings/patient.yaml", PATIENT);
    let codes = sources.add("mappings/codes/sex é.csv", "source,code\r\nF,femal\r\n");
    let at = |word: &str| place(&sources, patient, word);
    let mut diagnostics =
        vec![
            Diagnostic::error("M202", at("given"), "Patient has no element `given`")
                .label("`given` is an element of HumanName")
                .also(at("name"), "this is a list of HumanName")
                .help("indent it by 4 more spaces to put it inside the item of `name` above"),
            Diagnostic::error("M201", at("birthdate"), "Patient has no element `birthdate`")
                .label("not in FHIR R4")
                .edit("names are case-sensitive; did you mean `birthDate`?", at("birthdate"), "birthDate"),
            Diagnostic::error("M501", place(&sources, codes, "femal"), "`femal` is not allowed in Patient.gender")
                .label("required value set administrative-gender")
                .also(at("$birthdate"), "reached from here")
                .edit("did you mean", place(&sources, codes, "femal"), "female"),
            Diagnostic::warning("M701", at("Patient"), "no path leads to a patient")
                .note("paths: subject, performer")
                .help("write `patient: none`"),
        ];
    yaml::parse(patient, PATIENT, &mut diagnostics);
    (diagnostics, sources)
}

#[test]
fn as_text() {
    let (diagnostics, sources) = some();
    insta::assert_snapshot!(text(&diagnostics, &sources, false));
    assert!(text(&diagnostics, &sources, true).contains("\u{1b}["));
    assert_eq!(text(&[], &sources, false), "");
}

#[test]
fn as_json() {
    let (diagnostics, sources) = some();
    insta::assert_snapshot!(json(&diagnostics, &sources, &[]));
}

#[test]
fn as_sarif() {
    let (diagnostics, sources) = some();
    insta::assert_snapshot!(sarif(&diagnostics, &sources));
}

#[test]
fn the_compartment_in_lines() {
    let of = |mapping, resource_type, belongs, paths: &[(&'static str, Use)]| Paths {
        mapping,
        resource_type,
        belongs,
        paths: paths.to_vec(),
    };
    let all = [
        of("patient", "Patient", Belongs::Itself, &[("link.other", Use::Unmapped)]),
        of("lab", "Observation", Belongs::Column("of"), &[("subject", Use::Tie), ("performer", Use::Written)]),
        of("visit", "Encounter", Belongs::Column("of"), &[("subject", Use::Unmapped)]),
        of("note", "Flag", Belongs::Nobody, &[("patient", Use::Unmapped), ("x", Use::Unmapped)]),
    ];
    let want = "patient compartment:\n\
        \x20 patient  Patient      by its id; unmapped: link.other\n\
        \x20 lab      Observation  by subject, column of; written: performer\n\
        \x20 visit    Encounter    by column of; unmapped: subject\n\
        \x20 note     Flag         of nobody, left out of exports of patients; unmapped: patient, x\n";
    assert_eq!(compartment(&all), want);
    assert_eq!(compartment(&[]), "");
    let (_, sources) = some();
    let report: Value = serde_json::from_str(&json(&[], &sources, &all[1..2])).unwrap();
    let paths = json!([{"path": "subject", "use": "tie"}, {"path": "performer", "use": "written"}]);
    let want =
        json!([{"mapping": "lab", "resourceType": "Observation", "by": "column", "column": "of", "paths": paths}]);
    assert_eq!(report["compartment"], want);
}

#[test]
fn counted_in_words() {
    let mut sources = Sources::default();
    let source = sources.add("a", "");
    let span = Span::new(source, 0, 0);
    let error = Diagnostic::error("M100", span, "");
    let warning = Diagnostic::warning("M701", span, "");
    let all = [error.clone(), error, warning.clone(), warning];
    assert_eq!(summary(&all[1..]), "1 error, 2 warnings");
    assert_eq!(summary(&all[..2]), "2 errors");
    assert_eq!(summary(&all[3..]), "1 warning");
}

proptest! {
    #[test]
    fn any_place_is_rendered(whole in "[a-zé😀\t\r\n]{0,30}", start in 0..40_u32, length in 0..10_u32, to in 0..40_u32) {
        let mut sources = Sources::default();
        let source = sources.add("a.yaml", whole);
        let span = Span { source, start, end: start + length };
        let other = Span { source, start: to, end: to };
        let one = Diagnostic::error("M100", span, "m").label("here").also(other, "there").edit("fix", span, "x\ny");
        prop_assert!(text(std::slice::from_ref(&one), &sources, false).contains("error[M100]: m"));
        prop_assert!(json(std::slice::from_ref(&one), &sources, &[]).contains("M100"));
        prop_assert!(sarif(&[one], &sources).contains("M100"));
    }
}
