//! The closing table of an export.

use std::fmt::Write as _;
use std::time::Duration;

use super::numbers::{exact, per_second};
use crate::bulk::report::{BLOCKS, TypeTotal};

const HEAD: [&str; 5] = ["type", "resources", "rejected", "MB", "resources/s"];

/// One line per resource type, and their sum. `elapsed` is the wall time of the whole export.
pub fn closing(totals: &[TypeTotal], elapsed: Duration) -> String {
    let line = |total: &TypeTotal, time: Duration| {
        // Blocks hold resources that are counted by their types.
        let count = |number| if total.resource_type == BLOCKS { String::new() } else { exact(number) };
        [
            total.resource_type.clone(),
            count(total.resources),
            count(total.rejected),
            format!("{:.1}", total.bytes as f64 / 1e6),
            count(per_second(total.resources, time)),
        ]
    };
    let mut sum = TypeTotal { resource_type: "total".to_owned(), ..TypeTotal::default() };
    let mut lines = vec![HEAD.map(str::to_owned)];
    for total in totals {
        sum.resources += total.resources;
        sum.rejected += total.rejected;
        sum.bytes += total.bytes;
        let time = Duration::try_from_secs_f64(total.seconds).unwrap_or_default();
        lines.push(line(total, time));
    }
    lines.push(line(&sum, elapsed));

    let mut widths = [0; HEAD.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.len());
        }
    }
    let mut table = String::new();
    let last = lines.len() - 1;
    for (n, line) in lines.iter().enumerate() {
        if n == 1 || n == last {
            let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            table.push_str(&rule.join("  "));
            table.push('\n');
        }
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            // Names to the left, numbers to the right. Writing to a String cannot fail.
            let _ = if column == 0 { write!(table, "{cell:<width$}") } else { write!(table, "  {cell:>width$}") };
        }
        table.truncate(table.trim_end_matches(' ').len());
        table.push('\n');
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_below_each_other() {
        let total = |name: &str, resources, rejected, bytes, seconds| TypeTotal {
            resource_type: name.to_owned(),
            resources,
            rejected,
            bytes,
            seconds,
        };
        let table = closing(
            &[total("Patient", 1000, 0, 1_850_000, 0.1), total("Observation", 1_234_567, 12, 1_049_000_000, 1.5)],
            Duration::from_secs(2),
        );
        let want = "\
type         resources  rejected      MB  resources/s
-----------  ---------  --------  ------  -----------
Patient          1,000         0     1.9       10,000
Observation  1,234,567        12  1049.0      823,045
-----------  ---------  --------  ------  -----------
total        1,235,567        12  1050.8      617,784
";
        assert_eq!(table, want, "\n{table}");

        let table =
            closing(&[total("Patient", 2, 0, 0, 1.0), total(BLOCKS, 0, 0, 1_850_000, 0.0)], Duration::from_secs(1));
        let want = "\
type     resources  rejected   MB  resources/s
-------  ---------  --------  ---  -----------
Patient          2         0  0.0            2
blocks                        1.9
-------  ---------  --------  ---  -----------
total            2         0  1.9            2
";
        assert_eq!(table, want, "\n{table}");
    }
}
