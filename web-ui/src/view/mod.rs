//! What the templates show: one struct per template, made from region's models, with a `sample()` each, so that a
//! test renders them all.

pub mod account;
pub mod action;
pub mod activity;
pub mod audit;
pub mod bulk;
pub mod cause;
pub mod comparison;
pub mod console;
pub mod controller;
pub mod dashboard;
pub mod device;
pub mod discovery;
pub mod editor;
pub mod event;
pub mod form;
pub mod group;
pub mod hardware;
pub mod hardware_change;
pub mod image;
pub mod login;
pub mod login_provider;
pub mod machine;
pub mod machine_edit;
pub mod machine_list;
pub mod machine_network;
pub mod name;
pub mod network;
pub mod network_edit;
pub mod network_map;
pub mod notification;
pub mod operation;
pub mod picture;
pub mod problem;
#[cfg(test)]
pub mod sample;
pub mod script;
pub mod script_run;
pub mod setting;
pub mod start;
pub mod storage;
pub mod switch;
pub mod terminal;
pub mod timeline;
pub mod user;

use askama::Template;
use askama::filters::HtmlSafe;
use rackwright_common::Status;
use rackwright_common::bmc::PowerState;
use rackwright_region::model::Role;

/// How something is doing, as a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing to say.
    Quiet,
    /// As it should be.
    Good,
    /// Somebody's.
    Taken,
    /// Under way.
    Busy,
    /// Somebody may want to look.
    Warning,
    /// Somebody has to act.
    Bad,
}

impl Tone {
    /// Name of its CSS class.
    pub fn class(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Good => "good",
            Self::Taken => "taken",
            Self::Busy => "busy",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }

    /// Of a machine's status.
    pub fn of_status(status: Status) -> Self {
        match status {
            Status::New => Self::Quiet,
            Status::Ready | Status::Deployed => Self::Good,
            Status::Allocated => Self::Taken,
            Status::RescueMode => Self::Warning,
            other if other.is_failed() => Self::Bad,
            _ => Self::Busy,
        }
    }
}

/// A word in a coloured capsule.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(source = r#"<span class="pill {{ tone.class() }}">{{ text }}</span>"#, ext = "html")]
pub struct Pill {
    tone: Tone,
    text: String,
}

impl HtmlSafe for Pill {}

impl Pill {
    /// Any word.
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into() }
    }

    /// A machine's status.
    pub fn of_status(status: Status) -> Self {
        Self::new(Tone::of_status(status), status.label())
    }

    /// A machine's power.
    pub fn of_power(state: PowerState) -> Self {
        match state {
            PowerState::On => Self::new(Tone::Good, "On"),
            PowerState::Off => Self::new(Tone::Quiet, "Off"),
            PowerState::Unknown => Self::new(Tone::Warning, "Unknown"),
        }
    }

    /// An operation's, a work item's or a script run's state.
    pub fn of_outcome(status: &str) -> Self {
        let tone = match status {
            "done" | "passed" => Tone::Good,
            "running" | "given" => Tone::Busy,
            "failed" | "timed-out" => Tone::Bad,
            "degraded" | "aborted" => Tone::Warning,
            _ => Tone::Quiet,
        };
        let text = if status == "given" { "running" } else { status };
        Self::new(tone, crate::format::capital(&text.replace('-', " ")))
    }
}

/// What every page has around its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Who is logged in.
    pub user: String,
    /// What they may do.
    pub role: Role,
    /// The most that they may do, be it in some pool only.
    pub highest: Role,
    /// CSRF token for the forms.
    pub csrf: String,
    /// `light`, `dark`, or empty to follow the system.
    pub theme: String,
    /// The page's place in the navigation.
    pub nav: &'static str,
    /// Notifications that they have not seen, counted to a hundred.
    pub unread: i64,
}

/// The pages of the navigation: name, address, who may see them.
const NAV: [(&str, &str, Role); 16] = [
    ("Overview", "/", Role::Viewer),
    ("Machines", "/machines", Role::Viewer),
    ("Operations", "/operations", Role::Viewer),
    ("Events", "/events", Role::Viewer),
    ("Notifications", "/notifications", Role::Viewer),
    ("Images", "/images", Role::Viewer),
    ("Scripts", "/scripts", Role::Viewer),
    ("Networks", "/networks", Role::Viewer),
    ("Switches", "/switches", Role::Viewer),
    ("Names", "/names", Role::Viewer),
    ("Groups", "/groups", Role::Viewer),
    ("Discovery", "/discoveries", Role::Viewer),
    ("Controllers", "/controllers", Role::Viewer),
    ("Users", "/users", Role::Administrator),
    ("Audit", "/audit", Role::Administrator),
    ("Settings", "/settings", Role::Viewer),
];

