//! The page of one machine.

use super::action::{Button, Forms, Refusal, Typed, buttons};
use super::activity::Activity;
use super::comparison::Compared;
use super::console::ConsolePanel;
use super::discovery::Wiring;
use super::event::Recent;
use super::hardware::Hardware;
use super::hardware_change::Changes;
use super::script_run::Results;
use super::{Fact, Layout, Pill, Tone, known};
use crate::format::{Moment, capital};
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::auth::Actor;
use rackwright_region::model::event::Event;
use rackwright_region::model::hardware_change::HardwareChange;
use rackwright_region::model::image::Image;
use rackwright_region::model::machine::Machine;
use rackwright_region::model::operation::{LogChunk, OperationDetail};
use rackwright_region::model::result_value::Comparison;
use rackwright_region::model::script::{Script, ScriptRun};
use time::OffsetDateTime;

/// Name, status and buttons.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "machine_head.html")]
pub struct Head {
    /// Identifier.
    pub id: String,
    /// Name.
    pub hostname: String,
    /// For people.
    pub description: String,
    /// Status.
    pub status: Pill,
    /// Its colour.
    pub tone: Tone,
    /// Why it is there and what to do.
    pub reason: String,
    /// Since when.
    pub since: Moment,
    /// Power.
    pub power: Pill,
    /// Protected.
    pub locked: bool,
    /// Tags.
    pub tags: Vec<String>,
    /// In a line.
    pub facts: Vec<Fact>,
    /// Last evidence of life.
    pub last_seen: Option<Moment>,
    /// What may be done.
    pub buttons: Vec<Button>,
    /// Its description and BMC may be changed.
    pub editable: bool,
    /// CSRF token.
    pub csrf: String,
    /// Blocks deployment.
    pub failed_tests: Vec<String>,
}

impl Head {
    /// Of a machine, for a person.
    pub fn new(m: &Machine, actor: &Actor, csrf: &str, now: OffsetDateTime) -> Self {
        let s = &m.summary;
        let addresses = s.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Self {
            id: s.id.to_string(),
            hostname: s.hostname.to_string(),
            description: m.description.clone(),
            status: Pill::of_status(s.status),
            tone: Tone::of_status(s.status),
            reason: capital(&s.status_message),
            since: Moment::new(s.status_since, now),
            power: Pill::of_power(s.power_state),
            locked: s.locked,
            tags: s.tags.clone(),
            facts: known(vec![
                Fact::code("Id", s.id.as_str()),
                Fact::code("Address", addresses),
                Fact::new("Owner", s.owner.clone().unwrap_or_else(|| "nobody".into())),
                Fact::new("Pool / zone", format!("{} / {}", s.pool, s.zone)),
                Fact::new("Architecture", s.architecture.clone()),
                Fact::new("Image", s.image.clone().unwrap_or_default()),
                Fact::new("Layout", m.storage_layout.kind.as_str()),
                Fact::new("Network boot", boot(&m.boot)),
            ]),
            last_seen: s.last_seen_at.map(|at| Moment::new(at, now)),
            buttons: buttons(s, actor),
            editable: super::machine_edit::may_edit(s, actor),
            csrf: csrf.to_owned(),
            failed_tests: m.failed_tests.clone(),
        }
    }
}

impl Head {
    /// The command that a button without form means.
    pub fn line(&self, verb: &str) -> String {
        let known = crate::command::AT_ONCE.iter().find(|(name, _)| *name == verb);
        known.map_or_else(String::new, |(_, words)| format!("{words} {}", self.hostname))
    }
}

/// What it boots when it asks, in words.
fn boot(decision: &str) -> &str {
    match decision {
        "local" => "goes on to its disk",
        "ephemeral" => "ephemeral environment",
        "hold" => "waits in the boot loader",
        "off" => "switches off",
        other => other,
    }
}

