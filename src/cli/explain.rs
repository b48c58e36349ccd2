//! `smelt explain CODE`.

use super::args::ExplainArgs;
use super::failure::Failure;

/// Code and page of every diagnostic, ordered by code; listed by `build.rs` from the book.
pub const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/diagnostic_pages.rs"));

/// The page.
pub(super) fn run(args: &ExplainArgs) -> Result<String, Failure> {
    page(PAGES, &args.code)
}

fn page(pages: &[(&str, &str)], asked: &str) -> Result<String, Failure> {
    let code = asked.trim().to_ascii_uppercase();
    if let Some((_, page)) = pages.iter().find(|(known, _)| *known == code) {
        return Ok((*page).to_owned());
    }
    let near: Vec<&str> =
        pages.iter().map(|(known, _)| *known).filter(|known| strsim::levenshtein(known, &code) == 1).collect();
    let help = if near.is_empty() {
        "A code stands in brackets behind `error` or `warning`, as in `error[M202]`.".to_owned()
    } else {
        format!("Codes like it: {}.", near.join(", "))
    };
    Err(Failure::usage(format!("no diagnostic has the code `{asked}`"), help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_or_its_neighbours() {
        let pages = [("M201", "# M201\n"), ("M202", "# M202\n"), ("M301", "# M301\n")];
        assert_eq!(page(&pages, "m202").unwrap(), "# M202\n");
        let failure = page(&pages, "M203").unwrap_err();
        assert_eq!(failure.help.as_deref(), Some("Codes like it: M201, M202."));
        assert!(page(&pages, "patient").unwrap_err().help.is_some());
    }
}