impl Layout {
    /// As in the tests.
    #[cfg(test)]
    pub fn sample(nav: &'static str) -> Self {
        Self {
            user: "ann".into(),
            role: Role::Operator,
            highest: Role::Operator,
            csrf: "csrf-of-ann".into(),
            theme: String::new(),
            nav,
            unread: 3,
        }
    }

    /// The entries of the navigation that this person has: name, address.
    pub fn places(&self) -> Vec<(&'static str, &'static str)> {
        let mine = NAV.into_iter().filter(|(.., least)| self.role >= *least);
        mine.map(|(name, address, _)| (name, address)).collect()
    }

    /// What stands beside an entry: how many are new.
    pub fn news(&self, name: &str) -> Option<String> {
        let many = if self.unread >= 100 { "99+".to_owned() } else { self.unread.to_string() };
        (name == "Notifications" && self.unread > 0).then(|| format!("{many} new"))
    }

    /// The page is under this entry.
    pub fn current(&self, name: &str) -> bool {
        self.nav == name
    }
}

/// A label and its value in a datasheet; empty values are not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Label.
    pub label: &'static str,
    /// Value.
    pub value: String,
    /// Machine-made text, shown in a fixed-width font.
    pub code: bool,
}

impl Fact {
    /// Words.
    pub fn new(label: &'static str, value: impl Into<String>) -> Self {
        Self { label, value: value.into(), code: false }
    }

    /// Serial numbers, addresses and the like.
    pub fn code(label: &'static str, value: impl Into<String>) -> Self {
        Self { label, value: value.into(), code: true }
    }
}

/// Facts that have a value.
pub fn known(facts: Vec<Fact>) -> Vec<Fact> {
    facts.into_iter().filter(|f| !f.value.is_empty()).collect()
}

/// Joins what is there.
pub fn joined<'a>(parts: impl IntoIterator<Item = Option<&'a str>>, by: &str) -> String {
    parts.into_iter().flatten().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(by)
}

