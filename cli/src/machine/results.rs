//! `rackwright machine results`

use super::Which;
use crate::console::{Console, Format, ago, dash, duration};
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::result_value::Comparison;
use rackwright_region::model::script::{ScriptRun, ScriptRunQuery};
use serde_json::Value;

/// Show the results of tests and commissioning scripts: the latest of each, or the history of one.
#[derive(Debug, clap::Args)]
pub struct Results {
    #[command(flatten)]
    which: Which,
    /// Every run of this script.
    #[arg(long)]
    script: Option<String>,
    /// Print the output of one run, by its number.
    #[arg(long, conflicts_with = "script")]
    run: Option<i64>,
    /// Compare its values with those of the other machines of its model.
    #[arg(long, conflicts_with_all = ["script", "run"])]
    compare: bool,
}

impl Results {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        if let Some(run) = self.run {
            let run: ScriptRun = console.client.get(&format!("{path}/script-runs/{run}")).await?;
            return console.show(&run, text);
        }
        if self.compare {
            return compare(console, &path).await;
        }
        let query = ScriptRunQuery { latest: self.script.is_none(), name: self.script, operation: None };
        let page: Page<ScriptRun> = console.client.find(&format!("{path}/script-runs"), &query).await?;
        console.list(&page.items, &["RUN", "SCRIPT", "TARGET", "STATUS", "ENDED", "RESULTS"], |r| {
            let status = if r.suppressed { format!("{} (suppressed)", r.status) } else { r.status.clone() };
            let target = if r.target.is_empty() { None } else { Some(&r.target) };
            vec![
                r.id.to_string(),
                r.name.clone(),
                dash(target),
                status,
                dash(r.ended_at.map(ago)),
                values(&r.results),
            ]
        })
    }
}

/// One line for each value of the machine: itself, the quartiles of its model, its place from the top.
async fn compare(console: &Console, path: &str) -> Result<()> {
    let found: Comparison = console.client.get(&format!("{path}/comparison")).await?;
    let lines: Vec<_> = found.values.iter().flat_map(|v| v.own.iter().map(move |own| (v, own))).collect();
    if console.format == Format::Table {
        let head = ["SCRIPT", "VALUE", "TARGET", "THIS", "LOWER", "MEDIAN", "UPPER", "PLACE"];
        return console.list(&lines, &head, |(v, own)| {
            let spread = v.spread();
            let target = if own.target.is_empty() { None } else { Some(&own.target) };
            vec![
                v.script.clone(),
                v.name.clone(),
                dash(target),
                number(own.value),
                number(spread.lower),
                number(spread.median),
                number(spread.upper),
                format!("{} of {}", v.place(own.value), v.values.len()),
            ]
        });
    }
    console.show(&found, |_| String::new())
}

/// With three decimals at most.
fn number(value: f64) -> String {
    ((value * 1000.0).round() / 1000.0).to_string()
}

/// Result values on one line.
fn values(results: &Value) -> String {
    let one = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    };
    results.as_object().map(|map| map.iter().map(one).collect::<Vec<_>>().join(" ")).unwrap_or_default()
}

fn text(run: &ScriptRun) -> String {
    let took = match (run.started_at, run.ended_at) {
        (Some(began), Some(ended)) => duration(began.seconds_ago(ended.0)),
        _ => "-".into(),
    };
    let output = |title: &str, text: &Option<String>| match text.as_deref() {
        Some(text) if !text.is_empty() => format!("\n{title}\n{}\n", text.trim_end()),
        Some(_) | None => String::new(),
    };
    let line = |name: &str, text: String| {
        if text.is_empty() { text } else { format!("  {name:<12} {text}\n") }
    };
    let boots = if run.boots > 1 { format!("{} of the machine", run.boots) } else { String::new() };
    let target = if run.target.is_empty() { String::new() } else { format!(" on {}", run.target) };
    [
        format!("{}{target}: {} (exit code {}, {took})\n", run.name, run.status, dash(run.exit_code)),
        line("Why", run.error.clone()),
        line("Parameters", values(&run.parameters)),
        line("Results", values(&run.results)),
        line("Boots", boots),
        output("Standard output", &run.stdout),
        output("Standard error", &run.stderr),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_tells_its_parameters_and_why_it_failed() {
        let run = serde_json::json!({
            "id": 1, "machine": "k3x9ab", "operation": 2, "name": "flash", "script_type": "testing",
            "hardware_type": "storage", "target": "S1", "status": "failed", "results": { "blocks": 5 },
            "suppressed": false, "parameters": { "key": "(secret)", "storage": "S1" }, "boots": 6,
            "error": "the machine restarted 6 times", "stdout": "one\n",
        });
        assert_eq!(
            text(&serde_json::from_value(run).unwrap()),
            "flash on S1: failed (exit code -, -)\n  Why          the machine restarted 6 times\n  \
             Parameters   key=(secret) storage=S1\n  Results      blocks=5\n  Boots        6 of the machine\n\n\
             Standard output\none\n"
        );
    }
}
