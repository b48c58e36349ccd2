use super::super::render;
use super::super::source::Sources;
use super::*;

fn aliases() -> Aliases {
    [("snomed", "http://snomed.info/sct"), ("loinc", "http://loinc.org")]
        .map(|(name, uri)| (name.to_owned(), uri.to_owned()))
        .into()
}

fn read(path: &str, text: &str) -> (Option<CodeMap>, String) {
    let (mut sources, mut out) = (Sources::default(), Vec::new());
    let source = sources.add(path, text);
    let read = if path.starts_with("m.json") || path.ends_with("/m.json") { concept_map } else { csv };
    let map = read("m", source, text, &aliases(), &mut out);
    (map, render::text(&out, &sources, false))
}

fn good(path: &str, text: &str) -> CodeMap {
    let (map, report) = read(path, text);
    assert_eq!(report, "");
    map.expect("a map")
}

/// `source → system|code "display"` lines.
fn show(map: &CodeMap) -> Vec<String> {
    let target = |t: &Target| format!("{}|{} {:?}", t.system.as_deref().unwrap_or(""), t.code, t.display);
    let fallback = |name: &str, fallback: &Option<Fallback>| match fallback {
        Some(Fallback::Targets(targets)) => vec![format!("{name} → {}", target(&targets[0]))],
        Some(Fallback::Special(special, system)) => vec![format!("{name} → {special:?} {system:?}")],
        None => Vec::new(),
    };
    let rows = map
        .rows
        .iter()
        .map(|row| format!("{} → {}", row.source, row.targets.iter().map(target).collect::<Vec<_>>().join(" + ")));
    rows.chain(fallback("other", &map.other)).chain(fallback("empty", &map.empty)).collect()
}

#[test]
fn two_columns() {
    let map = good("gender.csv", "source,code\nM,male\nF,female\n*,unknown\n,!absent\n");
    assert_eq!(show(&map), ["M → |male None", "F → |female None", "other → |unknown None", "empty → Absent None"]);
}

#[test]
fn four_columns_and_comments() {
    let text = "\u{feff}source,system,code,display,who\r\na,snomed,1,\"One, two\",x\r\na,urn:oid:1.2,2,,\r\n*,loinc,!same,,\r\n";
    let map = good("m.csv", text);
    assert_eq!(
        show(&map),
        [
            "a → http://snomed.info/sct|1 Some(\"One, two\") + urn:oid:1.2|2 None",
            "other → Same Some(\"http://loinc.org\")",
        ]
    );
    let span = map.rows[0].targets[1].span;
    assert_eq!(&text[span.start as usize..span.end as usize], "2");
}

#[test]
fn mistakes_in_csv() {
    let reports: Vec<String> = [
        "",
        "src,cod\nM,male",
        "a,b\nM,male",
        "source,code,source\nM,male,x",
        "source,system,code,dispaly\nM,snomed,1,x",
        "source,system,code,display\nM,snomed,1\nN,snomed,2,x,y\nO,snomed,,x\nP,snomd,3,x\nQ,http,4,x\nR,snomd,5,x",
        "source,code\nM,!text\n*,!txt\n*,!omit\n*,!same\n,a\n,b\n M,c\nN,d\nN,d",
        "source,code\n\"M,male\n",
    ]
    .iter()
    .map(|text| read("mappings/codes/m.csv", text).1)
    .collect();
    insta::assert_snapshot!(reports.join("--------\n"));
}

#[test]
fn a_hopeless_file_is_not_read_to_its_end() {
    let (_, report) = read("m.csv", &format!("source,code\n{}", "a\n".repeat(1000)));
    assert!(report.ends_with("20 errors, 1 warning\n"), "{report}");
}

#[test]
fn a_concept_map() {
    let map = good(
        "m.json",
        r#"{
          "resourceType": "ConceptMap", "status": "active",
          "group": [{
            "source": "urn:local", "target": "http://snomed.info/sct",
            "element": [
              {"code": "a", "target": [{"code": "1", "display": "One", "equivalence": "equal"}, {"code": "2", "equivalence": "wider"}]},
              {"code": "b", "target": [{"code": "3", "equivalence": "disjoint"}, {"code": "4", "equivalence": "equal"}]}
            ],
            "unmapped": {"mode": "fixed", "code": "9", "display": "Other"}
          }]
        }"#,
    );
    assert_eq!(
        show(&map),
        [
            "a → http://snomed.info/sct|1 Some(\"One\") + http://snomed.info/sct|2 None",
            "b → http://snomed.info/sct|4 None",
            "other → http://snomed.info/sct|9 Some(\"Other\")",
        ]
    );
    let map = good(
        "m.json",
        r#"{"resourceType":"ConceptMap","group":[{"target":"http://loinc.org","unmapped":{"mode":"provided"}}]}"#,
    );
    assert_eq!(show(&map), ["other → Same Some(\"http://loinc.org\")"]);
}

#[test]
fn mistakes_in_a_concept_map() {
    let reports: Vec<String> = [
        r#"{"resourceType": "CodeSystem"}"#,
        r#"{"resourceType": "ConceptMap", "group": []}"#,
        r#"{"resourceType": "ConceptMap", "group": [{"target": "loinic", "element": [{"code": "a", "target": [{"code": "1"}]}]}]}"#,
        r#"{"resourceType": "ConceptMap", "group": [{"element": [{"target": []}, {"code": "a"}], "unmapped": {"mode": "other-map"}}]}"#,
        r#"{"resourceType": "ConceptMap", "group": [{"unmapped": {"mode": "fixed"}}, {"unmapped": {}}]}"#,
        "{\"resourceType\": \"ConceptMap\",}}",
    ]
    .iter()
    .map(|text| read("mappings/codes/m.json", text).1)
    .collect();
    insta::assert_snapshot!(reports.join("--------\n"));
}
