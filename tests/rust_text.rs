//! Rust sources as the house tests read them: without comments, strings and test-only items.

use std::io;
use std::path::{Path, PathBuf};

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `directory` (relative to the root), with its path relative to the root; hidden ones, build
/// output and fetched test data excepted.
pub(crate) fn files(directory: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![root().join(directory)];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let skipped = (name.starts_with('.') && name != ".ci") || name == "target" || name == "book";
            if skipped {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else if let Ok(path) = path.strip_prefix(root()) {
                found.push(path.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The Rust files below `directory`, with their texts.
pub(crate) fn rust_files(directory: &str) -> io::Result<Vec<(String, String)>> {
    files(directory)?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .map(|path| Ok((path.to_string_lossy().into_owned(), std::fs::read_to_string(root().join(&path))?)))
        .collect()
}

/// `text` with every comment, and what is inside every string and character literal, overwritten by blanks (byte by
/// byte, lines kept). With `strings` the insides of strings stay.
pub(crate) fn code(text: &str, strings: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    let blank = |out: &mut Vec<u8>, from: usize, to: usize| {
        out.iter_mut().take(to).skip(from).filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    };
    while at < bytes.len() {
        let rest = &bytes[at..];
        if rest.starts_with(b"//") {
            let end = at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            blank(&mut out, at, end);
            at = end;
        } else if rest.starts_with(b"/*") {
            let mut depth = 0;
            let mut end = at;
            while end < bytes.len() {
                if bytes[end..].starts_with(b"/*") {
                    depth += 1;
                    end += 2;
                } else if bytes[end..].starts_with(b"*/") {
                    depth -= 1;
                    end += 2;
                    if depth == 0 {
                        break;
                    }
                } else {
                    end += 1;
                }
            }
            blank(&mut out, at, end);
            at = end;
        } else if let Some((open, close)) = raw_string(bytes, at) {
            let from = at + open;
            let end = find(&bytes[from.min(bytes.len())..], &close).map_or(bytes.len(), |found| from + found);
            if !strings {
                blank(&mut out, from, end);
            }
            at = end + close.len();
        } else if rest[0] == b'"' {
            let mut end = at + 1;
            while end < bytes.len() && bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            if !strings {
                blank(&mut out, at + 1, end);
            }
            at = end + 1;
        } else if rest[0] == b'\'' {
            at += char_literal(rest).map_or(1, |length| {
                blank(&mut out, at + 1, at + length - 1);
                length
            });
        } else {
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `code` without the items under `#[cfg(test)]`.
pub(crate) fn without_tests(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some(found) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..found]);
        let item = &rest[found..];
        let end = item.find([';', '{']).map_or(item.len(), |end| {
            if item.as_bytes()[end] == b';' { end + 1 } else { end + block_length(&item[end..]) }
        });
        rest = &item[end..];
    }
    out.push_str(rest);
    out
}

/// The modules a file declares under `#[cfg(test)]`.
pub(crate) fn test_modules(code: &str) -> Vec<String> {
    code.split("#[cfg(test)]")
        .skip(1)
        .filter_map(|item| {
            let name = item.trim_start().strip_prefix("mod ")?;
            let end = name.find([';', '{', ' '])?;
            name[end..].starts_with(';').then(|| name[..end].to_owned())
        })
        .collect()
}

/// Length of the block that starts with `{`.
fn block_length(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the opening and the closing of a raw string at `at`.
fn raw_string(bytes: &[u8], at: usize) -> Option<(usize, Vec<u8>)> {
    let before = at.checked_sub(1).map(|before| bytes[before]);
    if before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    let rest = bytes[at..].strip_prefix(b"br").or_else(|| bytes[at..].strip_prefix(b"r"))?;
    let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
    (rest.get(hashes) == Some(&b'"')).then(|| {
        let open = bytes[at..].len() - rest.len() + hashes + 1;
        (open, [b"\"".as_slice(), &b"#".repeat(hashes)].concat())
    })
}

/// Length of a character literal; none for a lifetime.
fn char_literal(rest: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(&rest[..rest.len().min(16)]).into_owned();
    let mut chars = text.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        return text.get(3..)?.find('\'').map(|end| end + 4);
    }
    chars.next().filter(|(_, second)| *second == '\'').map(|(end, _)| end + 1)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[test]
fn only_code_is_left() {
    let text = r##"a /* b /* c */ "d" */ "e // \" f" 'g' '\'' '\u{1F600}' &'h str br#"i" j"# // k"##;
    let want = r##"a                     "         " ' ' '  ' '         ' &'h str br#"    "#     "##;
    assert_eq!(code(text, false), want);
    assert!(code(text, true).contains(r#""e // \" f""#));
    assert_eq!(code("'😀' x", false).trim_end(), "'    ' x");
}

#[test]
fn tests_are_cut_out() {
    let text = "use a;\n#[cfg(test)]\nmod contract;\nfn f() {}\n#[cfg(test)]\nmod tests { fn g() { { } } }\nfn h() {}";
    assert_eq!(without_tests(text).split_whitespace().collect::<Vec<_>>().join(" "), "use a; fn f() {} fn h() {}");
    assert_eq!(test_modules(text), ["contract"]);
}
