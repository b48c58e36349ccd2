//! What is set aside comes back in blocks, whatever the sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::fhir::outcome::OperationOutcome;
use crate::sink::{Codec, LocalSink, SinkFile as _};

const TYPES: [(&str, bool); 6] = [
    ("Observation", false),
    ("Practitioner", true),
    ("Patient", false),
    ("Organization", true),
    ("Encounter", false),
    ("Condition", false),
];

/// A resource: the position of its type, its own id, its patient (own id of context), what it refers to, padding.
#[derive(Debug, Clone)]
struct Given {
    kind: usize,
    id: String,
    owner: Option<String>,
    refers: Vec<String>,
    padding: usize,
}

impl Given {
    fn name(&self) -> String {
        format!("{}/{}", TYPES[self.kind].0, self.id)
    }

    fn line(&self) -> String {
        let refers: Vec<String> = self.refers.iter().map(|to| format!(r#"{{"reference":"{to}"}}"#)).collect();
        let (kind, id, padding) = (TYPES[self.kind].0, &self.id, "x".repeat(self.padding));
        format!("{{\"resourceType\":\"{kind}\",\"id\":\"{id}\",\"pad\":\"{padding}\",\"r\":[{}]}}\n", refers.join(","))
    }
}

/// What the blocks hold.
#[derive(Debug, Default)]
struct Blocks {
    /// By patient: the lines of its block, in order.
    lines: Vec<(String, Vec<String>)>,
    /// Files, by name: bytes, and whether the last block goes on.
    files: Vec<(u64, bool)>,
    context: Vec<(u64, u64)>,
    told: Vec<String>,
}

fn organized(given: &[Given], sizes: Sizes, file_bytes: u64, partitions: u64, workers: usize) -> Blocks {
    let home = tempfile::tempdir().unwrap();
    let sink = LocalSink::open(home.path()).unwrap();
    let types = TYPES.map(|(name, context)| (name.to_owned(), context));
    let spool = Spool::new(&types, partitions * sizes.sorted / 2, sizes);
    for one in given {
        let line = one.line();
        let id = if TYPES[one.kind].1 { Some(&one.id) } else { one.owner.as_ref() };
        let (id, len) = (id.map(String::as_bytes), line.len() as u64);
        let Some(mut partition) = spool.record(&sink, one.kind, id, len).unwrap() else { continue };
        // Large ones come in pieces.
        let (front, back) = line.as_bytes().split_at(line.len() / 3);
        partition.append(&sink, front).unwrap();
        partition.append(&sink, back).unwrap();
    }
    let (progress, cancel) = (Counting::default(), CancellationToken::new());
    let store = Store::new(&sink, Codec::None, file_bytes, usize::MAX);
    let target = Target { store: &store, progress: &progress, cancel: &cancel };
    let Made { files, context, told } = write(&target, spool, workers).unwrap();
    let mut found = Blocks { context, ..Blocks::default() };
    found.told = told.iter().map(OperationOutcome::to_json_line).collect();
    let mut continued = false;
    for whole in files {
        let stored = whole.file.commit().unwrap();
        let text = fs::read_to_string(home.path().join(&stored.name)).unwrap();
        found.files.push((stored.bytes, whole.continues));
        let mut resources = 0;
        for line in text.split_inclusive('\n') {
            let json: Value = serde_json::from_str(line).unwrap();
            if json["resourceType"] != "Parameters" {
                resources += 1;
                found.lines.last_mut().expect("a header comes first").1.push(line.to_owned());
                continue;
            }
            let patient = json["parameter"][0]["valueReference"]["reference"].as_str().unwrap();
            let expected = format!(
                "{{\"resourceType\":\"Parameters\",\"parameter\":[{{\"name\":\"header\",\"valueReference\":\
                 {{\"reference\":\"{patient}\"}}}}]}}\n"
            );
            assert_eq!(line, expected);
            if std::mem::take(&mut continued) {
                assert_eq!(found.lines.last().unwrap().0, patient, "the block goes on");
            } else {
                found.lines.push((patient.to_owned(), Vec::new()));
            }
        }
        assert_eq!(resources, whole.count, "headers are not counted");
        continued = whole.continues;
    }
    assert!(!continued, "the last file does not continue");
    let left = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.contains("scratch")).count(), 0, "what was set aside is gone");
    found
}

