//! Results of scripts: the latest of each, and the history.

use super::{Layout, Pill};
use crate::format::{self, Moment};
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::model::script::ScriptRun;
use time::OffsetDateTime;

/// One run in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Number.
    pub id: i64,
    /// Script.
    pub name: String,
    /// Disk or NIC.
    pub target: String,
    /// Kind of hardware.
    pub hardware: String,
    /// It is a commissioning script rather than a test.
    pub commissioning: bool,
    /// Outcome.
    pub outcome: Pill,
    /// It does not count.
    pub suppressed: bool,
    /// Values it found.
    pub values: String,
    /// How long it took.
    pub took: String,
    /// When it ended.
    pub ended: Option<Moment>,
    /// Earlier runs of the same script on the same target, newest first.
    pub earlier: Vec<(i64, Pill, Option<Moment>)>,
}

impl Row {
    fn new(run: &ScriptRun, now: OffsetDateTime) -> Self {
        let took =
            run.started_at.zip(run.ended_at).map(|(a, b)| format::duration((b.0 - a.0).as_seconds_f64()));
        Self {
            id: run.id,
            name: run.name.clone(),
            target: run.target.clone(),
            hardware: run.hardware_type.clone(),
            commissioning: run.script_type == "commissioning",
            outcome: Pill::of_outcome(&run.status),
            suppressed: run.suppressed,
            values: values_line(&run.results),
            took: took.unwrap_or_default(),
            ended: run.ended_at.map(|at| Moment::new(at, now)),
            earlier: Vec::new(),
        }
    }
}

/// Names and values of a result, in a line.
pub fn values_line(results: &serde_json::Value) -> String {
    values(results).iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(" · ")
}

/// Names and values of a result. Numbers are shortened, text is kept.
fn values(results: &serde_json::Value) -> Vec<(String, String)> {
    let Some(map) = results.as_object() else { return Vec::new() };
    let text = |v: &serde_json::Value| match v {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(n) if n.is_f64() => format!("{:.2}", n.as_f64().unwrap_or_default()),
        other => other.to_string(),
    };
    map.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// The results of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "machine_tests.html")]
pub struct Results {
    /// Machine.
    pub machine: String,
    /// The latest of each script and target.
    pub rows: Vec<Row>,
    /// Names of those that block a deployment.
    pub failed: Vec<String>,
}

/// Earlier runs shown of each script.
const HISTORY: usize = 8;

impl Results {
    /// Of all runs, newest first.
    pub fn new(machine: &str, runs: &[ScriptRun], failed: &[String], now: OffsetDateTime) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        for run in runs {
            match rows.iter_mut().find(|r| r.name == run.name && r.target == run.target) {
                Some(row) if row.earlier.len() < HISTORY => {
                    let ended = run.ended_at.map(|at| Moment::new(at, now));
                    row.earlier.push((run.id, Pill::of_outcome(&run.status), ended));
                }
                Some(_) => {}
                None => rows.push(Row::new(run, now)),
            }
        }
        let key =
            |row: &Row| (!row.commissioning, row.hardware.clone(), row.name.clone(), row.target.clone());
        rows.sort_by_cached_key(key);
        Self { machine: machine.to_owned(), rows, failed: failed.to_vec() }
    }
}

/// One run with its output.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "script_run.html")]
pub struct RunPage {
    /// Around it.
    pub layout: Layout,
    /// Machine and its name.
    pub machine: (String, String),
    /// The run.
    pub run: Row,
    /// Operation.
    pub operation: i64,
    /// Exit code.
    pub exit_code: String,
    /// Names and values.
    pub values: Vec<(String, String)>,
    /// Standard output and error.
    pub streams: Vec<(&'static str, String)>,
}

impl RunPage {
    /// Of a run.
    pub fn new(layout: Layout, hostname: &str, run: &ScriptRun, now: OffsetDateTime) -> Self {
        let stream = |text: &Option<String>| super::activity::plain(text.as_deref().unwrap_or_default());
        Self {
            layout,
            machine: (run.machine.to_string(), hostname.to_owned()),
            operation: run.operation.0,
            exit_code: run.exit_code.map(|c| c.to_string()).unwrap_or_default(),
            values: values(&run.results),
            streams: vec![("Output", stream(&run.stdout)), ("Errors", stream(&run.stderr))],
            run: Row::new(run, now),
        }
    }
}

#[cfg(test)]
impl RunPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        let run = super::sample::hostile_run();
        Self::new(Layout::sample("Machines"), "<i>name</i>", &run, super::sample_now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{sample, sample_now};

    #[test]
    fn the_latest_run_is_shown_with_those_before_it() {
        let newest = sample::run(9, "failed");
        let runs = [newest, sample::run(5, "passed"), sample::run(2, "passed")];
        let results = Results::new("k3x9ab", &runs, &["disk-quick".into()], sample_now());
        assert_eq!(results.rows.len(), 1);
        assert_eq!(results.rows[0].outcome, Pill::of_outcome("failed"));
        assert_eq!(results.rows[0].earlier.iter().map(|e| e.0).collect::<Vec<_>>(), [5, 2]);
        assert_eq!(results.rows[0].values, "read_mib_s 2712.43 · smart PASSED");
        assert_eq!(results.rows[0].took, "30 s");
        assert!(!results.rows[0].commissioning);
    }

    #[test]
    fn commissioning_scripts_come_first_and_are_marked() {
        let mut firmware = sample::run(3, "passed");
        firmware.name = "firmware".into();
        firmware.script_type = "commissioning".into();
        let results = Results::new("k3x9ab", &[sample::run(9, "passed"), firmware], &[], sample_now());
        let rows: Vec<_> = results.rows.iter().map(|r| (r.name.as_str(), r.commissioning)).collect();
        assert_eq!(rows, [("firmware", true), ("disk-quick", false)]);
        assert_eq!(results.to_string().matches("<span class=\"tag\">commissioning</span>").count(), 1);
    }
}
