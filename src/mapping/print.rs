//! A node as YAML text again: what `smelt show` prints of a mapping that was merged from several files. And a condition.

use super::tree::{ColumnRef, CompareOp, Condition, Operand};
use super::yaml::{Kind, Node};

/// A `$if` condition, as it could be written.
pub fn condition(condition: &Condition) -> String {
    let column = |column: &ColumnRef| {
        let json: String = column.json.iter().flat_map(|step| [".", step]).collect();
        format!("{}{}{json}", "../".repeat(column.up.into()), column.name)
    };
    let operand = |operand: &Operand| match operand {
        Operand::Column(name) => column(name),
        Operand::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Operand::Number(digits) => digits.clone(),
        Operand::Bool(value) => value.to_string(),
    };
    let inner = |part: &Condition| match part {
        Condition::And(_) | Condition::Or(_) => format!("({})", self::condition(part)),
        part => self::condition(part),
    };
    let all = |parts: &[Condition], word: &str| parts.iter().map(inner).collect::<Vec<_>>().join(word);
    let not = |negated: bool| if negated { "not " } else { "" };
    match condition {
        Condition::And(parts) => all(parts, " and "),
        Condition::Or(parts) => all(parts, " or "),
        Condition::Not(part) => format!("not {}", inner(part)),
        Condition::IsNull { operand: what, negated } => format!("{} is {}null", operand(what), not(*negated)),
        Condition::In { operand: what, list, negated } => {
            let list: Vec<String> = list.iter().map(operand).collect();
            format!("{} {}in ({})", operand(what), not(*negated), list.join(", "))
        }
        Condition::Compare { left, op, right } => {
            let op = match op {
                CompareOp::Eq => "=",
                CompareOp::Ne => "<>",
                CompareOp::Lt => "<",
                CompareOp::Le => "<=",
                CompareOp::Gt => ">",
                CompareOp::Ge => ">=",
            };
            format!("{} {op} {}", operand(left), operand(right))
        }
        Condition::Truthy(name) => column(name),
    }
}

/// Block style, two spaces; scalars are quoted where a plain one would read differently.
pub fn yaml(node: &Node) -> String {
    let mut out = String::new();
    block(node, 0, &mut out);
    out
}

fn block(node: &Node, indent: usize, out: &mut String) {
    let pad = "  ".repeat(indent);
    match &node.kind {
        Kind::Map(entries) => {
            for entry in entries {
                out.push_str(&pad);
                out.push_str(&scalar(&entry.key.text));
                out.push(':');
                value(&entry.value, indent, out);
            }
        }
        Kind::Seq(items) => {
            for item in items {
                out.push_str(&pad);
                out.push('-');
                match &item.kind {
                    // The first member of an item stands behind its dash.
                    Kind::Map(entries) if !entries.is_empty() => {
                        let mut text = String::new();
                        block(item, indent + 1, &mut text);
                        out.push(' ');
                        out.push_str(text.trim_start());
                    }
                    _ => value(item, indent, out),
                }
            }
        }
        Kind::Scalar(text) => {
            out.push_str(&pad);
            out.push_str(&scalar(&text.text));
            out.push('\n');
        }
    }
}

fn value(node: &Node, indent: usize, out: &mut String) {
    match &node.kind {
        Kind::Scalar(text) if text.text.is_empty() && node.is_absent() => out.push('\n'),
        Kind::Scalar(text) if text.text.contains('\n') => {
            out.push_str(if text.text.ends_with('\n') { " |\n" } else { " |-\n" });
            for line in text.text.lines() {
                out.push_str(&"  ".repeat(indent + 1));
                out.push_str(line);
                out.push('\n');
            }
        }
        Kind::Scalar(text) => {
            out.push(' ');
            out.push_str(&scalar(&text.text));
            out.push('\n');
        }
        Kind::Map(entries) if entries.is_empty() => out.push_str(" {}\n"),
        Kind::Seq(items) if items.is_empty() => out.push_str(" []\n"),
        Kind::Map(_) | Kind::Seq(_) => {
            out.push('\n');
            block(node, indent + 1, out);
        }
    }
}

/// Plain where that is safe, double-quoted otherwise.
fn scalar(text: &str) -> String {
    let plain = !text.is_empty()
        && text.trim() == text
        && !text.starts_with(['{', '[', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`', '#', '-', '?', ':', ','])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && !text.contains(char::is_control);
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::source::SourceId;
    use super::super::yaml::parse;
    use super::*;

    #[test]
    fn what_is_printed_reads_the_same() {
        let text = "key: [a, b]\nsql: |\n  select 1\n  from t\nresource:\n  id: \"{{uuid 'A' b}}\"\n  name:\n    - $each x: {a: $b, c: '#1: x'}\n    - {}\n  given: [$a]\n";
        let read = |text: &str| parse(SourceId(0), text, &mut Vec::new()).unwrap();
        let printed = yaml(&read(text));
        assert_eq!(yaml(&read(&printed)), printed);
        assert!(printed.contains("id: \"{{uuid 'A' b}}\"\n"), "{printed}");
        assert!(printed.contains("    - $each x:\n        a: $b\n        c: \"#1: x\"\n"), "{printed}");
    }
}
