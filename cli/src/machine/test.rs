//! `rackwright machine commission` and `test`

use super::Which;
use crate::console::Console;
use crate::operation::wait::WaitOptions;
use anyhow::{Context, Result};
use rackwright_region::model::action::{CommissionRequest, TestRequest};
use serde_json::{Map, Value};

/// Read the hardware, set up the BMC, run commissioning scripts and tests.
#[derive(Debug, clap::Args)]
pub struct Commission {
    #[command(flatten)]
    which: Which,
    /// Commissioning scripts to run, by name or tag, with commas between; `none` for none; when absent, all that are
    /// not tagged `noauto` and that are for this hardware.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    commissioning_scripts: Vec<String>,
    /// Test to run afterwards, by name or tag; may be given several times; the site's default set when absent.
    #[arg(long = "test")]
    tests: Vec<String>,
    /// Run no tests.
    #[arg(long, conflicts_with = "tests")]
    no_tests: bool,
    #[command(flatten)]
    parameters: Parameters,
    #[command(flatten)]
    wait: WaitOptions,
}

impl Commission {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        let tests = (self.no_tests || !self.tests.is_empty()).then_some(self.tests);
        let commissioning_scripts = match self.commissioning_scripts {
            words if words.is_empty() => None,
            words if words == ["none"] => Some(Vec::new()),
            words => Some(words),
        };
        let parameters = self.parameters.values()?;
        let body = CommissionRequest { commissioning_scripts, tests, parameters };
        let begun = console.client.post(&format!("{path}/commission"), &body).await?;
        self.wait.conclude(console, begun).await
    }
}

/// Run tests.
#[derive(Debug, clap::Args)]
pub struct Test {
    #[command(flatten)]
    which: Which,
    /// Names of scripts; the site's default set when absent.
    #[arg(value_name = "SCRIPT")]
    named: Vec<String>,
    /// Name of a script; may be given several times.
    #[arg(long = "script", short = 's', value_name = "SCRIPT")]
    scripts: Vec<String>,
    #[command(flatten)]
    parameters: Parameters,
    #[command(flatten)]
    wait: WaitOptions,
}

impl Test {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        let scripts = [self.named, self.scripts].concat();
        let body = TestRequest {
            scripts: (!scripts.is_empty()).then_some(scripts),
            parameters: self.parameters.values()?,
        };
        let begun = console.client.post(&format!("{path}/test"), &body).await?;
        self.wait.conclude(console, begun).await
    }
}

/// Values for the parameters of scripts.
#[derive(Debug, clap::Args)]
struct Parameters {
    /// Parameter, as NAME=VALUE for every script of the run that has one of that name, or SCRIPT.NAME=VALUE; may be
    /// given several times. `rackwright script show` lists them.
    #[arg(long = "parameter", short = 'p', value_name = "[SCRIPT.]NAME=VALUE")]
    parameters: Vec<String>,
}

impl Parameters {
    /// As the API takes them. A script's name may have dots, a parameter's may not.
    fn values(&self) -> Result<Map<String, Value>> {
        let mut all = Map::new();
        for text in &self.parameters {
            let (name, value) =
                text.split_once('=').with_context(|| format!("`{text}` is not [SCRIPT.]NAME=VALUE"))?;
            let value = Value::from(value);
            match name.rsplit_once('.') {
                None => {
                    all.insert(name.to_owned(), value);
                }
                Some((script, name)) => {
                    let of_script = all.entry(script).or_insert_with(|| Value::Object(Map::new()));
                    if let Value::Object(map) = of_script {
                        map.insert(name.to_owned(), value);
                    }
                }
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_for_one_script_or_for_all_that_have_them() {
        let given = ["my.test.runtime=60", "runtime=1=2", "my.test.word=a b"].map(str::to_owned).to_vec();
        let all = Parameters { parameters: given }.values().unwrap();
        assert_eq!(
            Value::from(all),
            serde_json::json!({ "my.test": { "runtime": "60", "word": "a b" }, "runtime": "1=2" })
        );
        assert!(Parameters { parameters: vec!["runtime".to_owned()] }.values().is_err());
    }
}
