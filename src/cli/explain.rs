//! `smelt explain CODE`.

use super::failure::Failure;

/// Code and page of every diagnostic, ordered by code; listed by `build.rs` from the book.
pub const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/diagnostic_pages.rs"));

/// True for the form of a code: a letter and three digits.
pub(super) fn is_code(text: &str) -> bool {
    let mut bytes = text.trim().bytes();
    let letter = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic());
    letter && bytes.len() == 3 && bytes.all(|byte| byte.is_ascii_digit())
}

/// The page.
pub(super) fn run(code: &str) -> Result<String, Failure> {
    page(PAGES, code)
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
    fn a_code_is_a_letter_and_three_digits() {
        for (text, code) in [("M202", true), (" r405 ", true), ("M20", false), ("M2020", false), ("m-20", false)] {
            assert_eq!(is_code(text), code, "{text}");
        }
    }

    #[test]
    fn a_page_or_its_neighbours() {
        let pages = [("M201", "# M201\n"), ("M202", "# M202\n"), ("M301", "# M301\n")];
        assert_eq!(page(&pages, "m202").unwrap(), "# M202\n");
        let failure = page(&pages, "M203").unwrap_err();
        assert_eq!(failure.help.as_deref(), Some("Codes like it: M201, M202."));
        assert!(page(&pages, "patient").unwrap_err().help.is_some());
    }
}
