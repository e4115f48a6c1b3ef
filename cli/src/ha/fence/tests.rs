use super::*;
use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;

/// Surroundings that do as they are told, and remember what was done.
struct Told {
    hears: bool,
    leader: &'static str,
    votes: &'static [&'static str],
    command: bool,
    off: bool,
    done: RefCell<Vec<&'static str>>,
}

impl Told {
    /// `one` leads and is silent, `two` and `three` say so, and it can be switched off.
    fn new() -> Self {
        let done = RefCell::default();
        Self { hears: false, leader: "one", votes: &["three", "two"], command: true, off: true, done }
    }

    fn did(&self, what: &'static str) {
        self.done.borrow_mut().push(what);
    }
}

impl Around for Told {
    async fn hears(&self, _: &str) -> bool {
        self.hears
    }
    async fn leads(&self, name: &str) -> Result<bool> {
        Ok(self.leader == name)
    }
    async fn vote(&self, _: &str) -> Result<()> {
        self.did("vote");
        Ok(())
    }
    async fn votes(&self, _: &str) -> Result<BTreeSet<String>> {
        Ok(self.votes.iter().map(|name| (*name).to_owned()).collect())
    }
    fn can_switch_off(&self, _: &str) -> Result<bool> {
        Ok(self.command)
    }
    async fn switch_off(&self, _: &str) -> Result<()> {
        self.did("off");
        ensure!(self.off, "the BMC does not answer");
        Ok(())
    }
    async fn dethrone(&self, name: &str) -> Result<bool> {
        self.did("dethrone");
        Ok(self.leader == name)
    }
}

async fn outcome(told: &Told) -> Result<Outcome> {
    replace(told, "three", "one", 2, Duration::ZERO).await
}

#[tokio::test]
async fn a_silent_primary_is_switched_off_and_then_replaced() {
    let told = Told::new();
    assert_eq!(outcome(&told).await.unwrap(), Outcome::Replaced);
    assert_eq!(*told.done.borrow(), ["vote", "off", "dethrone"]);
}

#[tokio::test]
async fn a_primary_that_is_not_off_for_certain_keeps_its_key() {
    let told = Told { off: false, ..Told::new() };
    assert!(outcome(&told).await.unwrap_err().to_string().contains("does not answer"));
    assert_eq!(*told.done.borrow(), ["vote", "off"]);
}

#[tokio::test]
async fn nobody_is_switched_off_who_is_heard_leads_not_or_is_silent_to_few() {
    for (told, expected, done) in [
        (Told { hears: true, ..Told::new() }, Outcome::Heard, vec!["vote"]),
        (Told { leader: "two", ..Told::new() }, Outcome::LeadsNot, vec![]),
        (Told { votes: &["three"], ..Told::new() }, Outcome::TooFew, vec!["vote"]),
        (Told { command: false, ..Told::new() }, Outcome::NoCommand, vec![]),
    ] {
        assert_eq!(outcome(&told).await.unwrap(), expected);
        assert_eq!(*told.done.borrow(), done, "{expected:?}");
    }
}

#[test]
fn nodes_take_turns_and_only_those_who_said_so() {
    let votes = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(turn(&votes(&["three", "two"]), "three", 2), Some(0));
    assert_eq!(turn(&votes(&["three", "two"]), "two", 2), Some(1));
    assert_eq!(turn(&votes(&["three", "two"]), "one", 2), None);
    assert_eq!(turn(&votes(&["two"]), "two", 2), None);
    assert_eq!(turn(&votes(&["five", "four", "two"]), "two", 3), Some(2));
}

/// A site whose fence agent for `two` is a shell script; the folder goes with the first value.
fn site(agent: &str) -> (tempfile::TempDir, Site) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("agent");
    std::fs::write(&program, format!("#!/bin/sh\n{agent}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let nodes: Vec<_> = ["one=127.0.0.2", "two=127.0.0.3", "three=127.0.0.4"]
        .map(|text| crate::ha::inventory::parse_node(text).unwrap())
        .into();
    let mut inventory = Inventory::make(nodes.clone(), None, true).unwrap();
    let command = vec![program.display().to_string(), "--plug".into(), "2".into()];
    inventory.fence.insert("two".into(), command);
    let config = folder.path().join("ha.toml");
    inventory.save(&config).unwrap();
    let folders = folder.path().to_owned();
    let place = Place { config, node: None, folder: folders.clone(), data: folders, patroni: None };
    let site = Site::new(place, nodes[0].clone()).unwrap();
    (folder, site)
}

#[tokio::test]
async fn an_agent_has_to_switch_off_and_to_say_so_when_asked_again() {
    // $4 is the action, after --plug 2 -o.
    let sound = r#"case "$4" in off) exit 0 ;; status) exit 2 ;; esac; exit 1"#;
    let (_folder, it) = site(sound);
    assert!(it.can_switch_off("two").unwrap() && !it.can_switch_off("three").unwrap());
    it.switch_off("two").await.unwrap();
    for (agent, said) in [
        ("echo no BMC >&2; exit 1", "no BMC"),
        // It says that it has done it, and the box is on.
        ("exit 0", "which is not off"),
        (r#"[ "$4" = off ]"#, "which is not off"),
    ] {
        let (_folder, it) = site(agent);
        let error = it.switch_off("two").await.unwrap_err();
        assert!(error.to_string().contains(said), "{error:#}");
    }
}

#[tokio::test]
async fn a_box_that_answers_or_refuses_is_heard() {
    let (_folder, mut it) = site("exit 0");
    let listener = std::net::TcpListener::bind("127.0.0.3:0").unwrap();
    it.people_port = listener.local_addr().unwrap().port();
    assert!(it.hears("two").await);
    drop(listener);
    assert!(it.hears("two").await, "its programs have ended, and the box lives");
    assert!(!it.hears("nobody").await);
    for kind in [ErrorKind::HostUnreachable, ErrorKind::NetworkUnreachable, ErrorKind::TimedOut] {
        assert!(!is_answer(&Err(kind.into())), "{kind}");
    }
}
