//! `rackwright script …`

use crate::console::{Console, Format, ago, dash, duration, path_part, print};
use anyhow::{Context, Result};
use rackwright_region::model::Page;
use rackwright_region::model::script::{NewScript, Script};
use rackwright_region::model::script_history::{ScriptHistory, ScriptResults};
use std::path::PathBuf;

/// What can be done with scripts.
#[derive(Debug, clap::Subcommand)]
pub enum ScriptCommand {
    /// List scripts.
    List,
    /// Print a script.
    Show {
        /// Its name, or `name@version` for an older one.
        name: String,
    },
    /// How scripts did in the site's last runs; with a name, its versions and its last runs.
    History {
        /// Its name.
        name: Option<String>,
    },
    /// Store a script, or a new version of one.
    Upload {
        /// The file, with MAAS's metadata header.
        file: PathBuf,
        /// Its name, when the header has none.
        #[arg(long)]
        name: Option<String>,
    },
    /// Remove a script that has never run.
    Delete {
        /// Its name.
        name: String,
    },
}

impl ScriptCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        match self {
            Self::List => {
                let page: Page<Script> = console.client.get("/scripts").await?;
                console.list(
                    &page.items,
                    &["NAME", "VERSION", "TYPE", "HARDWARE", "TIMEOUT", "TAGS", "TITLE"],
                    row,
                )
            }
            Self::Show { name } => {
                let (name, version) =
                    name.split_once('@').map_or((name.as_str(), None), |(n, v)| (n, Some(v)));
                let version: Vec<_> = version.map(|v| ("version", v)).into_iter().collect();
                let path = format!("/scripts/{}", path_part(name));
                let script: Script = console.client.find(&path, &version).await?;
                if console.format == Format::Table {
                    return print(script.body.as_deref().unwrap_or_default().trim_end());
                }
                console.show(&script, |_| String::new())
            }
            Self::History { name: None } => {
                let page: Page<ScriptResults> = console.client.get("/script-results").await?;
                console.list(&page.items, &["NAME", "PASSED", "FAILED", "OTHER", "LAST"], |r| {
                    let counts = [r.passed, r.failed, r.other].map(|n| n.to_string());
                    [vec![r.name.clone()], counts.into(), vec![dash(r.last_at.map(ago))]].concat()
                })
            }
            Self::History { name: Some(name) } => {
                let path = format!("/scripts/{}/history", path_part(&name));
                let history: ScriptHistory = console.client.get(&path).await?;
                if console.format != Format::Table {
                    return console.show(&history, |_| String::new());
                }
                let versions =
                    history.versions.iter().map(|v| format!("{} ({})", v.version, ago(v.created_at)));
                print(&format!("Versions: {}", versions.collect::<Vec<_>>().join(", ")))?;
                console.list(
                    &history.runs,
                    &["RUN", "MACHINE", "VERSION", "TARGET", "STATUS", "ENDED"],
                    |r| {
                        let target = if r.run.target.is_empty() { None } else { Some(&r.run.target) };
                        let (id, version) = (r.run.id.to_string(), r.version.to_string());
                        let ended = dash(r.run.ended_at.map(ago));
                        vec![id, r.hostname.clone(), version, dash(target), r.run.status.clone(), ended]
                    },
                )
            }
            Self::Upload { file, name } => {
                let body = std::fs::read_to_string(&file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                let stored: Script = console.client.post("/scripts", &NewScript { name, body }).await?;
                console.show(&stored, |s| format!("Version {} of {} was stored", s.version, s.name))
            }
            Self::Delete { name } => {
                console.client.delete(&format!("/scripts/{}", path_part(&name))).await?;
                console.done(&format!("{name} was removed"))
            }
        }
    }
}

fn row(script: &Script) -> Vec<String> {
    let m = &script.metadata;
    let timeout = i64::try_from(m.timeout_seconds).unwrap_or(i64::MAX);
    vec![
        script.name.clone(),
        if script.builtin { format!("{} (built in)", script.version) } else { script.version.to_string() },
        word(&m.script_type),
        word(&m.hardware_type),
        if timeout == 0 { "none".into() } else { duration(timeout) },
        m.tags.join(","),
        m.title.clone(),
    ]
}

/// The word under which a value is sent.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}
