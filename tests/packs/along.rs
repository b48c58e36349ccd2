//! What comes along with an export of the shipped pack, compared with what a pass over whole exports finds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use smelt::bulk::type_filter::{Ask, Parameter, Token};
use smelt::bulk::{Associated, ExportRequest, Level, Parameters, Provenances, TypeFilter};

use super::engine::{Engine, Made, with_engine};
use super::store::text;

/// Of the types that a reference may bring, those that the pack makes.
const CONTEXT: [&str; 5] = ["Location", "Medication", "Organization", "Practitioner", "PractitionerRole"];

type Found<'a> = BTreeMap<String, &'a Value>;

fn request(engine: &Engine, level: Level, types: &[&str], patients: &[String]) -> ExportRequest {
    let given = Parameters {
        types: types.iter().map(|&name| name.to_owned()).collect(),
        patients: patients.to_vec(),
        ..Parameters::default()
    };
    let mapped: Vec<&str> = engine.prepared.pack.mappings.iter().map(|one| one.resource_type.as_str()).collect();
    ExportRequest { level, ..ExportRequest::new(&given, &mapped).expect("a request") }
}

fn closure() -> Associated {
    let types = CONTEXT.iter().map(|&name| name.to_owned()).collect();
    Associated { provenance: None, closure: Some(types) }
}

fn some_patients(engine: &Engine) -> Vec<String> {
    // Those with drugs that a clinic gives, so that Medication is pointed to.
    engine.texts(
        "select patient::text from medications where description like '%Injection%' group by patient \
         order by count(*), patient limit 3",
    )
}

/// Every resource by type and id, each once.
fn by_name(made: &Made) -> Found<'_> {
    let mut all = Found::new();
    for (name, found) in &made.resources {
        for one in found {
            let id = text(one, "/id").expect("an id");
            assert!(all.insert(format!("{name}/{id}"), one).is_none(), "{name}/{id} is there twice");
        }
    }
    all
}

/// What a resource points to, wherever in it.
pub(super) fn targets(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "reference" => _ = into.insert(text.clone()),
                    other => targets(other, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| targets(item, into)),
        _ => {}
    }
}

fn kind(name: &str) -> &str {
    name.split('/').next().unwrap_or_default()
}

/// What `roots` lead to among the context of `all`, over any number of steps.
fn reached<'a>(roots: impl Iterator<Item = &'a Value>, all: &Found<'a>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&Value> = roots.collect();
    while let Some(one) = open.pop() {
        let mut names = BTreeSet::new();
        targets(one, &mut names);
        for name in names.into_iter().filter(|name| CONTEXT.contains(&kind(name))) {
            let target = all.get(&name).unwrap_or_else(|| panic!("{name} is nowhere"));
            if found.insert(name) {
                open.push(target);
            }
        }
    }
    found
}

fn balanced(made: &Made) {
    assert!(made.report.mappings.iter().all(smelt::bulk::report::MappingReport::balances), "{:?}", made.report);
    let written: u64 = made.report.mappings.iter().map(|line| line.emitted).sum();
    assert_eq!(written, made.resources.values().map(Vec::len).sum::<usize>() as u64);
    let mut names: Vec<&str> = made.report.mappings.iter().map(|line| line.mapping.as_str()).collect();
    names.sort_unstable();
    let lines = names.len();
    names.dedup();
    assert_eq!(names.len(), lines, "a line for each mapping");
}

/// K-44 X-07: what resources of patients point to is there, whole and once, and nothing that nothing points to.
#[tokio::test]
async fn exports_of_patients_bring_what_they_point_to() {
    with_engine(|engine| {
        let whole = engine.export(&request(engine, Level::System, &CONTEXT, &[])).expect("an export");
        let everything = by_name(&whole);
        let patients = some_patients(engine);
        let made = engine.export(&request(engine, Level::Patient, &[], &patients)).expect("an export");
        balanced(&made);
        let all = by_name(&made);
        let own = all.iter().filter(|(name, _)| !CONTEXT.contains(&kind(name)));
        let want = reached(own.map(|(_, one)| *one), &everything);
        let context: BTreeSet<String> = all.keys().filter(|name| CONTEXT.contains(&kind(name))).cloned().collect();
        assert_eq!(context, want);
        for name in ["Location", "Organization", "Practitioner"] {
            let (some, all) = (made.resources[name].len(), whole.resources[name].len());
            assert!(some > 0 && some < all, "{name}: {some} of {all}");
        }
        assert!(!made.resources.contains_key("PractitionerRole"), "nothing points to a role");
        assert!(!made.resources.contains_key("Group"));
        // Nobody else's: every patient that is named is one of them.
        let mut named = BTreeSet::new();
        for one in all.values() {
            targets(one, &mut named);
        }
        let named: BTreeSet<&str> = named.iter().filter_map(|name| name.strip_prefix("Patient/")).collect();
        assert_eq!(named, patients.iter().map(String::as_str).collect());
        // They are as in a whole export.
        assert!(context.iter().all(|name| everything[name] == all[name]));

        // `_type` bounds it: no other type slips in, and a type that is named and not pointed to has no file.
        let types = ["Encounter", "Practitioner", "Medication"];
        let made = engine.export(&request(engine, Level::Patient, &types, &patients)).expect("an export");
        assert_eq!(made.resources.keys().collect::<Vec<_>>(), ["Encounter", "Practitioner"]);
        let seen: BTreeSet<&str> = made.resources["Encounter"]
            .iter()
            .filter_map(|one| text(one, "/participant/0/individual/reference")?.strip_prefix("Practitioner/"))
            .collect();
        let practitioners = made.resources["Practitioner"].iter().filter_map(|one| text(one, "/id"));
        assert_eq!(practitioners.collect::<BTreeSet<_>>(), seen);
        // Open point 6: with the closure asked for, `_type` bounds it no longer.
        let asked =
            ExportRequest { associated: closure(), ..request(engine, Level::Patient, &["Encounter"], &patients) };
        let made = engine.export(&asked).expect("an export");
        balanced(&made);
        let all = by_name(&made);
        let want = reached(made.resources["Encounter"].iter(), &everything);
        let context: BTreeSet<String> = all.keys().filter(|name| kind(name) != "Encounter").cloned().collect();
        assert_eq!(context, want);
    })
    .await;
}

