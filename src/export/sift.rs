//! Resources that are wanted, out of those that were made.

use std::io::{self, BufRead, Read as _};

use super::ExportError;
use super::keep::Sieve;
use super::spill::Spill;
use crate::encode::Settled;
use crate::plan::reduce::MARK;

/// The end of a resource; shorter than a mark.
pub(super) const CLOSE: &[u8] = b"}\n";

/// Keeps the resources that are wanted, and counts the others. The first may have its beginning in the spill, which is
/// emptied when that one is left out. What only the search looks at is cut off (K-69).
pub(super) fn sift(
    only: &impl Sieve,
    settled: &mut Settled,
    begun: bool,
    spill: &mut Spill,
) -> Result<u64, ExportError> {
    let (mut kept, mut at, mut left_out) = (0, 0, 0);
    let bytes = &mut settled.bytes;
    while let Some(length) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n')) {
        let end = at + length + 1;
        let line = bytes.get(at..end).unwrap_or_default();
        // What an earlier sieve left out has left nothing in the spill.
        let first_part = begun && at == 0 && !spill.is_empty();
        let found = if first_part { only.wants(spill.reader()?.chain(line))? } else { only.wants(line)? };
        if found {
            let mut cut = mark(line)?;
            if first_part && cut.is_none() {
                let begins = mark(spill.reader()?)?;
                cut = begins.map(|_| 0);
                begins.map_or(Ok(()), |begins| spill.cut(begins as u64))?;
            }
            bytes.copy_within(at..at + cut.unwrap_or(end - at), kept);
            kept += cut.unwrap_or(end - at);
            if cut.is_some() {
                bytes.get_mut(kept..kept + CLOSE.len()).into_iter().for_each(|rest| rest.copy_from_slice(CLOSE));
                kept += CLOSE.len();
            }
        } else {
            left_out += 1;
            if first_part {
                spill.cut(0)?;
            }
        }
        at = end;
    }
    bytes.truncate(kept);
    settled.resources -= left_out;
    Ok(left_out)
}

/// Where [`MARK`] begins. It is never divided between spill and buffer: it is written at once, and a comma before it
/// stays in the buffer.
pub(super) fn mark(mut text: impl BufRead) -> io::Result<Option<usize>> {
    let tab = MARK.iter().take_while(|byte| **byte != b'\t').count();
    let mut before = 0;
    loop {
        let chunk = text.fill_buf()?;
        if let Some(at) = chunk.iter().position(|byte| *byte == b'\t') {
            return Ok((before + at).checked_sub(tab));
        }
        let length = chunk.len();
        if length == 0 {
            return Ok(None);
        }
        before += length;
        text.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::Search;
    use crate::plan::search::{Ask, Parameter, Test, Token, Wanted};

    fn code(code: &str) -> Search {
        let token = Token { system: None, code: Some(code.to_owned()) };
        let parameter = Parameter { code: "code".to_owned(), ask: Ask::Token(vec![token]) };
        let test = Test::new("Observation", &parameter, &|_| true).unwrap();
        Search::new(&Wanted { any: vec![vec![test]], none: Vec::new() }, "UTC").unwrap()
    }

    fn line(id: &str, code: &str, marked: bool) -> String {
        let mark = if marked { std::str::from_utf8(MARK).unwrap() } else { "" };
        format!(r#"{{"id":"{id}"{mark},"code":{{"coding":[{{"code":"{code}"}}]}}}}"#) + "\n"
    }

    // K-69: wherever the resource was divided between spill and buffer.
    #[test]
    fn what_only_the_search_looks_at_is_cut_off() {
        let lines = [("a", "x"), ("b", "y"), ("c", "x")].map(|(id, code)| line(id, code, true));
        let text = lines.concat();
        for divided in 0..lines[0].len() - 2 {
            if (text.find(",\"\":").unwrap() + 1..=text.find("\t0").unwrap() + 1).contains(&divided) {
                continue;
            }
            for (wanted, want, count) in
                [("x", "{\"id\":\"a\"}\n{\"id\":\"c\"}\n", 1), ("y", "{\"id\":\"b\"}\n", 2), ("z", "", 3)]
            {
                let mut spill = Spill::default();
                spill.push(&text.as_bytes()[..divided]).unwrap();
                let mut settled = Settled { bytes: text.as_bytes()[divided..].to_vec(), resources: 3 };
                let left_out = sift(&code(wanted), &mut settled, divided > 0, &mut spill).unwrap();
                let mut whole = Vec::new();
                spill.reader().unwrap().read_to_end(&mut whole).unwrap();
                whole.extend(settled.bytes);
                assert_eq!((String::from_utf8(whole).unwrap().as_str(), left_out), (want, count), "at {divided}");
                assert_eq!(settled.resources, 3 - count);
            }
        }
    }

    #[test]
    fn what_has_no_mark_stays_whole() {
        let text = line("a", "x", false);
        let mut settled = Settled { bytes: text.clone().into_bytes(), resources: 1 };
        assert_eq!(sift(&code("x"), &mut settled, false, &mut Spill::default()).unwrap(), 0);
        assert_eq!(settled.bytes, text.as_bytes());
    }
}
