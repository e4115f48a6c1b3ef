//! What a person may do with a machine now, and the forms for it.
//!
//! The buttons follow the life cycle's own function, so they never offer what it would refuse. The forms are always
//! on the page, whatever the status, so that one that is being filled in does not vanish under the hands.

use crate::command::{self, Values};
use askama::Template;
use rackwright_common::Status;
use rackwright_common::lifecycle::{Event, next};
use rackwright_common::script::ScriptType;
use rackwright_region::auth::Actor;
use rackwright_region::model::Role;
use rackwright_region::model::image::{Image, ImagePurpose};
use rackwright_region::model::machine::MachineSummary;
use rackwright_region::model::script::Script;

/// A button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Button {
    /// Last part of the address it posts to, or the form it opens.
    pub verb: &'static str,
    /// Its text.
    pub label: &'static str,
    /// It opens a form.
    pub form: bool,
    /// The one most likely wanted.
    pub primary: bool,
    /// It destroys or interrupts something.
    pub danger: bool,
}

const fn at_once(verb: &'static str, label: &'static str) -> Button {
    Button { verb, label, form: false, primary: false, danger: false }
}

const fn form(verb: &'static str, label: &'static str) -> Button {
    Button { verb, label, form: true, primary: false, danger: false }
}

const fn danger(button: Button) -> Button {
    Button { danger: true, ..button }
}

/// The buttons for a machine, for this person.
pub fn buttons(m: &MachineSummary, actor: &Actor) -> Vec<Button> {
    let mine = m.owner.as_deref() == Some(actor.name.as_str());
    let operator = actor.role >= Role::Operator;
    let user = actor.role >= Role::User;
    let handles = operator || (user && mine);
    if m.operation.is_some() {
        return if handles { vec![danger(at_once("abort", "Abort"))] } else { Vec::new() };
    }
    if m.locked {
        return if handles { vec![at_once("unlock", "Unlock")] } else { Vec::new() };
    }
    let can = |event| next(m.status, event).is_ok();
    let resting = Status::Ready;
    let list = [
        (user && (handles || m.owner.is_none()) && can(Event::StartDeploy), form("deploy", "Deploy")),
        (operator && can(Event::StartCommission), form("commission", "Commission")),
        (operator && can(Event::StartTest), form("test", "Test")),
        (user && can(Event::Allocate), at_once("allocate", "Allocate")),
        (handles && can(Event::StartRelease), danger(form("release", "Release"))),
        (handles && m.power_driver.is_some(), form("power", "Power")),
        (operator && can(Event::EnterRescue), form("rescue", "Rescue")),
        (operator && can(Event::ExitRescue), at_once("exit-rescue", "Exit rescue mode")),
        (operator && can(Event::OverrideFailedTest { back_to: resting }), form("override", "Override tests")),
        (operator && can(Event::MarkFixed { back_to: resting }), at_once("mark-fixed", "Mark fixed")),
        (operator && can(Event::MarkBroken), form("mark-broken", "Mark broken")),
        (handles, at_once("lock", "Lock")),
    ];
    let mut buttons: Vec<_> =
        list.into_iter().filter_map(|(shown, button)| shown.then_some(button)).collect();
    let wanted = match m.status {
        Status::New | Status::FailedCommissioning => "commission",
        Status::Ready | Status::Allocated | Status::FailedDeployment => "deploy",
        Status::FailedTesting => "test",
        Status::FailedReleasing | Status::FailedDiskErasing => "release",
        Status::RescueMode => "exit-rescue",
        Status::Broken => "mark-fixed",
        _ => "",
    };
    if let Some(at) = buttons.iter().position(|b| b.verb == wanted) {
        let first = buttons.remove(at);
        buttons.insert(0, Button { primary: true, danger: false, ..first });
    }
    buttons
}

/// What was typed into a form that was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Typed {
    /// Image reference.
    pub image: String,
    /// Layout.
    pub layout: String,
    /// `authorized_keys` lines.
    pub ssh_keys: String,
    /// cloud-init user data.
    pub user_data: String,
    /// Erase mode.
    pub erase: String,
    /// A reason.
    pub message: String,
}

/// A request that was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Of which action.
    pub verb: String,
    /// What was wrong, where, what to do.
    pub message: String,
}

/// A test that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestChoice {
    /// Name.
    pub name: String,
    /// What it does.
    pub title: String,
    /// It destroys data.
    pub destructive: bool,
    /// Runs when nobody chooses.
    pub default: bool,
}