/// `_reference-closure` of the system: what filters and times had left out comes, once, and the rest does not come
/// twice.
#[tokio::test]
async fn the_closure_works_at_system_level() {
    with_engine(|engine| {
        let whole = engine.export(&request(engine, Level::System, &CONTEXT, &[])).expect("an export");
        let everything = by_name(&whole);
        let types = ["ImagingStudy", "MedicationAdministration", "Organization"];
        let id = engine.texts("select id::text from organizations order by id limit 1").remove(0);
        let only = TypeFilter { resource_type: "Organization".to_owned(), parameters: vec![token("_id", &[&id])] };
        let asked =
            ExportRequest { associated: closure(), filters: vec![only], ..request(engine, Level::System, &types, &[]) };
        let made = engine.export(&asked).expect("an export");
        balanced(&made);
        let all = by_name(&made);
        let found = format!("Organization/{id}");
        let own = all.iter().filter(|(name, _)| !CONTEXT.contains(&kind(name)) || **name == found);
        let mut want = reached(own.map(|(_, one)| *one), &everything);
        want.insert(found);
        let context: BTreeSet<String> = all.keys().filter(|name| CONTEXT.contains(&kind(name))).cloned().collect();
        assert_eq!(context, want);
        assert!(made.resources["Organization"].len() < whole.resources["Organization"].len());
        // What is exported whole is not read again.
        let all = ["ImagingStudy", "Organization", "Practitioner", "Location", "Medication", "PractitionerRole"];
        let plain = engine.export(&request(engine, Level::System, &all, &[])).expect("an export");
        let asked = ExportRequest { associated: closure(), ..request(engine, Level::System, &all, &[]) };
        let closed = engine.export(&asked).expect("an export");
        assert_eq!(by_name(&closed), by_name(&plain));
        let rows = |made: &Made| made.report.mappings.iter().map(|line| line.rows).collect::<Vec<_>>();
        assert_eq!(rows(&closed), rows(&plain));
    })
    .await;
}

fn about(one: &Value) -> BTreeSet<&str> {
    one["target"].as_array().expect("targets").iter().filter_map(|target| text(target, "/reference")).collect()
}

fn ids<'a>(of: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    of.into_iter().map(|one| text(one, "/id").expect("an id").to_owned()).collect()
}

/// Of all Provenance, that of `exported`: every one, or the newest of each.
fn provenance<'a>(all: &'a [Value], exported: &BTreeSet<String>, which: Provenances) -> BTreeSet<String> {
    let relevant = all.iter().filter(|one| about(one).iter().any(|name| exported.contains(*name)));
    if which == Provenances::Relevant {
        return ids(relevant);
    }
    let mut newest: BTreeMap<&str, &'a Value> = BTreeMap::new();
    for one in relevant {
        for name in about(one).into_iter().filter(|name| exported.contains(*name)) {
            let kept = newest.entry(name).or_insert(one);
            let at = |one: &Value| text(one, "/recorded").expect("a time").parse::<jiff::Timestamp>().expect("a time");
            if at(one) > at(kept) {
                *kept = one;
            }
        }
    }
    ids(newest.into_values())
}

/// K-52 K-55: Provenance of exactly what was exported, whatever `_type` says.
#[tokio::test]
async fn provenance_is_that_of_what_is_exported() {
    with_engine(|engine| {
        let all = engine.export(&request(engine, Level::System, &["Provenance"], &[])).expect("an export");
        let all = &all.resources["Provenance"];
        let patients = some_patients(engine);
        for (level, types, patients) in [
            (Level::System, &["Immunization"][..], &[][..]),
            (Level::System, &["Immunization", "Provenance"], &[]),
            (Level::Patient, &["Procedure", "DocumentReference"], &patients[..]),
            (Level::Patient, &[], &patients[..1]),
            (Level::Group("diabetes".to_owned()), &["Condition"], &[]),
            // A study has none.
            (Level::System, &["ImagingStudy"], &[]),
        ] {
            for which in [Provenances::Relevant, Provenances::Latest] {
                let plain = request(engine, level.clone(), types, patients);
                let associated = Associated { provenance: Some(which), closure: None };
                let made = engine.export(&ExportRequest { associated, ..plain }).expect("an export");
                balanced(&made);
                let exported = by_name(&made).into_keys().filter(|name| kind(name) != "Provenance").collect();
                let found = made.resources.get("Provenance").map(Vec::as_slice).unwrap_or_default();
                assert_eq!(found.is_empty(), types == ["ImagingStudy"], "{types:?}");
                assert_eq!(ids(found), provenance(all, &exported, which), "{level:?} {types:?} {which:?}");
            }
        }
    })
    .await;
}

