//! At least one case per code, with the place and the words.

use insta::assert_snapshot;

use super::*;

const GENDER: &str = "source,code\nM,male\nF,female\n*,unknown\n";

/// Messages of a Patient mapping with a gender map, a fragment and an encounter beside it.
fn patient(lines: &str) -> String {
    resource("Patient", lines)
}

fn pack(files: &[(&str, &str)]) -> String {
    messages(&check_files(files))
}

#[test]
fn wrong_shape_m105() {
    assert_snapshot!(patient(
        "name: [Smith]\ngender: {a: b}\nbirthDate: {extension: []}\ncontact: []\nactive:\nlanguage: null\ntext: {}\n_birthDate: x"
    ));
}

#[test]
fn blocks_m109() {
    assert_snapshot!(patient(
        "$if gender is null: x\n$else: {}\n$ref: a(b)\n$each x: {}\nname:\n  - $each contacts: {}\n    text: x\n  - $each: {text: $a}\ngeneralPractitioner: [{$ref: [x]}]"
    ));
}

#[test]
fn unknown_elements_m201() {
    assert_snapshot!(patient(
        "birthdate: $b\n_birthdate: {extension: [{url: 'http://x.y/z', valueString: $a}]}\ndeceased: true\nmaritalstate: $c\nname: [{familly: $f}]\nfoo: $c"
    ));
}

#[test]
fn misplaced_elements_m202() {
    assert_snapshot!(patient("name:\n  - family: $last\ngiven: [$first]\npostalCode: $zip"));
}

#[test]
fn cardinality_m203() {
    assert_snapshot!(resource(
        "Observation",
        "status: final\ncode: {text: x}\ncategory: $category via c\nidentifier:\n  value: $v\nnote: {text: x}\nfocus: patient(a, b)\nvalueString: [$a]\nissued: [$a, $b]\nperformer: [[$a]]\nbasedOn: {$each x: {display: $y}}"
    ));
}

#[test]
fn types_m204() {
    assert_snapshot!(pack(&[
        (
            "mappings/x.yaml",
            &mapping("Patient", "active: \"{{a}}\"\nbirthDate: $b via gender\ncontact: [{period: $p via gender}]")
        ),
        ("mappings/codes/gender.csv", GENDER),
    ]));
}

#[test]
fn constants_m205() {
    let all = [
        pack(&[
            (
                "mappings/x.yaml",
                &mapping(
                    "Patient",
                    "gender: F\nactive: yes\nbirthDate: 12.03.2026\nmultipleBirthInteger: 1.5\nmaritalStatus: v3-MaritalStatus#M \"Married\"\ntelecom: [{use: hom, rank: 0}]\nlink: [{type: refer, other: {reference: \"Patient?x=1\"}}]\ntext: {status: generated, div: <p>x</p>}\ncontained: [{resourceType: Medicaton}]",
                ),
            ),
            ("mappings/codes/gender.csv", GENDER),
        ]),
        resource(
            "Condition",
            "subject: x(a)\nclinicalStatus: condition-clinical#actve\nverificationStatus: loinc#confirmed",
        ),
    ];
    assert_snapshot!(all.join("\n"));
}

#[test]
fn missing_elements_m206() {
    let all = [
        resource("Observation", "component:\n  - valueString: $x\n  - $if a = 1:\n      valueString: $y"),
        resource("Encounter", "status: finished\nclass: act-code#AMB\nstatusHistory:\n  - {status: finished}"),
        pack(&[("mappings/x.yaml", "table: t\nkey: [a, b]\nresource: {resourceType: Patient}")]),
        pack(&[("mappings/x.yaml", "table: t\nkey: a\nresource: {id: $a}")]),
    ];
    assert_snapshot!(all.join("\n"));
}

#[test]
fn unreachable_choices_m207() {
    assert_snapshot!(patient("deceasedBoolean: true\ndeceasedDateTime: $d"));
}

#[test]
fn profiles_m208() {
    let mut all = Vec::new();
    all.push(patient("meta: {profile: [us-core-patient, us-core-condition-problems-health-concerns]}\nidentifier: [{value: $a}]\ncommunication: [{preferred: true, language: {text: $l}}]"));
    let category = |system: &str| {
        resource(
            "Observation",
            &format!(
                "meta: {{profile: [us-core-vital-signs]}}\nstatus: final\ncode: {{text: $c}}\nsubject: {{reference: \"Patient/{{{{p}}}}\"}}\neffectiveDateTime: $d\ncategory: [{system}]"
            ),
        )
    };
    all.push(category("observation-category#vital-signs"));
    all.push(category("observation-category#laboratory"));
    assert_snapshot!(all.join("\n"));
}

#[test]
fn uris_m209() {
    assert_snapshot!(patient(
        "identifier: [{system: mrm, value: $v}]\nmeta: {source: foo, profile: [us-core-patiet]}\nextension: [{url: latitude, valueDecimal: $x}]\nphoto: [{url: Binary/1}, {url: nope}]"
    ));
}

#[test]
fn twice_m210() {
    assert_snapshot!(patient(
        "gender: male\n$if a is null:\n  gender: female\n$if b is null:\n  birthDate: $c\n$if d is null:\n  birthDate: $e"
    ));
}

