//! Scripts: the list with how they did, and one with its program, versions and last runs.

use super::form::{Field, Form};
use super::script_run::values_line;
use super::{Fact, Layout, Pill, known};
use crate::command;
use crate::format::{self, Moment};
use askama::Template;
use askama_web::WebTemplate;
use rackwright_common::script::{HardwareType, Parallel, ScriptType};
use rackwright_region::model::Role;
use rackwright_region::model::script::Script;
use rackwright_region::model::script_history::{ScriptHistory, ScriptResults, SiteRun};
use serde_json::Value;
use time::OffsetDateTime;

/// A script in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Name.
    pub name: String,
    /// What it does.
    pub title: String,
    /// Version that runs.
    pub version: i32,
    /// Comes with Rackwright.
    pub builtin: bool,
    /// What for.
    pub purpose: &'static str,
    /// About which hardware.
    pub hardware: &'static str,
    /// What is special about it.
    pub marks: Vec<&'static str>,
    /// Runs that passed and that failed, among the site's last.
    pub counts: Option<(i64, i64)>,
    /// When the last one ended.
    pub last: Option<Moment>,
}

impl Row {
    fn new(s: &Script, results: &[ScriptResults], now: OffsetDateTime) -> Self {
        let m = &s.metadata;
        let found = results.iter().find(|r| r.name == s.name);
        let marks = [
            (m.destructive, "destroys data"),
            (m.may_reboot, "may restart"),
            (m.toolbox, "needs the toolbox"),
            (m.tags.iter().any(|t| t == "noauto"), "only when asked for"),
        ];
        Self {
            name: s.name.clone(),
            title: m.title.clone(),
            version: s.version,
            builtin: s.builtin,
            purpose: purpose(m.script_type),
            hardware: hardware(m.hardware_type),
            marks: marks.into_iter().filter_map(|(is, text)| is.then_some(text)).collect(),
            counts: found.map(|r| (r.passed, r.failed)),
            last: found.and_then(|r| r.last_at).map(|at| Moment::new(at, now)),
        }
    }
}

fn purpose(kind: ScriptType) -> &'static str {
    match kind {
        ScriptType::Commissioning => "commissioning",
        ScriptType::Testing => "test",
        ScriptType::Release => "release",
    }
}

fn hardware(kind: HardwareType) -> &'static str {
    match kind {
        HardwareType::Node => "machine",
        HardwareType::Cpu => "processor",
        HardwareType::Memory => "memory",
        HardwareType::Storage => "each disk",
        HardwareType::Network => "each network card",
        HardwareType::Gpu => "accelerators",
    }
}

/// The form with which administrators store a script.
fn upload_form(csrf: &str, name: &str, body: &str) -> Form {
    let mut fields = Vec::new();
    if name.is_empty() {
        fields.push(Field::text("name", "Name", "").hint("when its header has none"));
    }
    let hint = "with MAAS's metadata header in its first comment, or without";
    fields.push(Field::area("body", "Program", 16, body).hint(hint).required());
    let mut form = Form::new("script", "/scripts", csrf, fields).command(command::SCRIPT_UPLOAD, Vec::new());
    if name.is_empty() {
        (form.title, form.submit) = ("New script".into(), "Store the script".into());
    } else {
        form.hidden = vec![("name", name.to_owned())];
        (form.title, form.submit) = ("New version".into(), "Store as a new version".into());
    }
    form
}

/// The list.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "scripts.html")]
pub struct ScriptsPage {
    /// Around it.
    pub layout: Layout,
    /// By name.
    pub rows: Vec<Row>,
    /// Stores one, for administrators.
    pub form: Option<Form>,
}

impl ScriptsPage {
    /// Of all scripts.
    pub fn new(layout: Layout, scripts: &[Script], results: &[ScriptResults], now: OffsetDateTime) -> Self {
        let form = (layout.role >= Role::Administrator).then(|| upload_form(&layout.csrf, "", ""));
        Self { rows: scripts.iter().map(|s| Row::new(s, results, now)).collect(), form, layout }
    }
}

/// A run of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Number.
    pub id: i64,
    /// Machine and its name.
    pub machine: (String, String),
    /// Disk or NIC.
    pub target: String,
    /// Version that ran.
    pub version: i32,
    /// Outcome.
    pub outcome: Pill,
    /// Values it found.
    pub values: String,
    /// When it ended.
    pub ended: Option<Moment>,
}

impl Run {
    fn new(r: &SiteRun, now: OffsetDateTime) -> Self {
        Self {
            id: r.run.id,
            machine: (r.run.machine.to_string(), r.hostname.clone()),
            target: r.run.target.clone(),
            version: r.version,
            outcome: Pill::of_outcome(&r.run.status),
            values: values_line(&r.run.results),
            ended: r.run.ended_at.map(|at| Moment::new(at, now)),
        }
    }
}

