//! What PostgreSQL's plan of a statement says, for people: its nodes as text, and how rows are looked up by a column.
//!
//! The planner puts the values of parameters into its plan. They are keys of patients and what clients search for, so
//! they are masked.

use std::fmt::Write as _;

use serde_json::Value;

/// What a plan's nodes say beside their costs.
const DETAILS: &[&str] = &[
    "Index Cond",
    "Recheck Cond",
    "Filter",
    "Join Filter",
    "Hash Cond",
    "Merge Cond",
    "Sort Key",
    "Presorted Key",
    "Group Key",
    "TID Cond",
];

/// How a plan finds the rows of a table that a condition on a column wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// By this index.
    Index(String),
    /// By this other index; the condition is asked of what it gives.
    Behind(String),
    /// All of them are read.
    Scan,
    /// The plan does not read the table.
    Absent,
}

fn text<'a>(node: &'a Value, name: &str) -> &'a str {
    node.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn root(plan: &str) -> Value {
    let mut plan: Value = serde_json::from_str(plan).unwrap_or_default();
    plan.pointer_mut("/0/Plan").map(Value::take).unwrap_or_default()
}

fn children(node: &Value) -> impl Iterator<Item = &Value> {
    node.get("Plans").and_then(Value::as_array).into_iter().flatten()
}

/// A plan (`EXPLAIN (FORMAT JSON)`) as indented lines. With `mask`, no constant is in them.
pub fn lines(plan: &str, mask: bool) -> Vec<String> {
    let mut lines = Vec::new();
    describe(&root(plan), 0, mask, &mut lines);
    lines
}

fn describe(node: &Value, depth: usize, mask: bool, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let mut line = indent.clone();
    let (name, kind, index) = (text(node, "Subplan Name"), text(node, "Node Type"), text(node, "Index Name"));
    let relation = text(node, "Relation Name");
    for (before, words, after) in [("", name, ": "), ("", kind, " "), ("using ", index, " "), ("on ", relation, " ")] {
        if !words.is_empty() {
            line.extend([before, words, after]);
        }
    }
    let number = |key: &str| node.get(key).and_then(Value::as_f64).unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = write!(line, "(cost {:.2}, {:.0} rows)", number("Total Cost"), number("Plan Rows"));
    lines.push(line);
    for key in DETAILS {
        let said = match node.get(*key) {
            Some(Value::String(said)) => said.clone(),
            Some(Value::Array(keys)) => keys.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            _ => continue,
        };
        lines.push(format!("{indent}  {key}: {}", if mask { masked(&said) } else { said }));
    }
    children(node).for_each(|child| describe(child, depth + 1, mask, lines));
}

/// An expression without its constants.
fn masked(expression: &str) -> String {
    let mut out = String::new();
    let mut rest = expression.chars().peekable();
    let mut word = false;
    while let Some(c) = rest.next() {
        match c {
            '\'' => {
                // A quote inside is written twice, which reads as two texts side by side.
                while rest.next().is_some_and(|c| c != '\'') {}
                out.push_str("'…'");
            }
            '"' => {
                out.push(c);
                for c in rest.by_ref() {
                    out.push(c);
                    if c == '"' {
                        break;
                    }
                }
            }
            c if c.is_ascii_digit() && !word => {
                while rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '.').is_some() {}
                out.push('…');
            }
            c => out.push(c),
        }
        word = c.is_alphanumeric() || matches!(c, '_' | '$');
    }
    out
}

/// How a plan finds rows of a table (without its schema) by a column.
pub fn access(plan: &str, relation: &str, column: &str) -> Access {
    let mut found = Access::Absent;
    look(&root(plan), "", relation, column, &mut found);
    found
}

