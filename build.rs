//! Lists the files that the binary carries: the pages of diagnostic codes, which `smelt explain CODE` shows, and the
//! pack of `smelt demo`.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

const PAGES: &str = "docs/src/reference/diagnostics";
const PACK: [&str; 2] = ["mappings/synthea", "sql/synthea"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let pages = files(PAGES)?;
    let pages = pages.iter().filter_map(|path| Some((path, stem(path, ".md").filter(|code| is_code(code))?)));
    write("diagnostic_pages.rs", pages)?;

    let mut pack = Vec::new();
    for directory in PACK {
        pack.extend(files(directory)?);
    }
    // As src/config/pack.rs reads them; a test compares.
    let endings = ["yaml", "yml", "csv", "json", "lock", "sql"];
    let is_read = |path: &&String| endings.iter().any(|ending| path.ends_with(&format!(".{ending}")));
    write("demo_pack.rs", pack.iter().filter(is_read).map(|path| (path, path.as_str())))
}

/// Every file below a directory of the repository, in the order of their paths.
fn files(directory: &str) -> io::Result<Vec<String>> {
    println!("cargo::rerun-if-changed={directory}");
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(Path::new(&root).join(directory))? {
        let entry = entry?;
        let path = format!("{directory}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

/// Writes a list of names and contents.
fn write<'a>(name: &str, list: impl Iterator<Item = (&'a String, &'a str)>) -> Result<(), Box<dyn Error>> {
    let mut text = String::from("&[\n");
    for (path, name) in list {
        writeln!(text, "({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {:?}))),", format!("/{path}"))?;
    }
    text.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join(name), text)?;
    Ok(())
}

fn stem<'a>(path: &'a str, ending: &str) -> Option<&'a str> {
    path.rsplit('/').next()?.strip_suffix(ending)
}

/// `M202`: a capital letter and three digits; anything else in the directory is not a page of a code.
fn is_code(name: &str) -> bool {
    name.len() == 4
        && name.bytes().enumerate().all(|(n, b)| if n == 0 { b.is_ascii_uppercase() } else { b.is_ascii_digit() })
}
