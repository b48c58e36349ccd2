//! The book says what the program does: pages, links, samples, messages.
//!
//! `BLESS=1 cargo test docs` writes generated parts and the messages of diagnostics anew.
#![expect(clippy::unwrap_used, reason = "a test ends where the book cannot be read")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use smelt::bulk::manifest::{Manifest, ManifestExtension, ManifestFile, Stored};
use smelt::bulk::report::{FileReport, MappingReport, Report, Request, Timings, Versions, Watermark};
use smelt::cli::reference;
use smelt::fhir::alias;
use smelt::mapping::catalogue::CODES;
use smelt::mapping::check::check;
use smelt::mapping::diagnostic::{Diagnostic, Severity};
use smelt::mapping::pack::{Layer, PackFiles, load};
use smelt::mapping::render;
use smelt::mapping::source::{SourceId, Sources};
use smelt::mapping::tree::{Pack, RowsKind};
use smelt::mapping::yaml::{self, Node};
use smelt::plan::bind::row_sources;
use smelt::plan::catalog::{Catalog, Column, RowSource};
use smelt::plan::compile::compile;
use smelt::row::PgKind;

use crate::rust_text::{files, root};

const BOOK: &str = "docs/src";

/// Pages of codes whose example is no pack: what PostgreSQL, `columns.lock`, tests or rows show.
const WITHOUT_EXAMPLE: &[&str] =
    &["M308", "M309", "M313", "M314", "M315", "M801", "R204", "R205", "R206", "R405", "R501", "R503"];

/// Every page: its path below the book, its text.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages: Vec<(PathBuf, String)> = files(BOOK)
        .unwrap()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| (path.strip_prefix(BOOK).unwrap().to_owned(), fs::read_to_string(root().join(&path)).unwrap()))
        .collect();
    pages.sort();
    assert!(pages.len() > 80, "{} pages", pages.len());
    pages
}

fn page(code: &str) -> PathBuf {
    Path::new(BOOK).join(format!("reference/diagnostics/{code}.md"))
}