/// The forms of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "machine_forms.html")]
pub struct Forms {
    /// Machine.
    pub id: String,
    /// Its name.
    pub hostname: String,
    /// CSRF token.
    pub csrf: String,
    /// Images to deploy: reference, title, chosen.
    pub images: Vec<(String, String, bool)>,
    /// Names of the commissioning scripts.
    pub commissioning: Vec<String>,
    /// Tests to choose from.
    pub tests: Vec<TestChoice>,
    /// What was typed.
    pub typed: Typed,
    /// What was refused.
    pub refused: Option<Refusal>,
}

impl Values for Forms {
    fn now(&self, field: &str) -> String {
        match field {
            "machine" => self.hostname.clone(),
            "scripts" => {
                let chosen = self.tests.iter().filter(|t| t.default).map(|t| t.name.as_str());
                chosen.collect::<Vec<_>>().join(" ")
            }
            _ => String::new(),
        }
    }

    fn was(&self, _field: &str) -> String {
        String::new()
    }
}

impl Forms {
    /// For a machine. Images other than operating systems are left out.
    pub fn new(
        m: &MachineSummary,
        csrf: &str,
        images: &[Image],
        (scripts, default_tests): (&[Script], &[String]),
        refused: Option<(Refusal, Typed)>,
    ) -> Self {
        let (refused, typed) = refused.map_or_else(Default::default, |(r, t)| (Some(r), t));
        let mut names: Vec<(String, String, bool)> = Vec::new();
        for image in images.iter().filter(|i| i.kind == ImagePurpose::Os) {
            if !names.iter().any(|(name, ..)| *name == image.name) {
                names.push((image.name.clone(), image.title.clone(), image.name == typed.image));
            }
        }
        let of = |wanted| -> Vec<Script> {
            scripts.iter().filter(|s| s.metadata.script_type == wanted).cloned().collect()
        };
        let tests = of(ScriptType::Testing);
        let choice = |s: &Script| TestChoice {
            name: s.name.clone(),
            title: s.metadata.title.clone(),
            destructive: s.metadata.destructive,
            default: default_tests.iter().any(|word| s.is_meant_by(word, &tests)),
        };
        Self {
            id: m.id.to_string(),
            hostname: m.hostname.to_string(),
            csrf: csrf.to_owned(),
            images: names,
            commissioning: of(ScriptType::Commissioning).into_iter().map(|s| s.name).collect(),
            tests: tests.iter().map(choice).collect(),
            typed,
            refused,
        }
    }

    /// The command that an untouched form means.
    pub fn line(&self, pattern: &str) -> String {
        command::line(pattern, self)
    }

    /// What `app.js` needs to keep it up to date.
    pub fn known_json(&self) -> String {
        serde_json::json!({ "machine": self.hostname }).to_string()
    }

    /// The form whose request was refused is opened again.
    pub fn is_refused(&self, verb: &str) -> bool {
        self.refused.as_ref().is_some_and(|r| r.verb == verb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    fn verbs(m: &MachineSummary, role: Role) -> Vec<&'static str> {
        let actor = Actor { user_id: 1, name: "ann".into(), role, from: None };
        buttons(m, &actor).iter().map(|b| b.verb).collect()
    }

    #[test]
    fn a_busy_machine_can_be_aborted_and_nothing_else() {
        let busy = sample::machine().summary;
        assert_eq!(verbs(&busy, Role::Operator), ["abort"]);
        assert_eq!(verbs(&busy, Role::Viewer), [""; 0]);
    }

    #[test]
    fn a_ready_machine_is_offered_to_users_and_operators() {
        let ready = MachineSummary {
            status: Status::Ready,
            operation: None,
            owner: None,
            ..sample::machine().summary
        };
        assert_eq!(verbs(&ready, Role::User), ["deploy", "allocate"]);
        assert_eq!(
            verbs(&ready, Role::Operator),
            ["deploy", "commission", "test", "allocate", "power", "rescue", "mark-broken", "lock"]
        );
    }

    #[test]
    fn a_locked_machine_can_only_be_unlocked() {
        let locked = MachineSummary { operation: None, locked: true, ..sample::machine().summary };
        assert_eq!(verbs(&locked, Role::Administrator), ["unlock"]);
    }

    #[test]
    fn every_resting_status_offers_an_operator_a_way_out() {
        for &status in Status::ALL.iter().filter(|s| !s.is_transient()) {
            let m = MachineSummary { status, operation: None, ..sample::machine().summary };
            let ways = verbs(&m, Role::Operator);
            assert!(ways.iter().any(|v| !["power", "lock"].contains(v)), "{status}: {ways:?}");
        }
    }
}