#[test]
fn primitive_extensions_m212() {
    assert_snapshot!(patient("_name: {extension: []}\n_maritalStatus: {extension: []}\nname: [{_given: [{}]}]"));
}

#[test]
fn codings_m214() {
    assert_snapshot!(patient(
        "maritalStatus: married\ncommunication:\n  - language: loinc#a#b\n  - language: loinc#a Display\n  - language: 'loinc#a \"Display'\n  - language: '#a'\n  - language: loinc#\n  - language: \"{{x}}\""
    ));
}

#[test]
fn rows_m304() {
    let files = |lines: &str| {
        let head = "table: t\nkey: id\nlists:\n  contacts: {table: c, parent: p, order: n, key: n, lists: {marks: {table: m, parent: q, order: n}}}\nresource:\n  resourceType: Patient\n  id: $id\n";
        let lines = indented(lines);
        pack(&[("mappings/x.yaml", &format!("{head}{lines}"))])
    };
    assert_snapshot!(files(
        "birthDate: $../b\nname:\n  - $each marks:\n      text: $a\n  - $each contacts:\n      text: $../../a\n      given: [{$each contacts: $x}]\n      suffix: [{$each marks: $../x}]"
    ));
    assert_eq!(
        files(
            "name:\n  - $each contacts:\n      text: $../a\n      given: [{$each marks: $../../x}]\n      prefix: [{$each names.all: $value}]"
        ),
        "none"
    );
}

#[test]
fn templates_m305_m306() {
    assert_snapshot!(patient(
        "name:\n  - text: \"Length {{len}} cm\"\n  - text: \"{{#if prefix}}{{prefix}} {{first}}\"\n  - text: \"{{upcase x}}\"\n  - text: \"{{first last}}\""
    ));
}

#[test]
fn columns_m310() {
    assert_snapshot!(patient(
        "birthDate: $a-b\ngender: $a via\nlanguage: $a b\nactive: $a or\nmaritalStatus: $1\ndeceasedBoolean: $a or true or $b\nname: [{text: '$a or {{b}}', family: $a | upper, given: [$\"Order Date\", $\"x]}]"
    ));
}

#[test]
fn conditions_m311() {
    assert_snapshot!(patient(
        "$if a == 1: {active: true}\n$if lower(a) = 'x': {gender: male}\n$if a like 'x': {birthDate: $b}\n$if $a is null: {language: en}\n$if a = 'x: {implicitRules: $x}\n$if a in (b): {text: {status: empty, div: $d}}\n$if a +1 = 2: {name: [{text: $t}]}\n$if a and: {photo: [{title: $t, url: $u}]}\n$if (a or b: {link: [{type: refer, other: {display: $x}}]}\n$if is null: {deceasedBoolean: true}\n$if a is nul: {multipleBirthBoolean: true}"
    ));
}

#[test]
fn site_m312() {
    assert_snapshot!(patient("identifier: [{system: 'urn:oid:{{site.oidd}}', value: $site.orgg}]"));
}

#[test]
fn references_m401_to_m407() {
    let mut all = Vec::new();
    let files = |lines: &str| {
        pack(&[
            (
                "mappings/encounter.yaml",
                &mapping("Encounter", &format!("status: finished\nclass: act-code#AMB\n{lines}")),
            ),
            ("mappings/patient.yaml", "table: t\nkey: id\nresource: {resourceType: Patient, id: $id}"),
            (
                "mappings/practitioner.yaml",
                "table: t\nkey: [a, b]\nresource: {resourceType: Practitioner, id: \"{{uuid 'P' a b}}\"}",
            ),
        ])
    };
    all.push(files("subject: pateint(patient)"));
    all.push(files("subject: practitioner(provider_id)"));
    all.push(files("subject: patient(a, b)\nparticipant: [{individual: practitioner(x)}]"));
    all.push(files("subject: Patient/1\npartOf: patient($a)\nserviceProvider: org(a\nappointment: [{$ref: foo}]"));
    all.push(files("reasonReference: [{reference: \"#a\"}, {reference: \"#b\"}]\ncontained: [{resourceType: Condition, id: b, subject: patient(p)}]"));
    assert_snapshot!(all.join("\n"));
}

#[test]
fn ids_m404_m405() {
    let mut all = Vec::new();
    let id = |id: &str| {
        pack(&[("mappings/x.yaml", &format!("table: t\nkey: [a, b]\nresource: {{resourceType: Patient, id: {id}}}"))])
    };
    all.push(id("\"pat_{{a}}\""));
    all.push(id("\"{{a}}-{{c}}\""));
    all.push(id("\"x-{{sha256 a b}}\""));
    all.push(id("$a via m"));
    all.push(id("$c"));
    all.push(id("\"{{ref 'x' a}}\""));
    all.push(id("\"{{lookup a 'b'}}\""));
    assert_eq!(id("\"{{site.oid}}.{{a}}{{#if b}}-{{b}}{{/if}}\""), "none");
    assert_snapshot!(all.join("\n"));
}