/// The lines of each block as they must be: the patient's own in the order of types, then context.
fn expected(given: &[Given]) -> BTreeMap<String, (Vec<String>, BTreeSet<String>)> {
    let context: BTreeMap<String, &Given> =
        given.iter().filter(|one| TYPES[one.kind].1).map(|one| (one.name(), one)).collect();
    let order = ["Patient", "Encounter", "Condition", "Observation"];
    let mut blocks: BTreeMap<String, Vec<&Given>> = BTreeMap::new();
    for one in given.iter().filter(|one| !TYPES[one.kind].1) {
        if let Some(owner) = &one.owner {
            blocks.entry(format!("Patient/{owner}")).or_default().push(one);
        }
    }
    let closure = |members: &[&Given]| {
        let mut open: Vec<String> = members.iter().flat_map(|one| one.refers.clone()).collect();
        let mut closed = BTreeSet::new();
        while let Some(name) = open.pop() {
            if let Some(found) = context.get(&name)
                && closed.insert(found.line())
            {
                open.extend(found.refers.clone());
            }
        }
        closed
    };
    blocks
        .into_iter()
        .map(|(patient, mut members)| {
            members.sort_by_key(|one| order.iter().position(|name| *name == TYPES[one.kind].0));
            let context = closure(&members);
            (patient, (members.iter().map(|one| one.line()).collect(), context))
        })
        .collect()
}

