//! Headers are read whatever they are: `Prefer`, and those that are negotiated with.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smelt::bulk::accept::{self, Coding};
use smelt::bulk::prefer::Prefer;

fuzz_target!(|headers: Vec<&str>| {
    let all = || headers.iter().copied();
    let prefer = Prefer::read(all());
    assert_eq!(prefer.applied().is_some(), prefer.separate_status);
    accept::accepts_json(all());
    let chosen = accept::encodings(all()).choose(&[Coding::Gzip, Coding::Zstd, Coding::Identity]);
    let named = |name: &str| all().any(|header| header.to_ascii_lowercase().contains(name));
    assert!(chosen != Some(Coding::Gzip) || named("gzip"));
    assert!(chosen != Some(Coding::Zstd) || named("zstd"));
});
