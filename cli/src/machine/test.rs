//! `rackwright machine commission` and `test`

use super::Which;
use crate::console::Console;
use crate::operation::wait::WaitOptions;
use anyhow::{Context, Result};
use rackwright_region::model::action::{CommissionRequest, TestRequest};
use serde_json::{Map, Value};

/// Read the hardware, set up the BMC, run the tests.
#[derive(Debug, clap::Args)]
pub struct Commission {
    #[command(flatten)]
    which: Which,
    /// Test to run afterwards; may be given several times; the site's default set when absent.
    #[arg(long = "test")]
    tests: Vec<String>,
    /// Run no tests.
    #[arg(long, conflicts_with = "tests")]
    no_tests: bool,
    #[command(flatten)]
    wait: WaitOptions,
}

impl Commission {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        let tests = (self.no_tests || !self.tests.is_empty()).then_some(self.tests);
        let begun = console.client.post(&format!("{path}/commission"), &CommissionRequest { tests }).await?;
        self.wait.conclude(console, begun).await
    }
}

/// Run tests.
#[derive(Debug, clap::Args)]
pub struct Test {
    #[command(flatten)]
    which: Which,
    /// Names of scripts; the site's default set when absent.
    scripts: Vec<String>,
    /// Parameter, as SCRIPT.NAME=VALUE; may be given several times.
    #[arg(long = "parameter", short = 'p')]
    parameters: Vec<String>,
    #[command(flatten)]
    wait: WaitOptions,
}

impl Test {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        let body = TestRequest {
            scripts: (!self.scripts.is_empty()).then_some(self.scripts),
            parameters: parameters(&self.parameters)?,
        };
        let begun = console.client.post(&format!("{path}/test"), &body).await?;
        self.wait.conclude(console, begun).await
    }
}

fn parameters(given: &[String]) -> Result<Map<String, Value>> {
    let mut all = Map::new();
    for text in given {
        let (name, value) =
            text.split_once('=').with_context(|| format!("`{text}` is not SCRIPT.NAME=VALUE"))?;
        let (script, name) =
            name.split_once('.').with_context(|| format!("`{text}` is not SCRIPT.NAME=VALUE"))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        let of_script = all.entry(script).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(map) = of_script {
            map.insert(name.to_owned(), value);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_name_script_and_value() {
        let given = ["cpu-stress.runtime=60".to_owned(), "x.y=text".to_owned()];
        let all = parameters(&given).unwrap();
        assert_eq!(
            Value::from(all),
            serde_json::json!({ "cpu-stress": { "runtime": 60 }, "x": { "y": "text" } })
        );
        assert!(parameters(&["runtime=60".to_owned()]).is_err());
    }
}