fn look(node: &Value, above: &str, relation: &str, column: &str, found: &mut Access) {
    // The scan of a bitmap's index does not name the table.
    let of = match text(node, "Relation Name") {
        "" if text(node, "Node Type") == "Bitmap Index Scan" || text(node, "Node Type").starts_with("Bitmap") => above,
        name => name,
    };
    if of == relation {
        let index = text(node, "Index Name");
        let condition = text(node, "Index Cond");
        let here = match text(node, "Node Type") {
            // A whole index is read for its order.
            _ if names(condition, column) => Access::Index(index.to_owned()),
            _ if !condition.is_empty() => Access::Behind(index.to_owned()),
            "Bitmap Heap Scan" | "BitmapAnd" | "BitmapOr" => Access::Absent,
            _ => Access::Scan,
        };
        let rank = |access: &Access| match access {
            Access::Index(_) => 3,
            Access::Behind(_) => 2,
            Access::Scan => 1,
            Access::Absent => 0,
        };
        if rank(&here) > rank(found) {
            *found = here;
        }
    }
    children(node).for_each(|child| look(child, of, relation, column, found));
}

/// Whether an expression names a column.
fn names(expression: &str, column: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    expression.split(|c| !word(c)).any(|name| name == column) || expression.contains(&format!("\"{column}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"[{"Plan": {"Node Type": "Nested Loop", "Total Cost": 12.5, "Plan Rows": 3, "Join Filter": "(a.n = 5)",
        "Plans": [
          {"Node Type": "Bitmap Heap Scan", "Relation Name": "labs", "Total Cost": 9, "Plan Rows": 7,
           "Recheck Cond": "(patient = 'p''1'::text)", "Filter": "(status <> E'x\\'::text)",
           "Plans": [{"Node Type": "Bitmap Index Scan", "Index Name": "labs_patient", "Total Cost": 1, "Plan Rows": 7,
                      "Index Cond": "(patient = 'p''1'::text)"}]},
          {"Node Type": "Index Scan", "Relation Name": "visits", "Index Name": "visits_pkey", "Filter": "(day > 1)"},
          {"Node Type": "Seq Scan", "Relation Name": "parts", "Total Cost": 2, "Plan Rows": 1}
        ]}}]"#;

    #[test]
    fn a_plan_has_no_values_in_it() {
        let text = lines(PLAN, true).join("\n");
        let want = "Nested Loop (cost 12.50, 3 rows)\n  Join Filter: (a.n = …)\n  Bitmap Heap Scan on labs (cost 9.00, 7 rows)\n    \
                    Recheck Cond: (patient = '…''…'::text)\n    Filter: (status <> E'…'::text)\n    \
                    Bitmap Index Scan using labs_patient (cost 1.00, 7 rows)\n      Index Cond: (patient = '…''…'::text)\n  \
                    Index Scan using visits_pkey on visits (cost 0.00, 0 rows)\n    Filter: (day > …)\n  \
                    Seq Scan on parts (cost 2.00, 1 rows)";
        assert_eq!(text, want);
        assert!(lines(PLAN, false).join("\n").contains("a.n = 5"));
    }

    #[test]
    fn constants_are_masked_and_names_are_not() {
        for (expression, want) in [
            ("(q1.id2 = ANY ('{1,2}'::integer[]))", "(q1.id2 = ANY ('…'::integer[]))"),
            ("((x >= '100'::bigint) AND (y < -2.5e3))", "((x >= '…'::bigint) AND (y < -…))"),
            ("(\"Col 7\" = 'it''s 5')", "(\"Col 7\" = '…''…')"),
            ("($1 = id) OR (ANY (id = (hashed SubPlan 2).col1))", "($1 = id) OR (ANY (id = (hashed SubPlan …).col1))"),
            ("(a = 'open", "(a = '…'"),
        ] {
            assert_eq!(masked(expression), want);
        }
    }

    #[test]
    fn what_finds_the_rows() {
        let index = |name: &str| Access::Index(name.to_owned());
        for (relation, column, want) in [
            ("labs", "patient", index("labs_patient")),
            ("labs", "status", Access::Behind("labs_patient".to_owned())),
            ("parts", "n", Access::Scan),
            ("visits", "day", Access::Scan),
            ("patients", "id", Access::Absent),
        ] {
            assert_eq!(access(PLAN, relation, column), want, "{relation}.{column}");
        }
        assert_eq!(access("nonsense", "labs", "patient"), Access::Absent);
    }
}