/// The moment that samples are seen at: 2026-11-22 06:30:00 UTC.
#[cfg(test)]
pub fn sample_now() -> time::OffsetDateTime {
    time::macros::datetime!(2026-11-22 06:30:00 UTC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn every_status_has_a_tone_that_fits() {
        for &status in Status::ALL {
            let tone = Tone::of_status(status);
            assert_eq!(tone == Tone::Busy, status.is_transient(), "{status}");
            assert_eq!(tone == Tone::Bad, status.is_failed(), "{status}");
        }
    }

    /// What every page and part shows of samples with markup in every text.
    fn samples() -> Vec<(&'static str, String)> {
        vec![
            ("machine list", machine_list::MachineList::sample().to_string()),
            ("overview", dashboard::Dashboard::sample().to_string()),
            ("devices", device::DevicesPage::sample().to_string()),
            ("discoveries", discovery::DiscoveriesPage::sample().to_string()),
            ("switches", switch::SwitchesPage::sample().to_string()),
            ("switch", switch::SwitchPage::sample().to_string()),
            ("terminal", terminal::TerminalPage::sample().to_string()),
            ("bulk preview", bulk::PreviewPage::sample().to_string()),
            ("bulk result", bulk::ResultPage::sample().to_string()),
            ("machine", machine::MachinePage::sample().to_string()),
            ("machine edit", machine_edit::EditPage::sample().to_string()),
            ("machine network", machine_network::NetworkPage::sample().to_string()),
            ("hardware", hardware::Hardware::sample().to_string()),
            ("activity", activity::Activity::sample().to_string()),
            ("comparison", comparison::Compared::sample().to_string()),
            ("script run", script_run::RunPage::sample().to_string()),
            ("operations", operation::OperationsPage::sample().to_string()),
            ("operation", operation::OperationPage::sample().to_string()),
            ("events", event::EventsPage::sample().to_string()),
            ("audit", audit::AuditPage::sample().to_string()),
            ("notifications", notification::NotificationsPage::sample().to_string()),
            ("login provider", login_provider::LoginProviderPage::sample().to_string()),
            ("editor", editor::EditorPage::sample().to_string()),
            ("groups", group::GroupsPage::sample().to_string()),
            ("image", image::ImagePage::sample().to_string()),
            ("new image", image::NewImagePage::sample().to_string()),
            ("subnet", network_edit::SubnetPage::sample().to_string()),
            ("start", start::StartPage::sample().to_string()),
            ("images", image::ImagesPage::sample().to_string()),
            ("controllers", controller::ControllersPage::sample().to_string()),
            ("names", name::NamesPage::sample().to_string()),
            ("networks", network::NetworksPage::sample().to_string()),
            ("account", account::AccountPage::sample().to_string()),
            ("users", user::UsersPage::sample().to_string()),
            ("user", user::UserPage::sample().to_string()),
            ("scripts", script::ScriptsPage::sample().to_string()),
            ("script", script::ScriptPage::sample().to_string()),
            ("settings", setting::SettingsPage::sample().to_string()),
            ("login", login::LoginPage::sample().to_string()),
            ("problem", problem::ProblemPage::sample().to_string()),
        ]
    }

    /// None of the markup gets through.
    #[test]
    fn every_template_renders_and_escapes() {
        for (name, html) in samples() {
            for wrong in ["<script>alert", "<img", "style=", "onclick", "<b>no"] {
                assert!(!html.contains(wrong), "{name} lets {wrong} through:\n{html}");
            }
            assert!(html.contains("alert(1)"), "{name} shows none of it");
        }
    }

    #[test]
    fn every_form_and_button_says_its_command() {
        // What is about this visit, and not about the site.
        let of_the_visit = ["/login", "/logout", "/theme"];
        let (mut seen, mut silent) = (0, BTreeSet::new());
        for (name, html) in samples() {
            for form in html.split("<form method=\"post\" action=\"").skip(1) {
                let (action, form) = form.split_once('"').expect("an action");
                let form = form.split("</form>").next().unwrap_or_default();
                if of_the_visit.iter().any(|place| action.starts_with(place)) {
                    continue;
                }
                seen += 1;
                if !form.contains("Show as command") && !form.contains("title=\"rackwright ") {
                    silent.insert(format!("{name}: {action}"));
                }
            }
        }
        assert!(seen > 40 && silent.is_empty(), "of {seen} these say nothing: {silent:#?}");
    }

    /// The words of a template that stand in no other.
    fn own_words(file: &str, all: &BTreeMap<String, String>) -> Vec<String> {
        let mut words = Vec::new();
        for piece in all[file].split(['{', '}']) {
            let piece = piece.trim_matches(|c: char| c.is_whitespace() || c == '-');
            let elsewhere = all.iter().any(|(other, text)| other != file && text.contains(piece));
            // What stood between braces is never found in a page.
            if piece.len() >= 3 && !elsewhere {
                words.push(piece.to_owned());
            }
        }
        words
    }

    #[test]
    fn every_template_is_among_the_samples() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
        let files =
            std::fs::read_dir(folder).expect("templates").map(|entry| entry.expect("an entry").path());
        let all: BTreeMap<String, String> = files
            .map(|file| {
                let name = file.file_name().expect("a name").to_string_lossy().into_owned();
                (name, std::fs::read_to_string(&file).expect("text"))
            })
            .collect();
        let shown: String = samples().into_iter().map(|(_, html)| html).collect();
        let missing: Vec<_> = all
            .keys()
            .filter(|file| !own_words(file, &all).iter().any(|words| shown.contains(words)))
            .collect();
        assert!(all.len() > 40 && missing.is_empty(), "no sample shows {missing:?}");
    }

    #[test]
    fn only_administrators_are_led_to_the_users() {
        let operator = Layout::sample("Machines");
        assert!(!operator.places().iter().any(|(name, _)| *name == "Users"));
        let administrator = Layout { role: Role::Administrator, ..operator };
        assert!(administrator.places().contains(&("Users", "/users")));
    }

    #[test]
    fn a_pill_escapes_its_text() {
        let shown = Pill::new(Tone::Bad, "<b>").to_string();
        assert_eq!(shown, r#"<span class="pill bad">&#60;b&#62;</span>"#);
    }
}
