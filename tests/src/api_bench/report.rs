//! The figures for people, and which goals they meet.

use super::measure::{Figures, Work};
use super::{Report, peer};
use std::fmt::Write;

/// Statements that single requests take beside the rule: a walk's first page counts the machines, and once a minute a
/// token's use is noted.
const MORE_ONCE: u64 = 2;
/// The list of 1,000 shall be so many times as quick as the peer's.
const LIST_GOAL: f64 = 1000.0;
/// One machine likewise.
const SHOW_GOAL: f64 = 100.0;

impl Report {
    /// What is wrong with the *counts*: a kind of work whose statements per request depend on how many machines
    /// there are, or differ from request to request by more than `MORE_ONCE`. Empty is good.
    pub fn missed_counts(&self) -> Vec<String> {
        let mut missed = Vec::new();
        let all = || self.sizes.iter().flat_map(|s| s.work.iter().map(|f| (s.machines, f)));
        for (machines, figures) in all() {
            let (usual, most) = (figures.statements, figures.statements_most);
            if usual == 0 {
                missed.push(format!("{machines} machines, {}: no statement was seen", figures.work));
            }
            if most > usual + MORE_ONCE {
                missed.push(format!(
                    "{machines} machines, {}: {usual} statements as a rule, but {most} once",
                    figures.work
                ));
            }
            let other = all().find(|(n, f)| f.work == figures.work && *n < machines && f.statements < usual);
            if let Some((fewer, f)) = other {
                missed.push(format!(
                    "{}: {usual} statements per request with {machines} machines, {} with {fewer}",
                    figures.work, f.statements
                ));
            }
        }
        missed
    }

    /// Everything as a table, in Markdown.
    pub fn table(&self) -> String {
        let mut text = String::from(
            "| Machines | Work | Requests | p50 ms | p99 ms | Bytes | Bytes per machine | SQL statements per request (most) |\n\
             |--:|---|--:|--:|--:|--:|--:|--:|\n",
        );
        for size in &self.sizes {
            for f in &size.work {
                let row = format!(
                    "| {} | {} | {} × {} | {:.2} | {:.2} | {} | {} | {} ({}) |",
                    size.machines,
                    f.work,
                    f.samples,
                    f.requests,
                    f.p50_ms,
                    f.p99_ms,
                    f.bytes,
                    f.bytes.checked_div(f.machines).unwrap_or(0),
                    f.statements,
                    f.statements_most
                );
                line(&mut text, &row);
            }
        }
        line(&mut text, "");
        line(&mut text, &format!("{} build, {} processors\n", self.build, self.processors));
        line(
            &mut text,
            &format!(
                "- resident (client and server in one process): {:.0} MiB at first",
                self.resident_before_mib
            ),
        );
        for size in &self.sizes {
            let row = format!(
                "- {} machines: {:.0} MiB afterwards; four clients at once: {:.0} lists of 100 per second",
                size.machines, size.resident_mib, size.parallel_lists_per_second
            );
            line(&mut text, &row);
        }
        self.compare(&mut text);
        text
    }