/// One script.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "script.html")]
pub struct ScriptPage {
    /// Around it.
    pub layout: Layout,
    /// The script.
    pub row: Row,
    /// It is not the version that runs.
    pub old: bool,
    /// For people, longer.
    pub description: String,
    /// Of its header.
    pub facts: Vec<Fact>,
    /// Parameters: name and what may stand there.
    pub parameters: Vec<(String, String)>,
    /// Values it finds: name, title.
    pub results: Vec<(String, String)>,
    /// The program.
    pub body: String,
    /// Versions: number, when it came, shown now.
    pub versions: Vec<(i32, Moment, bool)>,
    /// Last runs.
    pub runs: Vec<Run>,
    /// Stores a new version.
    pub form: Option<Form>,
    /// Removes it.
    pub delete_form: Option<Form>,
}

impl ScriptPage {
    /// Of a version of a script.
    pub fn new(layout: Layout, s: &Script, history: &ScriptHistory, now: OffsetDateTime) -> Self {
        let m = &s.metadata;
        let body = super::activity::plain(s.body.as_deref().unwrap_or_default());
        let may = layout.role >= Role::Administrator && !s.builtin;
        let parallel = match m.parallel {
            Parallel::Disabled => "nothing",
            Parallel::Instance => "itself, on other hardware",
            Parallel::Any => "anything",
        };
        let limit =
            if m.timeout_seconds == 0 { "none".into() } else { format::duration(m.timeout_seconds as f64) };
        Self {
            row: Row::new(s, &[], now),
            old: history.versions.first().is_some_and(|v| v.version != s.version),
            description: m.description.clone(),
            facts: known(vec![
                Fact::new("For", purpose(m.script_type)),
                Fact::new("About", hardware(m.hardware_type)),
                Fact::new("Time limit", limit),
                Fact::new("Runs beside", parallel),
                Fact::new("Tags", m.tags.join(", ")),
                Fact::new("Comes from", if s.builtin { "Rackwright" } else { "this site" }),
            ]),
            parameters: m.parameters.iter().map(|(name, about)| (name.clone(), pairs(about))).collect(),
            results: m
                .results
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, about)| (name.clone(), described(about)))
                .collect(),
            versions: history
                .versions
                .iter()
                .map(|v| (v.version, Moment::new(v.created_at, now), v.version == s.version))
                .collect(),
            runs: history.runs.iter().map(|r| Run::new(r, now)).collect(),
            form: may.then(|| upload_form(&layout.csrf, &s.name, &body)),
            delete_form: may.then(|| delete_form(&layout.csrf, &s.name)),
            body,
            layout,
        }
    }
}

fn delete_form(csrf: &str, name: &str) -> Form {
    let mut form = Form::new("delete", format!("/scripts/{name}/delete"), csrf, Vec::new())
        .command(command::SCRIPT_DELETE, vec![("name", name.to_owned())]);
    form.title = "Remove".into();
    form.intro =
        "All its versions go. A script that has run stays, as long as machines have its results.".into();
    (form.submit, form.danger) = ("Remove the script".into(), true);
    form
}

/// `type storage, default 30`
fn pairs(about: &Value) -> String {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    match about.as_object() {
        Some(map) => map.iter().map(|(name, v)| format!("{name} {}", text(v))).collect::<Vec<_>>().join(", "),
        None => text(about),
    }
}

/// Title and description of a value.
fn described(about: &Value) -> String {
    let of = |name: &str| about.get(name).and_then(Value::as_str);
    match about.as_str() {
        Some(title) => title.to_owned(),
        None => super::joined([of("title"), of("description")], ": "),
    }
}

#[cfg(test)]
impl ScriptsPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        let (script, history) = super::sample::script_in_full();
        let results = ScriptResults {
            name: script.name.clone(),
            passed: 3,
            failed: 1,
            other: 0,
            last_at: history.runs[0].run.ended_at,
        };
        let layout = Layout { role: Role::Administrator, ..Layout::sample("Scripts") };
        Self::new(layout, &[script], &[results], super::sample_now())
    }
}

#[cfg(test)]
impl ScriptPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        let (script, history) = super::sample::script_in_full();
        let layout = Layout { role: Role::Administrator, ..Layout::sample("Scripts") };
        Self::new(layout, &script, &history, super::sample_now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{sample, sample_now};

    #[test]
    fn the_list_says_how_a_script_did() {
        let page = ScriptsPage::sample();
        assert_eq!((page.rows[0].counts, page.rows[0].marks.clone()), (Some((3, 1)), vec!["destroys data"]));
        assert!(page.form.is_some());
    }

    #[test]
    fn an_older_version_says_that_it_is_one() {
        let (mut script, history) = sample::script_in_full();
        assert!(!ScriptPage::new(Layout::sample("Scripts"), &script, &history, sample_now()).old);
        script.version = 1;
        assert!(ScriptPage::new(Layout::sample("Scripts"), &script, &history, sample_now()).old);
    }

    #[test]
    fn what_comes_with_rackwright_is_not_replaced() {
        let (mut script, history) = sample::script_in_full();
        script.builtin = true;
        let layout = Layout { role: Role::Administrator, ..Layout::sample("Scripts") };
        let page = ScriptPage::new(layout, &script, &history, sample_now());
        assert!(page.form.is_none() && page.delete_form.is_none());
    }
}
