use super::*;

/// A ledger of a mapping in a directory of its own.
struct Bench {
    home: tempfile::TempDir,
}

fn sorted(ids: &[&str]) -> Sorted {
    // Every other id makes a run of its own.
    let mut sorter = Sorter::with_buffer(8);
    for id in ids {
        sorter.add(id.as_bytes()).unwrap();
    }
    sorter.sorted().unwrap()
}

impl Bench {
    fn path(&self) -> PathBuf {
        self.home.path().join("p.m.ids.zst")
    }

    /// What an export at `at` leaves, of which `ids` are in the snapshot.
    fn merge(&self, at: i64, ids: &[&str]) -> Result<(), ExportError> {
        let old = Old::open(&self.path())?;
        let since = old.as_ref().map_or(at, |old| old.header.since);
        let header = Header { format: store::FORMAT, identity: "i".to_owned(), since, until: at };
        let mut part = Part::create(&self.path(), &header)?;
        union(old, &mut sorted(ids), at, &CancellationToken::new(), |id, missed| Ok(part.add(id, missed)?))?;
        Ok(part.end()?.install()?)
    }

    fn lines(&self) -> Result<Vec<(String, Option<i64>)>, LedgerError> {
        let mut old = Old::open(&self.path())?.expect("a ledger");
        let mut lines = Vec::new();
        while let Some(line) = old.next()? {
            lines.push((String::from_utf8(line.id).unwrap(), line.missed));
        }
        Ok(lines)
    }
}

fn bench() -> Bench {
    Bench { home: tempfile::tempdir().unwrap() }
}

#[test]
fn ids_are_sorted_by_bytes_whatever_the_buffer_and_come_once() {
    let mut ids = sorted(&["b", "a-long-one", "B", "a", "10", "9", "a", "a-"]);
    let mut found = Vec::new();
    while let Some(id) = ids.next().unwrap() {
        found.push(String::from_utf8(id).unwrap());
    }
    assert_eq!(found, ["10", "9", "B", "a", "a-", "a-long-one", "b"]);
    assert!(sorted(&[]).next().unwrap().is_none());

    // More runs than are open at a time.
    let many: Vec<String> = (0..1000).rev().map(|n| format!("{n:06}")).collect();
    let mut ids = sorted(&many.iter().map(String::as_str).collect::<Vec<_>>());
    for want in many.iter().rev() {
        assert_eq!(ids.next().unwrap().as_deref(), Some(want.as_bytes()));
    }
    assert!(ids.next().unwrap().is_none());
}

#[test]
fn what_is_missed_keeps_the_time_until_it_is_there_again() {
    let bench = bench();
    let lines = |want: &[(&str, Option<i64>)]| {
        let want: Vec<(String, Option<i64>)> = want.iter().map(|(id, at)| ((*id).to_owned(), *at)).collect();
        assert_eq!(bench.lines().unwrap(), want);
    };
    bench.merge(1, &["c", "a", "d"]).unwrap();
    lines(&[("a", None), ("c", None), ("d", None)]);
    bench.merge(2, &["b", "c"]).unwrap();
    lines(&[("a", Some(2)), ("b", None), ("c", None), ("d", Some(2))]);
    bench.merge(3, &["d"]).unwrap();
    lines(&[("a", Some(2)), ("b", Some(3)), ("c", Some(3)), ("d", None)]);
    bench.merge(4, &[]).unwrap();
    lines(&[("a", Some(2)), ("b", Some(3)), ("c", Some(3)), ("d", Some(4))]);
    assert_eq!(Old::open(&bench.path()).unwrap().unwrap().header.since, 1);
}

#[test]
fn what_was_not_installed_leaves_the_old_one() {
    let bench = bench();
    bench.merge(1, &["a"]).unwrap();
    let header = Header { format: store::FORMAT, identity: "i".to_owned(), since: 1, until: 2 };
    let mut part = Part::create(&bench.path(), &header).unwrap();
    part.add(b"b", None).unwrap();
    drop(part.end().unwrap());
    assert_eq!(bench.lines().unwrap(), [("a".to_owned(), None)]);
    assert_eq!(std::fs::read_dir(bench.home.path()).unwrap().count(), 1);
}

#[test]
fn a_damaged_ledger_is_refused() {
    let bench = bench();
    bench.merge(1, &["a", "b", "c"]).unwrap();
    let whole = std::fs::read(bench.path()).unwrap();
    let refused = |bytes: &[u8]| {
        std::fs::write(bench.path(), bytes).unwrap();
        matches!(bench.lines(), Err(LedgerError::Damaged { .. }))
    };
    let lines = bench.lines().unwrap();
    for end in 0..whole.len() {
        assert!(refused(&whole[..end]), "{end} of {} bytes", whole.len());
    }
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        // Some bits of a frame's header change nothing that is read.
        assert!(refused(&bytes) || bench.lines().unwrap() == lines, "a bit of byte {at}");
    }
    let text = zstd_of(&format!("{}\nb\na\n#2\n", serde_json::to_string(&header()).unwrap()));
    assert!(refused(&text), "not in order");
    let other = Header { format: store::FORMAT + 1, ..header() };
    assert!(refused(&zstd_of(&format!("{}\n#0\n", serde_json::to_string(&other).unwrap()))), "another form");
    assert!(!refused(&whole));
}

fn header() -> Header {
    Header { format: store::FORMAT, identity: "i".to_owned(), since: 1, until: 1 }
}

fn zstd_of(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 1).unwrap()
}

#[test]
fn one_export_merges_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    let (free, stopped) = (CancellationToken::new(), CancellationToken::new());
    stopped.cancel();
    let held = lock(home.path(), &free).unwrap();
    assert!(matches!(lock(home.path(), &stopped), Err(ExportError::Cancelled)), "it waits, until it is stopped");
    drop(held);
    assert!(lock(home.path(), &stopped).is_ok());
}

#[test]
fn names_are_plain() {
    assert_eq!(file_name("mercy", "adt/visit"), "mercy.adt~visit.ids.zst");
}
