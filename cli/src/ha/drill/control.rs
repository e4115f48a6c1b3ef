//! Stopping and starting a controller: by systemd on this box, by ssh on another, or by a program that is told.

use super::Kind;
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use tokio::process::Command;

/// How a controller is stopped and started.
#[derive(Debug)]
pub struct Control {
    /// The words before `stop` or `start`.
    words: Vec<String>,
    /// The words after it.
    unit: Option<&'static str>,
    /// Settings on this box, where the controller is.
    settings: Option<&'static str>,
}

impl Control {
    /// systemd here, on the box `on`, or a program.
    pub fn new(kind: Kind, on: Option<&str>, program: Option<&Path>) -> Result<Self> {
        let (unit, settings) = match kind {
            Kind::Region => ("rackwright-region", "/etc/rackwright/region.toml"),
            Kind::Rack => ("rackwright-rack", "/etc/rackwright/rack.toml"),
        };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Ok(match (on, program) {
            (_, Some(program)) => {
                let program = program.to_str().context("--control: a path that is not UTF-8")?;
                Self { words: words(&[program]), unit: None, settings: None }
            }
            (Some(on), None) => {
                ensure!(!on.starts_with('-'), "--on {on}: the name of a box");
                let ssh = ["ssh", "-o", "BatchMode=yes", &format!("root@{on}"), "systemctl"];
                Self { words: words(&ssh), unit: Some(unit), settings: None }
            }
            (None, None) => Self { words: words(&["systemctl"]), unit: Some(unit), settings: Some(settings) },
        })
    }

    /// Refuses to stop the controller of this box when it is another one than `name`.
    pub fn check(&self, name: &str) -> Result<()> {
        let Some(settings) = self.settings else { return Ok(()) };
        let Ok(text) = std::fs::read_to_string(settings) else {
            bail!("{settings} cannot be read: is {name} on this box? name its box with --on");
        };
        match name_in(&text) {
            Some(here) if here != name => bail!("this box runs {here}; name the box of {name} with --on"),
            _ => Ok(()),
        }
    }

    /// Stops it in order.
    pub async fn stop(&self) -> Result<()> {
        self.call("stop").await
    }

    /// Starts it again.
    pub async fn start(&self) -> Result<()> {
        self.call("start").await
    }

    async fn call(&self, verb: &str) -> Result<()> {
        let (program, rest) = self.words.split_first().context("nothing to call")?;
        let output = Command::new(program).args(rest).arg(verb).args(self.unit).output().await;
        let output = output.with_context(|| format!("{program} cannot be run"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} {verb}: {}", self.words.join(" "), said.trim());
        Ok(())
    }
}

/// The name that settings give to a controller, if they do.
fn name_in(settings: &str) -> Option<String> {
    let table: toml::Table = settings.parse().ok()?;
    table.get("name")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_that_runs_another_controller_is_known_by_its_settings() {
        assert_eq!(name_in("name = \"one\"\n[timing]\n").as_deref(), Some("one"));
        assert_eq!(name_in("interfaces = []\n"), None);
    }

    #[test]
    fn what_is_called() {
        let far = Control::new(Kind::Rack, Some("box-2"), None).unwrap();
        assert_eq!(far.words.join(" "), "ssh -o BatchMode=yes root@box-2 systemctl");
        assert_eq!(far.unit, Some("rackwright-rack"));
        assert!(Control::new(Kind::Rack, Some("-oProxyCommand=x"), None).is_err());
    }
}