/// Compares a page with what it should be, or writes it.
fn hold(path: &Path, want: &str) -> Option<String> {
    let path = root().join(path);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, want).unwrap();
    }
    let have = fs::read_to_string(&path).unwrap_or_default();
    (have != want).then(|| format!("{} is stale; run `BLESS=1 cargo test docs`", path.display()))
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let codes: BTreeSet<String> = CODES.iter().map(|info| format!("{}.md", info.code)).collect();
    let pages: BTreeSet<String> = fs::read_dir(root().join(BOOK).join("reference/diagnostics"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "index.md")
        .collect();
    assert_eq!(pages, codes);
    let mut found = Vec::new();
    for info in CODES {
        let text = fs::read_to_string(root().join(page(info.code))).unwrap();
        if !text.contains("\n## Fix\n") {
            found.push(format!("{} does not say how to fix it", info.code));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn generated_parts_are_fresh() {
    let mut found = Vec::new();
    for (path, text) in pages().into_iter().filter(|(_, text)| text.contains("<!-- generated: ")) {
        let path = Path::new(BOOK).join(path);
        let want = reference::fill(&text).unwrap_or_else(|name| panic!("{}: no part `{name}`", path.display()));
        found.extend(hold(&path, &want));
    }
    let path = Path::new(BOOK).join("SUMMARY.md");
    found.extend(hold(&path, &reference::summary(&fs::read_to_string(root().join(&path)).unwrap())));
    let text: String = pages().into_iter().map(|(_, text)| text).collect();
    for (name, _) in reference::PARTS {
        assert!(text.contains(&format!("<!-- generated: {name} -->")), "no page shows `{name}`");
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

// ---- links ----------------------------------------------------------------------------------------------------

/// Lines of a page that stand outside fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// Targets of links, inline code left out.
fn links(text: &str) -> Vec<String> {
    let plain: String = prose(text).flat_map(|line| [line.split('`').step_by(2).collect(), "\n".to_owned()]).collect();
    plain.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

/// The anchors of a page's headings, as mdBook makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let slug = |heading: &str| -> String {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    prose(text).filter(|line| line.starts_with('#')).map(|line| slug(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn links_lead_somewhere() {
    let pages: BTreeMap<PathBuf, String> = pages().into_iter().collect();
    let mut found = Vec::new();
    for (path, text) in &pages {
        for link in links(text).iter().filter(|link| !link.contains("://")) {
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let mut at = if target.is_empty() { path.clone() } else { path.parent().unwrap().to_owned() };
            for step in Path::new(target) {
                if step == ".." {
                    at.pop();
                } else {
                    at.push(step);
                }
            }
            match pages.get(&at) {
                None => found.push(format!("{}: no page {link}", path.display())),
                Some(text) if !anchor.is_empty() && !anchors(text).contains(anchor) => {
                    found.push(format!("{}: no heading {link}", path.display()));
                }
                Some(_) => {}
            }
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn links_and_headings_are_found() {
    let text = "# A `b.c` d_e\n[x](y.md#z) `[n](o)`\n```\n[p](q)\n# no\n```\n[r](s.md)\n";
    assert_eq!(links(text), ["y.md#z", "s.md"]);
    assert_eq!(anchors(text), BTreeSet::from(["a-bc-d_e".to_owned()]));
}

#[test]
fn every_page_is_in_the_summary_once() {
    let pages = pages();
    let (_, summary) = pages.iter().find(|(path, _)| path == Path::new("SUMMARY.md")).unwrap();
    let mut listed: Vec<PathBuf> = links(summary).into_iter().map(PathBuf::from).collect();
    listed.sort();
    let all: Vec<PathBuf> =
        pages.iter().map(|(path, _)| path.clone()).filter(|path| path != Path::new("SUMMARY.md")).collect();
    assert_eq!(listed, all);
}

// ---- samples --------------------------------------------------------------------------------------------------

/// A fenced block.
#[derive(Debug)]
struct Sample {
    /// What stands behind the fence: `yaml,mapping`.
    info: String,
    /// The file it is, where the line before names one: `mappings/patient.yaml`.
    file: Option<String>,
    text: String,
}

fn samples(text: &str) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut above = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let file = above.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).map(str::to_owned);
            let text = body.iter().flat_map(|line| [line, "\n"]).collect();
            samples.push(Sample { info: info.to_owned(), file, text });
            above = "";
        } else if !line.is_empty() {
            above = line;
        }
    }
    samples
}

#[test]
fn samples_are_found() {
    let found = samples("x\n\n`a/b.yaml`\n\n```yaml,mapping\nk: v\n```\n\n```csv\nc\n```\n");
    let shown: Vec<_> = found.iter().map(|one| (&*one.info, one.file.as_deref(), &*one.text)).collect();
    assert_eq!(shown, [("yaml,mapping", Some("a/b.yaml"), "k: v\n"), ("csv", None, "c\n")]);
}

fn parse(text: &str) -> Option<Node> {
    let mut out = Vec::new();
    yaml::parse(SourceId(0), text, &mut out).filter(|_| out.is_empty())
}

#[test]
fn yaml_samples_are_what_they_say() {
    let mut found = Vec::new();
    let mut count = 0;
    for (path, text) in pages() {
        for sample in samples(&text).into_iter().filter(|sample| sample.info.starts_with("yaml")) {
            count += 1;
            let kind = sample.info.strip_prefix("yaml,").unwrap_or("");
            if kind == "wrong" {
                continue;
            }
            let has = |node: &Node, keys: &[&str]| keys.iter().all(|key| node.get(key).is_some());
            let fits = parse(&sample.text).is_some_and(|node| match kind {
                "mapping" => has(&node, &["key", "resource"]),
                "project" => has(&node, &["format"]),
                "fragment" => has(&node, &["type", "value"]),
                "patch" => has(&node, &["extends", "resource"]),
                "test" => node.items().is_some_and(|all| all.iter().all(|test| has(test, &["name", "row"]))),
                "part" => node.entries().is_some(),
                "clients" | "clients-external" => has(&node, &["clients"]),
                _ => false,
            });
            if !fits {
                found.push(format!("{}: no {kind}:\n{}", path.display(), sample.text));
            }
        }
    }
    assert!(count > 60, "{count} samples");
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// The pack of a page's files, as one layer; `project.yaml` is the smallest there is unless the page shows one.
fn pack(samples: &[Sample]) -> PackFiles {
    let mut files: BTreeMap<String, String> =
        samples.iter().filter_map(|sample| Some((sample.file.clone()?, sample.text.clone()))).collect();
    files.entry("mappings/project.yaml".to_owned()).or_insert_with(|| "format: 1\nfhir: 4.0.1\n".to_owned());
    PackFiles { layers: vec![Layer { name: "mappings".to_owned(), files: files.into_iter().collect() }] }
}

/// Names that a sample takes from the rest of its pack: SQL files, mappings, code maps, fragments, aliases.
const ELSEWHERE: &[&str] = &["M107", "M401", "M504", "M604", "M209"];

#[test]
fn mapping_samples_have_no_mistake() {
    let mut found = Vec::new();
    for (path, text) in pages() {
        for mut sample in samples(&text).into_iter().filter(|sample| sample.info == "yaml,mapping") {
            sample.file = Some(sample.file.unwrap_or_else(|| "mappings/sample.yaml".to_owned()));
            let zone = "format: 1\nfhir: 4.0.1\ntimezone: America/New_York\n";
            let project =
                Sample { info: String::new(), file: Some("mappings/project.yaml".to_owned()), text: zone.to_owned() };
            let checked = check(load(&pack(&[project, sample]), alias::builtins()));
            let mistakes: Vec<Diagnostic> =
                checked.diagnostics.into_iter().filter(|one| !ELSEWHERE.contains(&one.code)).collect();
            if mistakes.iter().any(|one| one.severity == Severity::Error) {
                found.push(format!("{}\n{}", path.display(), render::text(&mistakes, &checked.sources, false)));
            }
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

// ---- messages -------------------------------------------------------------------------------------------------

/// The tables of a page: `create table schema.name (column type, …)`.
fn tables(samples: &[Sample]) -> BTreeMap<String, RowSource> {
    let statements = samples.iter().filter(|sample| sample.info == "sql" && sample.file.is_none());
    let statements = statements.flat_map(|sample| sample.text.split(';'));
    statements
        .filter_map(|statement| {
            let (name, columns) = statement.trim().strip_prefix("create table ")?.split_once(" (")?;
            let columns = columns.strip_suffix(')')?.split(", ").map(|column| {
                let (name, kind) = column.split_once(' ').unwrap();
                Column { name: name.to_owned(), kind: PgKind::from_sql_name(kind), origin: None }
            });
            Some((name.to_owned(), RowSource { columns: columns.collect() }))
        })
        .collect()
}

fn catalog(pack: &Pack, tables: &BTreeMap<String, RowSource>) -> Catalog {
    let rows = row_sources(pack).into_iter().filter_map(|source| match &source.rows.kind {
        RowsKind::Table { schema: Some(schema), name } => {
            Some((source.name, tables.get(&format!("{schema}.{name}"))?.clone()))
        }
        _ => None,
    });
    Catalog { rows: rows.collect() }
}

/// What smelt says about a page's example.
fn diagnose(samples: &[Sample]) -> (Vec<Diagnostic>, Sources) {
    let checked = check(load(&pack(samples), alias::builtins()));
    let mut diagnostics = checked.diagnostics;
    if let Some(pack) = &checked.pack {
        diagnostics.extend(compile(pack, &checked.sources, &catalog(pack, &tables(samples))).1);
    }
    (diagnostics, checked.sources)
}

#[test]
fn diagnostic_pages_are_fresh() {
    let mut found = Vec::new();
    for info in CODES {
        let path = page(info.code);
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let title = reference::diagnostic_title(info.code).unwrap();
        // Title, empty line, severity and meaning.
        let text: String = text.split_inclusive('\n').skip(3).collect();
        let shown = if WITHOUT_EXAMPLE.contains(&info.code) { Ok(text) } else { with_message(info.code, &text) };
        match shown {
            Ok(text) => found.extend(hold(&path, &format!("{title}{text}"))),
            Err(mistake) => found.push(mistake),
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// The page with the message that its example gives.
fn with_message(code: &str, text: &str) -> Result<String, String> {
    let (before, rest) = text.split_once("\n```text\n").ok_or_else(|| format!("{code} shows no message"))?;
    let (_, after) = rest.split_once("```\n").ok_or_else(|| format!("the message of {code} has no end"))?;
    let (diagnostics, sources) = diagnose(&samples(before));
    let message = render::text(&diagnostics, &sources, false);
    if diagnostics.is_empty() || diagnostics.iter().any(|one| one.code != code) {
        return Err(format!("the example of {code} gives something else:\n{message}"));
    }
    // Without the count at its end.
    let message = message.trim_end().rsplit_once("\n\n").map_or("", |(message, _)| message);
    Ok(format!("{before}\n```text\n{message}\n```\n{after}"))
}

// ---- output ---------------------------------------------------------------------------------------------------

/// Every key of a JSON document, at any depth.
fn keys(value: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                found.insert(key.clone());
                keys(value, found);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

#[test]
fn every_key_of_the_output_is_described() {
    let stored = Stored { stored_size: 0, sha256: Some(String::new()), content_encoding: Some("gzip".to_owned()) };
    let file = ManifestFile {
        resource_type: "Patient".to_owned(),
        url: String::new(),
        continues_in_file: Some(String::new()),
        count: 0,
        file_size: 0,
        stored,
    };
    let manifest = Manifest {
        transaction_time: String::new(),
        request: String::new(),
        requires_access_token: false,
        output_organized_by: Some(String::new()),
        output: vec![file],
        deleted: Some(Vec::new()),
        outcome: Vec::new(),
        extension: ManifestExtension { software: String::new(), pack: String::new(), pack_digest: String::new() },
    };
    let text = String::new;
    let report = Report {
        format: 1,
        versions: Versions { smelt: text(), fhir: text(), postgresql: text(), pack: text(), pack_digest: text() },
        request: Request {
            types: Vec::new(),
            since: None,
            until: None,
            organized_by: None,
            patient_count: None,
            associated: Vec::new(),
            workers: 1,
        },
        watermark: Watermark { transaction_time: text(), quality: text() },
        timings: Timings { plan_seconds: 0.0, export_seconds: 0.0 },
        mappings: vec![MappingReport::default()],
        files: vec![FileReport {
            name: text(),
            resource_type: "Patient".to_owned(),
            count: 0,
            bytes: 0,
            stored_bytes: 0,
            sha256: None,
        }],
    };
    let page = fs::read_to_string(root().join(BOOK).join("reference/manifest.md")).unwrap();
    let mut found = BTreeSet::new();
    for json in [manifest.to_file_json().unwrap(), report.to_json().unwrap()] {
        keys(&serde_json::from_slice(&json).unwrap(), &mut found);
    }
    assert!(found.len() > 40, "{found:?}");
    let described = |key: &&String| {
        page.contains(&format!("`{key}`"))
            || page.contains(&format!(".{key}`"))
            || page.contains(&format!("\"{key}\":"))
    };
    let missing: Vec<&String> = found.iter().filter(|key| !described(key)).collect();
    assert!(missing.is_empty(), "reference/manifest.md does not describe {missing:?}");
}