#[test]
fn code_maps_m501_to_m505() {
    let mut all = Vec::new();
    let map = |lines: &str, csv: &str| {
        pack(&[("mappings/x.yaml", &mapping("Patient", lines)), ("mappings/codes/m.csv", csv)])
    };
    all.push(map("gender: $g via m", "source,code\nM,male\nF,femal\n"));
    all.push(map("gender: $g via m", "source,code\nM,male\nM,female\n"));
    all.push(map("gender: $g via n", "source,code\nM,male\n"));
    all.push(map("gender: $g via m", "source,code\nM,male\n*,!text\n"));
    all.push(map("active: $g via m\nimplicitRules: $x via m", "source,code\nM,male\n"));
    assert_eq!(map("implicitRules: $x via m\nlanguage: $x via m", "source,code\nM,loinc\n"), "none");
    assert_snapshot!(all.join("\n"));
}

#[test]
fn fragments_m601_to_m605() {
    let mut all = Vec::new();
    let used = |lines: &str, fragment: &str| {
        pack(&[("mappings/x.yaml", &mapping("Patient", lines)), ("mappings/fragments/f.yaml", fragment)])
    };
    let race = "extension: [{$use us-core-race: {omb: $r, txt: $race}}]";
    let quantity = "type: Quantity\nparams: {v: decimal}\nvalue: {value: $v, unit: x}\n";
    all.push(used(race, quantity));
    all.push(used("extension: [{$use us-core-rase: {}}]", quantity));
    all.push(used("name: [{$use f: {v: $a}}]", quantity));
    all.push(used(
        "active: true",
        "type: Extension\nparams: {v: decimal, w: Cding}\nvalue: {url: x, valueString: $v}\n",
    ));
    all.push(used("active: true", "type: Extension\nparams: {v: decimal}\nvalue: {url: 'http://x.y', valueString: $v, extension: [{url: a, valueCode: $w}]}\n"));
    all.push(used("active: true", "type: Quantity\nparams: {v: decimal}\nvalue: {$use f: {v: $v}}\n"));
    all.push(used("extension: [{$use f: {v: $a}}]", "type: Extension\nparams: {v: string}\nvalue: {url: 'http://x.y', valueString: $v, extension: [{$each v: {url: a}}]}\n"));
    assert_snapshot!(all.join("\n"));
}

#[test]
fn warnings_m602_m701_m702() {
    let all = [
        pack(&[(
            "mappings/x.yaml",
            "table: t\nkey: id\nlists: {a: {table: a, parent: p}}\nsearch: {categry: c, code: d}\nresource: {resourceType: Observation, id: $id, status: final, code: loinc#1}",
        )]),
        pack(&[(
            "mappings/x.yaml",
            "table: t\nkey: id\npatient: none\nresource: {resourceType: Observation, id: $id, status: final, code: loinc#1}",
        )]),
    ];
    assert_snapshot!(all.join("\n"));
}

/// References to patients that restrict nothing: an export of some patients is refused for each.
#[test]
fn references_that_tie_nothing_m701() {
    let with = |header: &str, resource: &str| {
        pack(&[
            ("mappings/patient.yaml", "table: p\nkey: id\nresource: {resourceType: Patient, id: $id}"),
            (
                "mappings/twin.yaml",
                "table: p\nkey: [a, b]\nresource: {resourceType: Patient, id: \"{{uuid 'T' a b}}\"}",
            ),
            ("mappings/x.yaml", &format!("table: t\nkey: id\n{header}\nresource:\n  id: $id\n{}", indented(resource))),
        ])
    };
    let lists = "lists: {who: {table: w, parent: t, order: n}}";
    let appointment = |actor: &str| {
        format!("resourceType: Appointment\nstatus: booked\nparticipant:\n  - {actor}\n    status: accepted")
    };
    let observation =
        |subject: &str| format!("resourceType: Observation\nstatus: final\ncode: loinc#1\nsubject: {subject}");
    let all = [
        with(
            lists,
            &appointment("$each who: {actor: patient(person), status: accepted}").replace("\n    status: accepted", ""),
        ),
        with("", &appointment("actor: patient(person)")),
        with("", &observation("patient(a.b)")),
        with("", &observation("patient('7')")),
        with("", &observation("twin(a, b)")),
        with("", &observation("{reference: \"Patient/{{a}}\"}")),
        with("", &observation("{reference: Patient/7}")),
        // Of several, one is enough.
        with(lists, &(observation("patient(a)") + "\nperformer: [{$each who: patient(person)}]")),
        // Not in R4's compartment: a hospital's device is nobody's.
        with("", "resourceType: Device"),
        with(lists, "resourceType: Device\npatient: patient(a.b)"),
    ];
    assert_snapshot!(all.join("\n"));
}

#[test]
fn every_is_reported_once() {
    assert_snapshot!(pack(&[
        ("mappings/project.yaml", "format: 1\nevery: {meta: {sorce: 'http://x.y', tag: [a#b#c]}}"),
        ("mappings/a.yaml", &mapping("Patient", "")),
        ("mappings/b.yaml", &mapping("Organization", "active: true")),
    ]));
}