fn given() -> impl Strategy<Value = Vec<Given>> {
    // Few patients, one of them with most of the resources.
    let owner = prop_oneof![4 => Just(Some(0)), 6 => (0..9_u8).prop_map(Some), 1 => Just(None)];
    let refers = prop::collection::vec((0..3_u8, 0..12_u8), 0..4);
    let one = (0..TYPES.len(), owner, refers, prop_oneof![9 => 0..200_usize, 1 => 2000..6000_usize]);
    prop::collection::vec(one, 0..120).prop_map(|all| {
        let name =
            |(kind, id): (u8, u8)| format!("{}/{id}", ["Practitioner", "Organization", "Patient"][usize::from(kind)]);
        let mut counts = [0; TYPES.len()];
        let each = all.into_iter().map(|(kind, owner, refers, padding)| {
            let id = counts[kind].to_string();
            counts[kind] += 1;
            let owner = owner.map(|owner| owner.to_string());
            Given { kind, id, owner, refers: refers.into_iter().map(name).collect(), padding }
        });
        each.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    // F-20 F-21 F-22
    #[test]
    fn every_resource_stands_in_its_block(
        given in given(),
        sorted in prop_oneof![Just(1_u64), 200..20_000_u64],
        gathered in 40..3_000_usize,
        file_bytes in prop_oneof![Just(1_u64), 500..30_000_u64],
        partitions in 1..5_u64,
        workers in 1..4_usize,
    ) {
        let found = organized(&given, Sizes { sorted, gathered, most: 4 }, file_bytes, partitions, workers);
        let mut wanted = expected(&given);
        let count = |of: &str| given.iter().filter(|one| TYPES[one.kind].0 == of).count() as u64;
        let mut written: BTreeMap<&str, u64> = BTreeMap::new();
        for (patient, lines) in &found.lines {
            let (members, context) = wanted.remove(patient).expect("one block for each patient");
            let (own, copies) = lines.split_at(members.len());
            prop_assert_eq!(own, &members[..]);
            prop_assert_eq!(copies.len(), context.len());
            prop_assert_eq!(copies.iter().cloned().collect::<BTreeSet<_>>(), context);
            for copy in copies {
                let kind = TYPES.iter().find(|(name, _)| copy.contains(&format!("\"resourceType\":\"{name}\""))).unwrap();
                *written.entry(kind.0).or_default() += 1;
            }
        }
        prop_assert!(wanted.is_empty(), "{:?} have no block", wanted.keys());
        // Nothing vanishes: context is in a block or counted, and so are the resources of nobody.
        for (kind, (name, context)) in TYPES.iter().enumerate() {
            let (unused, copies) = found.context[kind];
            prop_assert_eq!(copies, if *context { written.get(name).copied().unwrap_or_default() } else { 0 });
            let used: BTreeSet<&String> = found.lines.iter().flat_map(|(_, lines)| lines)
                .filter(|line| *context && line.contains(&format!("\"resourceType\":\"{name}\""))).collect();
            prop_assert_eq!(unused, if *context { count(name) - used.len() as u64 } else { 0 });
            let nobodys = given.iter().filter(|one| one.kind == kind && !context && one.owner.is_none()).count();
            for (left, words) in [(unused, "not referred to"), (nobodys as u64, "without a patient")] {
                let told = found.told.iter().any(|line| line.contains(&format!("{left} {name} ")) && line.contains(words));
                prop_assert_eq!(told, left > 0, "{} {}", left, words);
            }
        }
        for (bytes, _) in &found.files {
            prop_assert!(*bytes <= file_bytes || file_bytes < 16_000, "{} of {}", bytes, file_bytes);
        }
    }
}

/// Resources of these patients: so many, of so many bytes.
fn of(patients: &[(&str, usize, usize)]) -> Vec<Given> {
    let one = |owner: &str, number: usize, padding| Given {
        kind: if number == 0 { 2 } else { 0 },
        id: if number == 0 { owner.to_owned() } else { format!("{owner}-{number}") },
        owner: Some(owner.to_owned()),
        refers: Vec::new(),
        padding,
    };
    patients
        .iter()
        .flat_map(|(owner, count, padding)| (0..*count).map(move |number| one(owner, number, *padding)))
        .collect()
}

// F-21
#[test]
fn only_a_block_that_is_larger_than_a_file_is_cut() {
    let given = of(&[("a", 3, 1000), ("b", 3, 1000), ("big", 12, 1000), ("c", 1, 10)]);
    for sizes in [SIZES, Sizes { sorted: 5_000, gathered: 100, most: 4 }] {
        let found = organized(&given, sizes, 5_000, 1, 1);
        let cut = found.files.iter().filter(|(_, continues)| *continues).count();
        assert_eq!(cut, 2, "{:?}", found.files);
        assert!(found.files.iter().all(|(bytes, _)| *bytes <= 5_000), "{:?}", found.files);
        assert_eq!(found.lines.len(), 4);
        // With room for all there is one file.
        assert_eq!(organized(&given, sizes, 1 << 20, 1, 1).files.len(), 1);
    }
}

#[test]
fn a_stopped_export_leaves_nothing_of_what_was_set_aside() {
    let home = tempfile::tempdir().unwrap();
    let sink = LocalSink::open(home.path()).unwrap();
    let spool = Spool::new(&[("Patient".to_owned(), false)], 0, Sizes { gathered: 1, ..SIZES });
    let mut partition = spool.record(&sink, 0, Some(b"a"), 3).unwrap().unwrap();
    partition.append(&sink, b"{}\n").unwrap();
    drop(partition);
    let (progress, cancel) = (Counting::default(), CancellationToken::new());
    cancel.cancel();
    let store = Store::new(&sink, Codec::None, 100, usize::MAX);
    let target = Target { store: &store, progress: &progress, cancel: &cancel };
    assert!(matches!(write(&target, spool, 2), Err(ExportError::Cancelled)));
    let names = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), [".smelt-export"]);
}
