//! The tests every sink must pass.

use super::{Codec, Sink, SinkError, SinkFile};

/// What is visible under its name, with its bytes; none for a sink that stores nothing.
type Visible = Option<Vec<(String, Vec<u8>)>>;

/// Runs them all on a fresh sink, and finishes it.
pub(super) fn holds<S: Sink>(sink: &S, visible: impl Fn() -> Visible) {
    commit_makes_visible(sink, &visible);
    drop_leaves_nothing(sink, &visible);
    names_are_plain_and_used_once(sink);
    large_writes_and_threads(sink, &visible);
    scratch_is_read_back_and_not_seen(sink, &visible);
    sink.finish().unwrap();
    let names = |files: Vec<(String, Vec<u8>)>| files.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    if let Some(files) = visible() {
        assert_eq!(names(files), ["a.ndjson", "b.ndjson.gz", "big-0.zst", "big-1.zst", "empty"]);
    }
}

fn commit_makes_visible<S: Sink>(sink: &S, visible: &impl Fn() -> Visible) {
    let mut file = sink.create("a.ndjson", Codec::None).unwrap();
    file.write(b"one\n").unwrap();
    file.write(b"two\n").unwrap();
    assert_eq!(file.raw_bytes(), 8);
    assert_eq!(visible().unwrap_or_default(), [], "visible before commit");
    file.end().unwrap();
    file.seal().unwrap();
    assert_eq!(visible().unwrap_or_default(), [], "visible when sealed");
    let stored = file.commit().unwrap();
    assert_eq!((stored.name.as_str(), stored.raw_bytes), ("a.ndjson", 8));
    if let Some(files) = visible() {
        assert_eq!(files, [("a.ndjson".to_owned(), b"one\ntwo\n".to_vec())]);
        assert_eq!(stored.bytes, 8);
        let sha256 = "c3f9c8c283a2b1f2f1896f27a01cbe3cddc0c9d93f752e4639035a0f5b36f6e8";
        assert_eq!(stored.sha256.as_deref(), Some(sha256));
    }
    let stored = sink.create("b.ndjson", Codec::Gzip).unwrap().commit().unwrap();
    assert_eq!((stored.name.as_str(), stored.raw_bytes), ("b.ndjson.gz", 0));
    let stored = sink.create("empty", Codec::None).unwrap().commit().unwrap();
    assert_eq!((stored.bytes, stored.raw_bytes), (0, 0));
}

fn drop_leaves_nothing<S: Sink>(sink: &S, visible: &impl Fn() -> Visible) {
    let before = visible();
    let mut file = sink.create("dropped", Codec::None).unwrap();
    file.write(&vec![0; 1 << 20]).unwrap();
    drop(file);
    assert_eq!(visible(), before);
    let mut file = sink.create("sealed", Codec::Gzip).unwrap();
    file.write(b"x").unwrap();
    file.seal().unwrap();
    drop(file);
    let mut file = sink.create("ended", Codec::None).unwrap();
    file.write(&vec![0; 1 << 20]).unwrap();
    file.end().unwrap();
    drop(file);
    assert_eq!(visible(), before);
}

fn names_are_plain_and_used_once<S: Sink>(sink: &S) {
    for name in ["", ".", "..", ".hidden", "a/b", "/etc/x", "a\nb", "a\\b"] {
        assert!(matches!(sink.create(name, Codec::None), Err(SinkError::Name { .. })), "{name:?}");
    }
    for name in ["a.ndjson", "dropped"] {
        assert!(matches!(sink.create(name, Codec::None), Err(SinkError::Duplicate { .. })), "{name}");
    }
}

fn scratch_is_read_back_and_not_seen<S: Sink>(sink: &S, visible: &impl Fn() -> Visible) {
    let before = visible();
    let (mut scratch, other) = (sink.scratch().unwrap(), sink.scratch().unwrap());
    scratch.append(b"one").unwrap();
    scratch.append_zeros(2).unwrap();
    scratch.append(b"two").unwrap();
    scratch.write_at(b"!", 3).unwrap();
    let mut all = [0; 8];
    scratch.read_at(&mut all, 0).unwrap();
    assert_eq!((&all, scratch.bytes(), other.bytes()), (b"one!\0two", 8, 0));
    assert!(scratch.read_at(&mut all, 1).is_err(), "beyond its end");
    assert_eq!(visible(), before);
}

fn large_writes_and_threads<S: Sink>(sink: &S, visible: &impl Fn() -> Visible) {
    let bytes: Vec<u8> = (0..400_001_u32).flat_map(u32::to_le_bytes).collect();
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let bytes = &bytes;
            scope.spawn(move || {
                let mut file = sink.create(&format!("big-{worker}"), Codec::Zstd).unwrap();
                let (first, rest) = bytes.split_at(10);
                file.write(first).unwrap();
                file.write(rest).unwrap();
                assert_eq!(file.commit().unwrap().raw_bytes, bytes.len() as u64);
            });
        }
    });
    for (name, stored) in visible().unwrap_or_default() {
        if name.starts_with("big") {
            assert!(zstd::decode_all(stored.as_slice()).unwrap() == bytes, "{name}");
        }
    }
}