fn token(code: &str, any: &[&str]) -> Parameter {
    let any = any.iter().map(|code| Token { system: None, code: Some((*code).to_owned()) }).collect();
    Parameter { code: code.to_owned(), ask: Ask::Token(any) }
}

fn filter(resource_type: &str, parameter: Parameter) -> TypeFilter {
    TypeFilter { resource_type: resource_type.to_owned(), parameters: vec![parameter] }
}

/// K-69: what the client may see, members, `_type`, `_since` and `_until`, `_typeFilter`, then Provenance of what is left,
/// then what those point to.
#[tokio::test]
async fn everything_applies_in_order() {
    with_engine(|engine| {
        let types = ["Patient", "Encounter", "Immunization"];
        let all = [&types[..], &CONTEXT, &["Provenance"]].concat();
        let whole = engine.export(&request(engine, Level::System, &all, &[])).expect("an export");
        let everything = by_name(&whole);
        let members: BTreeSet<String> = engine
            .texts("select patient::text from cohort_members where cohort = 'diabetes' and stop is null")
            .into_iter()
            .collect();
        let time = |part: &str| {
            let sql = format!(
                "select to_char(percentile_disc({part}) within group (order by updated_at) at time zone 'UTC', \
                 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from encounters"
            );
            engine.texts(&sql).remove(0)
        };
        let micros = |text: &str| text.parse::<jiff::Timestamp>().expect("a time").as_microsecond();
        // Of whole milliseconds, since no more is written.
        let [since, until] = ["0.2", "0.9"].map(|part| micros(&time(part)) / 1000 * 1000);
        let whose = |one: &Value| {
            let subject = text(one, "/subject/reference").or(text(one, "/patient/reference"));
            subject
                .map_or_else(|| text(one, "/id").expect("an id"), |name| name.trim_start_matches("Patient/"))
                .to_owned()
        };
        let changed = |one: &Value| micros(text(one, "/meta/lastUpdated").expect("a time"));
        let own: Found<'_> = everything
            .iter()
            .filter(|(name, _)| types.contains(&kind(name)))
            .filter(|(_, one)| members.contains(&whose(one)))
            .filter(|(_, one)| (since..until).contains(&changed(one)))
            .filter(|(name, one)| kind(name) != "Encounter" || text(one, "/class/code") == Some("AMB"))
            .map(|(name, one)| (name.clone(), *one))
            .collect();
        // A place is withheld, and what leads there still comes.
        let place = own.values().find_map(|one| text(one, "/location/reference")).expect("a place");
        let place = place.trim_start_matches("Location/").to_owned();
        let withheld =
            vec![filter("Encounter", token("class", &["EMER"])), filter("Location", token("_id", &[&place]))];
        let asked = ExportRequest {
            withheld,
            since: Some(since - 1),
            until: Some(until),
            filters: vec![filter("Encounter", token("class", &["AMB", "EMER"]))],
            associated: Associated { provenance: Some(Provenances::Relevant), ..closure() },
            ..request(engine, Level::Group("diabetes".to_owned()), &types, &[])
        };
        let made = engine.export(&asked).expect("an export");
        balanced(&made);
        let exported: BTreeSet<String> = own.keys().cloned().collect();
        let records = provenance(&whole.resources["Provenance"], &exported, Provenances::Relevant);
        let records: BTreeSet<String> = records.into_iter().map(|id| format!("Provenance/{id}")).collect();
        let roots = own.values().copied().chain(records.iter().map(|name| everything[name]));
        let mut visible = everything.clone();
        let hidden = visible.insert(format!("Location/{place}"), &Value::Null);
        assert!(hidden.is_some());
        let mut context = reached(roots, &visible);
        assert!(context.remove(&format!("Location/{place}")), "something leads there");
        let found: BTreeSet<String> = by_name(&made).into_keys().collect();
        for (what, want) in [("own", &exported), ("records", &records), ("context", &context)] {
            assert!(!want.is_empty(), "{what}");
            let kinds: BTreeSet<&str> = want.iter().map(|name| kind(name)).collect();
            let found: BTreeSet<String> = found.iter().filter(|name| kinds.contains(kind(name))).cloned().collect();
            assert!(found == *want, "{what}: {} and {}", found.len(), want.len());
        }
        assert_eq!(found.len(), exported.len() + records.len() + context.len());
    })
    .await;
}
