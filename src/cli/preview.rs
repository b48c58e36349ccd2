//! `smelt preview`.

use std::fmt::Write as _;

use super::args::PreviewArgs;
use super::engine::open;
use super::exit::Exit;
use super::failure::Failure;
use crate::bulk::{ExportRequest, Parameters};
use crate::config::Settings;
use crate::export::{preview, why, why_rejected};

/// Prints what a mapping makes of some rows, one indented resource after the other.
pub(super) fn run(args: &PreviewArgs, settings: &Settings) -> Result<Exit, Failure> {
    let engine = open(settings, 1, 8)?;
    let names: Vec<&str> = engine.prepared.compiled.iter().map(|compiled| compiled.mapping.as_str()).collect();
    let Some(compiled) = engine.prepared.compiled.iter().find(|compiled| compiled.mapping == args.mapping) else {
        return Err(Failure::usage(
            format!("the pack has no mapping `{}`", args.mapping),
            format!("Mappings: {}.", names.join(", ")),
        ));
    };
    let parameters = Parameters { patients: args.patient.iter().cloned().collect(), ..Parameters::default() };
    let types = [compiled.program.resource_type.as_str()];
    let request = ExportRequest::new(&parameters, &types)?;
    let seen = engine.runtime.block_on(preview(&engine.source, &engine.prepared, compiled, &request, args.number))?;
    let mut text = String::new();
    for (line, watched) in seen.resources.iter().zip(&seen.watched) {
        text.push_str(&indented(&String::from_utf8_lossy(line)));
        text.push('\n');
        if args.why {
            let resource = serde_json::from_slice(line).map_err(|error| Failure::new(Exit::Failed, &error, None))?;
            text.push_str(&why(&engine.prepared, compiled, watched, &resource));
            text.push('\n');
        }
    }
    for (watched, site) in seen.rejections.iter().filter(|_| args.why) {
        // Writing to a String cannot fail.
        let column = site.name.as_ref().map(|name| format!(", from {name}")).unwrap_or_default();
        let _ = writeln!(text, "a row was rejected: {} {}{column}", site.code, site.path);
        text.push_str(&why_rejected(&engine.prepared, compiled, watched, site));
        text.push('\n');
    }
    super::print(&text)?;
    for line in &seen.outcomes {
        tracing::warn!("{line}");
    }
    Ok(if seen.rejected > 0 { Exit::RowFailures } else { Exit::Ok })
}

/// JSON with a member per line. Numbers stay as they are written, which a JSON parser would not promise.
fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    for c in json.chars() {
        if quoted {
            out.push(c);
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                depth += 1;
                line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                quoted = c == '"';
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::indented;

    #[test]
    fn json_is_indented_and_otherwise_left_alone() {
        let json = r#"{"a":"x,\"{y}:","b":[1.50,{"c":true}]}"#;
        let text = indented(json);
        assert_eq!(text, "{\n  \"a\": \"x,\\\"{y}:\",\n  \"b\": [\n    1.50,\n    {\n      \"c\": true\n    }\n  ]\n}");
    }
}
