//! Estimates → disjoint ranges of the driving rows, for parallel cursors. Pure.

use super::filter::cast_name;
use crate::row::PgKind;

/// Rows below which a second cursor costs more than it brings.
const LEAST_ROWS: f64 = 50_000.0;

/// What is known about the column a mapping is split by.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitFacts {
    /// Estimated number of driving rows.
    pub rows: f64,
    /// Histogram bounds of the column as text, in its order; empty when the table was never analysed.
    pub bounds: Vec<String>,
    /// How far the column's order is that of the table on disk, from -1 to 1.
    pub correlation: f64,
}

/// The column a mapping is split by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitColumn {
    /// Its name in the driving rows.
    pub name: String,
    /// Its type.
    pub kind: PgKind,
    /// `schema.table.column` it comes from.
    pub origin: Option<String>,
}

/// A half-open range of the split column: `from <= column < until`. The first range takes NULLs too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Range {
    /// Lower bound, included.
    pub from: Option<String>,
    /// Upper bound, excluded.
    pub until: Option<String>,
}

impl Range {
    /// True when every row is in it.
    pub fn is_whole(&self) -> bool {
        self.from.is_none() && self.until.is_none()
    }

    /// The range as a condition on `expression`, with numbers for its parameters from `first` on, and their values.
    pub(super) fn condition(&self, expression: &str, kind: &PgKind, first: usize) -> (String, Vec<String>) {
        let collate = if kind.is_text() { " collate \"C\"" } else { "" };
        let cast = cast_name(kind);
        let mut values = Vec::new();
        let mut parts = Vec::new();
        for (operator, bound) in [(">=", &self.from), ("<", &self.until)] {
            if let Some(bound) = bound {
                parts.push(format!("{expression} {operator} ${}::text::{cast}{collate}", first + values.len()));
                values.push(bound.clone());
            }
        }
        let condition = parts.join(" and ");
        let condition = if self.from.is_none() { format!("({condition} or {expression} is null)") } else { condition };
        (condition, values)
    }
}

/// Whether so many rows may be worth more than one range, whatever is known of the column.
pub fn may_split(rows: f64, workers: usize) -> bool {
    workers > 1 && rows >= 2.0 * LEAST_ROWS
}

/// Ranges for `workers` cursors: one when the table is small, when nothing is known of the column, or for one worker.
///
/// A column in disk order is cut fine, so that workers end together; any other costs a scan or random reads per
/// range, so there are no more ranges than workers.
pub fn ranges(facts: &SplitFacts, kind: &PgKind, workers: usize) -> Vec<Range> {
    let most = if facts.correlation.abs() >= 0.9 { workers * 8 } else { workers };
    let wanted = most.min((facts.rows / LEAST_ROWS) as usize).min(facts.bounds.len().saturating_sub(1));
    if !may_split(facts.rows, workers) || wanted < 2 {
        return vec![Range::default()];
    }
    let mut cuts: Vec<String> =
        (1..wanted).map(|nth| facts.bounds[nth * (facts.bounds.len() - 1) / wanted].clone()).collect();
    if kind.is_text() {
        // The statement compares bytes, the histogram is in the order of the column's collation.
        cuts.sort();
    }
    cuts.dedup();
    let mut ranges = Vec::with_capacity(cuts.len() + 1);
    let mut from = None;
    for cut in cuts {
        ranges.push(Range { from: from.take(), until: Some(cut.clone()) });
        from = Some(cut);
    }
    ranges.push(Range { from, until: None });
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(rows: f64, bounds: usize, correlation: f64) -> SplitFacts {
        SplitFacts { rows, bounds: (0..bounds).map(|n| format!("{n:04}")).collect(), correlation }
    }

    #[test]
    fn small_or_unknown_tables_are_one_range() {
        for facts in [facts(1000.0, 101, 1.0), facts(1e6, 0, 1.0)] {
            assert_eq!(ranges(&facts, &PgKind::Int8, 4), vec![Range::default()]);
        }
        assert_eq!(ranges(&facts(1e6, 101, 1.0), &PgKind::Int8, 1), vec![Range::default()]);
    }

    #[test]
    fn ranges_touch_and_cover() {
        for (correlation, count) in [(1.0, 16), (0.1, 2)] {
            let found = ranges(&facts(5e6, 101, correlation), &PgKind::Int8, 2);
            assert_eq!(found.len(), count);
            assert!(found[0].from.is_none() && found[count - 1].until.is_none());
            for pair in found.windows(2) {
                assert_eq!(pair[0].until, pair[1].from);
            }
        }
    }

    #[test]
    fn nulls_belong_to_the_first_range() {
        let first = Range { from: None, until: Some("7".into()) };
        assert_eq!(first.condition("q.\"k\"", &PgKind::Int8, 3).0, "(q.\"k\" < $3::text::bigint or q.\"k\" is null)");
        let last = Range { from: Some("7".into()), until: None };
        assert_eq!(last.condition("q.\"k\"", &PgKind::Text, 1).0, "q.\"k\" >= $1::text::text collate \"C\"");
    }
}