/// Everything that the page is made of.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// Its latest operation with events (oldest first) and log.
    pub latest: Option<(&'a OperationDetail, &'a [Event], &'a [LogChunk])>,
    /// Its script runs, newest first.
    pub runs: &'a [ScriptRun],
    /// Its values beside those of its model.
    pub comparison: &'a Comparison,
    /// Its events, newest first.
    pub events: &'a [Event],
    /// All images.
    pub images: &'a [Image],
    /// All scripts.
    pub scripts: &'a [Script],
    /// Names of the tests that run by default.
    pub default_tests: &'a [String],
    /// Its serial console.
    pub console: ConsolePanel,
    /// Its interfaces that are elsewhere than the model says.
    pub wiring: Wiring,
    /// What readings of its hardware found, newest first.
    pub changes: &'a [HardwareChange],
}

/// The page.
#[derive(Debug, Clone, PartialEq, Template, WebTemplate)]
#[template(path = "machine.html")]
pub struct MachinePage {
    /// Around it.
    pub layout: Layout,
    /// Name, status and buttons.
    pub head: Head,
    /// Faults of its wiring.
    pub wiring: Wiring,
    /// Forms.
    pub forms: Forms,
    /// The latest operation.
    pub activity: Option<Activity>,
    /// Serial console.
    pub console: ConsolePanel,
    /// Datasheet.
    pub hardware: Hardware,
    /// What has changed in it.
    pub changes: Changes,
    /// Results.
    pub tests: Results,
    /// Charts.
    pub comparison: Compared,
    /// Latest events.
    pub events: Recent,
    /// A refused action, at the top.
    pub refused: Option<Refusal>,
}

impl MachinePage {
    /// Of all sources.
    pub fn new(
        layout: Layout,
        actor: &Actor,
        sources: &Sources<'_>,
        refused: Option<(Refusal, Typed)>,
        now: OffsetDateTime,
    ) -> Self {
        let m = sources.machine;
        let scripts = (sources.scripts, sources.default_tests);
        let notice = refused.as_ref().map(|(refusal, _)| refusal.clone());
        Self {
            head: Head::new(m, actor, &layout.csrf, now),
            forms: Forms::new(&m.summary, &layout.csrf, sources.images, scripts, refused),
            activity: sources
                .latest
                .map(|(op, events, log)| Activity::new(op, events, log, now).of_machine()),
            console: sources.console.clone(),
            wiring: sources.wiring.clone(),
            hardware: Hardware::new(m),
            changes: Changes::new(&m.summary, sources.changes, actor, &layout.csrf, now),
            tests: Results::new(m.summary.id.as_str(), sources.runs, &m.failed_tests, now),
            comparison: Compared::new(m, sources.comparison),
            events: Recent::new(m.summary.id.as_str(), sources.events, now),
            refused: notice,
            layout,
        }
    }
}

#[cfg(test)]
impl MachinePage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        use super::sample;
        let (detail, events) = sample::hostile_operation();
        let log = sample::hostile_log();
        let machine = sample::hostile();
        let sources = Sources {
            machine: &machine,
            latest: Some((&detail, &events, &log)),
            runs: &[sample::hostile_run()],
            comparison: &Comparison::default(),
            events: &events,
            images: &[sample::image()],
            scripts: &[sample::script()],
            default_tests: &["disk-quick".into()],
            console: ConsolePanel::sample(),
            wiring: Wiring::new(&sample::wiring_faults(), super::sample_now()),
            changes: &[sample::hardware_change()],
        };
        let refusal = Refusal { verb: "deploy".into(), message: "user data: <b>no</b>".into() };
        let typed =
            Typed { user_data: "</textarea><script>".into(), ssh_keys: "<i>".into(), ..Typed::default() };
        let layout = Layout::sample("Machines");
        Self::new(layout, &sample::actor(), &sources, Some((refusal, typed)), super::sample_now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_form_comes_back_with_what_was_typed_and_why() {
        let shown = MachinePage::sample().to_string();
        assert!(shown.contains(r#"role="alert">user data: &#60;b&#62;no&#60;/b&#62;"#), "{shown}");
        assert!(shown.contains("&#60;/textarea&#62;&#60;script&#62;</textarea>"), "{shown}");
        assert!(shown.contains(r#"id="do-deploy" aria-labelledby="h-deploy" data-open"#), "{shown}");
    }
}
