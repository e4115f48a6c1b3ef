//! What was measured, beside what was asked for.

use crate::bench::figures::median;
use serde::Serialize;

/// What a figure may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Not more.
    AtMost(f64),
    /// Not less.
    AtLeast(f64),
    /// Anything: it explains others.
    Told,
}

/// One figure of one run.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The row it belongs to, when that is not the one that measured it.
    pub row: Option<&'static str>,
    /// What it tells.
    pub what: &'static str,
    /// What it may be.
    pub limit: Limit,
    /// What it was.
    pub value: f64,
}

impl Figure {
    /// Not more than `limit`.
    pub fn at_most(limit: f64, what: &'static str, value: f64) -> Self {
        Self { row: None, what, limit: Limit::AtMost(limit), value }
    }

    /// Not less than `limit`.
    pub fn at_least(limit: f64, what: &'static str, value: f64) -> Self {
        Self { row: None, what, limit: Limit::AtLeast(limit), value }
    }

    /// Without a limit.
    pub fn told(what: &'static str, value: f64) -> Self {
        Self { row: None, what, limit: Limit::Told, value }
    }

    /// The same under another row.
    pub fn under(mut self, row: &'static str) -> Self {
        self.row = Some(row);
        self
    }
}

/// A line of the table.
#[derive(Debug, Serialize)]
pub struct Line {
    row: &'static str,
    what: &'static str,
    limit: Limit,
    values: Vec<f64>,
    median: f64,
    worst: f64,
    met: bool,
}

impl Line {
    /// All runs so far.
    fn judge(&mut self) {
        self.median = median(&self.values).unwrap_or(f64::NAN);
        let values = self.values.iter().copied();
        (self.worst, self.met) = match self.limit {
            Limit::AtMost(limit) => {
                let worst = values.fold(f64::MIN, f64::max);
                (worst, worst <= limit)
            }
            Limit::AtLeast(limit) => {
                let worst = values.fold(f64::MAX, f64::min);
                (worst, worst >= limit)
            }
            Limit::Told => (values.fold(f64::MIN, f64::max), true),
        };
    }
}

/// The rest of the plan's table, which needs minutes of an emulated machine and is a test.
const ELSEWHERE: &str =
    "a rack dies in the middle of a deploy, which completes: `cargo xtask test --only e2e` (rack_dies)";

/// A run that did not come to its end.
#[derive(Debug, Serialize)]
pub struct Failure {
    row: &'static str,
    error: String,
}

/// What was measured.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    lines: Vec<Line>,
    failures: Vec<Failure>,
    /// Load of the box before and after.
    pub load: [f64; 2],
    /// How long it took, seconds.
    pub took: f64,
}

impl Report {
    /// Takes a figure of a run of `row`.
    pub fn take(&mut self, row: &'static str, figure: &Figure) {
        let row = figure.row.unwrap_or(row);
        let at = self.lines.iter().position(|line| (line.row, line.what) == (row, figure.what));
        let at = at.unwrap_or_else(|| {
            // Lines of one row stand together.
            let after = self.lines.iter().rposition(|line| line.row == row);
            let at = after.map_or(self.lines.len(), |after| after + 1);
            let (values, limit) = (Vec::new(), figure.limit);
            self.lines.insert(
                at,
                Line { row, what: figure.what, limit, values, median: 0.0, worst: 0.0, met: false },
            );
            at
        });
        self.lines[at].values.push(figure.value);
        self.lines[at].judge();
    }

    /// Takes a run of `row` that did not come to its end, which misses every limit of it.
    pub fn fail(&mut self, row: &'static str, error: &anyhow::Error) {
        self.failures.push(Failure { row, error: format!("{error:#}") });
    }

    /// Whether everything is as it should be, and something was measured at all.
    pub fn met(&self) -> bool {
        self.failures.is_empty() && !self.lines.is_empty() && self.lines.iter().all(|line| line.met)
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut text = format!("{:<62} {:>8} {:>8} {:>8} {:>4}\n", "", "limit", "median", "worst", "runs");
        let mut row = "";
        for line in &self.lines {
            if row != line.row {
                row = line.row;
                text.push_str(&format!("{row}\n"));
            }
            let limit = match line.limit {
                Limit::AtMost(limit) => format!("≤ {limit:.2}"),
                Limit::AtLeast(limit) => format!("≥ {limit:.2}"),
                Limit::Told => String::new(),
            };
            let verdict = if line.met { "" } else { "  MISSED" };
            text.push_str(&format!(
                "  {:<60} {limit:>8} {:>8.2} {:>8.2} {:>4}{verdict}\n",
                line.what,
                line.median,
                line.worst,
                line.values.len()
            ));
        }
        for failure in &self.failures {
            text.push_str(&format!(
                "\n{}: A RUN DID NOT COME TO ITS END, MISSED\n  {}\n",
                failure.row, failure.error
            ));
        }
        text.push_str(&format!("\nShown elsewhere: {ELSEWHERE}\n"));
        text.push_str(&format!(
            "\n{} after {:.0} minutes; load {:.1} before, {:.1} after\n",
            if self.met() { "all limits met" } else { "LIMITS MISSED" },
            self.took / 60.0,
            self.load[0],
            self.load[1]
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_all_runs_is_what_counts() {
        let mut report = Report::default();
        for (gap, share) in [(1.0, 0.9), (2.0, 0.7), (1.5, 0.95)] {
            report.take("a", &Figure::at_most(3.0, "gap", gap));
            report.take("b", &Figure::at_least(0.8, "share", share));
            report.take("a", &Figure::told("rate", 1.0));
        }
        let lines: Vec<_> = report.lines.iter().map(|l| (l.row, l.what, l.worst, l.met)).collect();
        assert_eq!(lines, [("a", "gap", 2.0, true), ("a", "rate", 1.0, true), ("b", "share", 0.7, false)]);
        assert!(!report.met());
        assert!(report.table().contains("0.90     0.70    3  MISSED"), "{}", report.table());
    }

    #[test]
    fn nothing_is_not_a_success_and_neither_is_a_run_that_broke_off() {
        let mut report = Report::default();
        assert!(!report.met());
        report.take("a", &Figure::at_most(3.0, "gap", 1.0).under("c"));
        assert!(report.met() && report.table().starts_with(char::is_whitespace));
        assert_eq!(report.lines[0].row, "c");
        report.fail("a", &anyhow::anyhow!("the site is gone"));
        assert!(!report.met() && report.table().contains("the site is gone"));
    }
}
