//! Lists the pages of diagnostic codes, so that `smelt explain CODE` can show them.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const PAGES: &str = "docs/src/reference/diagnostics";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={PAGES}");
    let root = env::var("CARGO_MANIFEST_DIR")?;
    let mut codes = Vec::new();
    if let Ok(pages) = fs::read_dir(Path::new(&root).join(PAGES)) {
        for page in pages {
            let name = page?.file_name().into_string().unwrap_or_default();
            if let Some(code) = name.strip_suffix(".md").filter(|code| is_code(code)) {
                codes.push(code.to_owned());
            }
        }
    }
    codes.sort();
    let mut list = String::from("&[\n");
    for code in codes {
        let path = format!("\"/{PAGES}/{code}.md\"");
        writeln!(list, "(\"{code}\", include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path}))),")?;
    }
    list.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("diagnostic_pages.rs"), list)?;
    Ok(())
}

/// `M202`: a capital letter and three digits; anything else in the directory is not a page of a code.
fn is_code(name: &str) -> bool {
    name.len() == 4
        && name.bytes().enumerate().all(|(n, b)| if n == 0 { b.is_ascii_uppercase() } else { b.is_ascii_digit() })
}