    /// Beside the peer.
    fn compare(&self, text: &mut String) {
        let Some(size) = self.sizes.iter().find(|size| size.machines == 1000) else { return };
        let of = |work| size.work.iter().find(|f| f.work == work);
        line(text, &format!("\nBeside {} ({} bytes a record):", peer::SOURCE, peer::RECORD_BYTES));
        if let Some(f) = of(Work::WholeList(1000)) {
            let ours = format!("list of 1,000 in one request, {} bytes a record", per_machine(f));
            ratio(text, &ours, peer::LIST_1000_MS, f.p50_ms, Some(LIST_GOAL));
            let row = format!("  ({} statements; there {})", f.statements, peer::LIST_1000_STATEMENTS);
            line(text, &row);
        }
        if let Some(f) = of(Work::WholeList(100)) {
            ratio(text, "list of 1,000 in pages of 100", peer::LIST_1000_MS, f.p50_ms, Some(LIST_GOAL));
        }
        if let Some(f) = of(Work::ListPage) {
            ratio(text, "list of 100", peer::LIST_100_MS, f.p50_ms, None);
            let row = format!("  ({} statements; there {})", f.statements, peer::LIST_100_STATEMENTS);
            line(text, &row);
        }
        if let Some(f) = of(Work::Show) {
            let ours = format!("one machine in full, {} bytes", per_machine(f));
            ratio(text, &ours, peer::SHOW_MS, f.p50_ms, Some(SHOW_GOAL));
            line(text, &format!("  ({} statements; there {})", f.statements, peer::SHOW_STATEMENTS));
            // Our list leaves out what theirs holds. To get as much, all records are read one by one.
            let full = "all 1,000 in full, shown one by one (1,000 × p50), which is what a list there holds";
            ratio(text, full, peer::LIST_1000_MS, f.p50_ms * 1000.0, None);
        }
        let row = format!(
            "- four clients at once: {:.0} lists of 100 per second; there {}",
            size.parallel_lists_per_second,
            peer::PARALLEL_LISTS_PER_SECOND
        );
        line(text, &row);
        let row = format!(
            "- resident after lists of 1,000: {:.0} MiB; there {:.0}",
            size.resident_mib,
            peer::RESIDENT_MIB
        );
        line(text, &row);
    }
}

fn per_machine(figures: &Figures) -> usize {
    figures.bytes.checked_div(figures.machines).unwrap_or(0)
}

fn ratio(text: &mut String, what: &str, theirs_ms: f64, ours_ms: f64, goal: Option<f64>) {
    let times = theirs_ms / ours_ms;
    let goal = goal.map_or(String::new(), |goal| {
        format!(", goal {goal:.0} {}", if times >= goal { "met" } else { "MISSED" })
    });
    line(
        text,
        &format!("- {what}: {ours_ms:.1} ms; there {theirs_ms:.0} ms: {times:.0} times as quick{goal}"),
    );
}

fn line(text: &mut String, row: &str) {
    writeln!(text, "{row}").expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_bench::Size;

    fn report(counts: &[(u32, u64, u64)]) -> Report {
        let figures = |statements, statements_most| Figures {
            work: Work::Show,
            samples: 200,
            requests: 1,
            p50_ms: 1.0,
            p99_ms: 2.0,
            bytes: 100,
            machines: 1,
            statements,
            statements_most,
        };
        let size = |&(machines, usual, most): &(u32, u64, u64)| Size {
            machines,
            work: vec![figures(usual, most)],
            parallel_lists_per_second: 1.0,
            resident_mib: 1.0,
        };
        Report {
            build: "release",
            processors: 2,
            resident_before_mib: 1.0,
            sizes: counts.iter().map(size).collect(),
        }
    }

    #[test]
    fn a_constant_number_of_statements_is_good() {
        assert!(report(&[(100, 5, 5), (1000, 5, 7), (10_000, 5, 5)]).missed_counts().is_empty());
        // Few machines are one page, which is a first page and counts them; of many pages most are not.
        assert!(report(&[(100, 3, 3), (1000, 2, 3)]).missed_counts().is_empty());
    }

    #[test]
    fn a_growing_number_is_told_with_both_sizes() {
        let missed = report(&[(100, 5, 5), (1000, 50, 50)]).missed_counts();
        assert_eq!(missed, ["show one: 50 statements per request with 1000 machines, 5 with 100"]);
    }

    #[test]
    fn requests_that_differ_and_counters_that_see_nothing_are_told() {
        let missed = report(&[(100, 5, 9)]).missed_counts();
        assert_eq!(missed, ["100 machines, show one: 5 statements as a rule, but 9 once"]);
        assert_eq!(report(&[(100, 0, 0)]).missed_counts(), ["100 machines, show one: no statement was seen"]);
    }
}
