//! An interactive console from end to end: a person in Chromium, a region, a rack connected to it, a BMC with serial over LAN, and behind
//! its serial port a shell that asks for name and password, as getty does. Needs the packages chromium, postgresql and socat.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

#[path = "support/browser.rs"]
mod browser;

#[path = "support/regions.rs"]
mod regions;

use async_trait::async_trait;
use browser::Browser;
use rackwright_common::bmc::{BmcError, BmcOrder, BmcOutcome};
use rackwright_common::clock::SystemClock;
use rackwright_common::ntp::TimeReport;
use rackwright_ipmi::command::boot::BootFlags;
use rackwright_ipmi::server::{Chassis, ChassisFault, ServerConfig};
use rackwright_ipmi::sim::{SerialTarget, Simulator, SimulatorHandle};
use rackwright_link::{Ca, serve_on};
use rackwright_rack::console::{self, ConsoleTiming, Consoles, Surroundings};
use rackwright_rack::dhcp::LeaseExchange;
use rackwright_rack::link::{self, Hub, LinkContext, TaskRunner};
use rackwright_rack::state::{Journal, World};
use rackwright_region::app::terminal::Terminal;
use rackwright_region::auth::Actor;
use rackwright_region::db::wakeups::Wakeups;
use rackwright_region::images::exchange::Exchange;
use rackwright_region::inband::InBand;
use rackwright_region::model::Role;
use rackwright_region::model::terminal::FromTerminal;
use rackwright_region::network::NewNetworks;
use rackwright_region::racks::RackService;
use rackwright_region::standing::Standing;
use regions::{Address, second_region};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{PASSWORD, Site};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

const BMC: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 83);
const PAGE: &str = "/machines/p5t8rw/terminal";

/// A machine that is always on.
struct On;

impl Chassis for On {
    fn power(&mut self) -> Result<bool, ChassisFault> {
        Ok(true)
    }
    fn set_power(&mut self, _on: bool) -> Result<(), ChassisFault> {
        Ok(())
    }
    fn reset(&mut self) -> Result<(), ChassisFault> {
        Ok(())
    }
    fn shutdown(&mut self) -> Result<(), ChassisFault> {
        Ok(())
    }
    fn set_boot(&mut self, _flags: BootFlags) -> Result<(), ChassisFault> {
        Ok(())
    }
}

/// A rack with nothing to do but consoles.
struct Idle;

#[async_trait]
impl TaskRunner for Idle {
    async fn perform(&self, _order: BmcOrder) -> Result<BmcOutcome, BmcError> {
        Err(BmcError::Unsupported("this rack has consoles only".into()))
    }
}

/// What is behind the serial port; ends with the test.
struct Getty(Child);

impl Drop for Getty {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Getty {
    fn start(folder: &Path) -> Self {
        let script = folder.join("getty");
        let text = r#"
            while :; do
                printf 'box login: '; read name || exit
                stty -echo; printf 'Password: '; read password || exit; stty echo; echo
                [ "$password" = hunter2 ] && break
                echo 'Login incorrect'
            done
            echo "Welcome $name"
            PS1='box# ' exec sh -i
        "#;
        std::fs::write(&script, text).unwrap();
        let mut command = Command::new("socat");
        command.arg(format!("UNIX-LISTEN:{}", folder.join("serial").display()));
        command.arg(format!("EXEC:sh {},pty,setsid,ctty,stderr,sane", script.display()));
        Self(command.stdin(Stdio::null()).spawn().expect("socat is installed"))
    }
}

/// The stream service of the site's region, and a rack that is connected to it.
async fn connect_rack(site: &Site) -> DropGuard {
    let (ca, cancel) = (Ca::create().unwrap(), CancellationToken::new());
    let credentials = ca.issue_region(&[]).unwrap();
    let (store, keys) = (site.app.store().clone(), site.app.keys().clone());
    let service = RackService {
        inband: InBand::new(site.pool.clone(), keys.clone(), Wakeups::default()),
        pool: site.pool.clone(),
        keys,
        wakeups: site.app.wakeups().clone(),
        exchange: Exchange::new("region-1", store.clone(), site.pool.clone(), credentials.clone()),
        store,
        standing: Standing::default(),
        region: "region-1".to_owned(),
        new_networks: NewNetworks::Enter,
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let stop = cancel.clone();
    tokio::spawn(async move { serve_on(listener, &credentials, service, stop).await });
    // What the site knows of other boxes is made up: nothing is sent there.
    site.run(&format!(
        "UPDATE region SET stream = '{address}', last_seen_at = now() + interval '1 hour'; DELETE FROM bmc WHERE address NOT LIKE '127.%'"
    ))
    .await;
    let data = tempfile::tempdir_in(site.folder.path()).unwrap().keep();
    let config = rackwright_rack::RackConfig {
        name: "rack-a1".to_owned(),
        data: data.clone(),
        interfaces: Vec::new(),
        regions: vec![address],
        ..rackwright_rack::RackConfig::default()
    };
    let world = Arc::new(World::open(&data).unwrap());
    let journal = Journal::open(&data, Arc::new(SystemClock)).unwrap();
    let consoles = Consoles::new();
    let rack =
        Surroundings::new(world.clone(), journal.clone(), Arc::new(SystemClock), ConsoleTiming::default());
    tokio::spawn(console::run(consoles.clone(), rack, cancel.clone()));
    tokio::spawn(journal.clone().run(cancel.clone()));
    let context = LinkContext {
        held: tokio::sync::watch::channel(Vec::new()).1,
        config: Arc::new(config),
        credentials: Arc::new(ca.issue_rack("rack-a1").unwrap()),
        world,
        journal,
        runner: Arc::new(Idle),
        hub: Hub::new(),
        leases: LeaseExchange::default(),
        consoles,
        served: rackwright_rack::served::Served::default(),
        time: tokio::sync::watch::channel(TimeReport::default()).1,
        instance: uuid::Uuid::new_v4(),
    };
    tokio::spawn(link::run(context, cancel.clone()));
    cancel.drop_guard()
}

/// Types a line, key by key.
fn enter(browser: &mut Browser, line: &str) {
    for key in line.chars() {
        let key = key.to_string();
        for kind in ["keyDown", "keyUp"] {
            // Without a code of its own: codes of keys are not codes of characters.
            let text = if kind == "keyDown" { key.as_str() } else { "" };
            browser.call(
                "Input.dispatchKeyEvent",
                serde_json::json!({ "type": kind, "key": key, "text": text }),
            );
        }
    }
    browser.press("Enter");
}

fn shows(browser: &mut Browser, text: &str) {
    browser.wait(&format!("document.getElementById('terminal').screen().includes({text:?})"));
}

fn state(browser: &mut Browser, text: &str) {
    browser.wait(&format!("document.getElementById('terminal-state').innerText === {text:?}"));
}

fn count(site: &Site, sql: &'static str) -> i64 {
    Handle::current().block_on(sqlx::query_scalar(sql).fetch_one(&site.pool)).unwrap()
}

/// A site whose machine `p5t8rw` has a BMC, and what is behind its serial port.
async fn with_console() -> (Site, SimulatorHandle, Getty) {
    let site = Site::start("127.0.0.1:0").await;
    let getty = Getty::start(site.folder.path());
    let target = SerialTarget::Unix(site.folder.path().join("serial"));
    let server = ServerConfig::new("admin", b"secretpw");
    let bmc =
        Simulator::bind((BMC, 0).into(), server, Box::new(On)).unwrap().with_serial(target).spawn().unwrap();
    let bmc_of = serde_json::json!({ "driver": "ipmi", "address": BMC.to_string(), "port": bmc.address.port(),
        "username": "admin", "password": "secretpw" });
    let admin = Actor::new(1, "admin", Role::Administrator, None);
    let id = "p5t8rw".parse().unwrap();
    let new = serde_json::from_value(bmc_of).unwrap();
    rackwright_region::app::machine::set_bmc(&site.app, &admin, &id, None, &new).await.unwrap();
    (site, bmc, getty)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_on_the_serial_line_and_another_takes_over() {
    let (site, bmc, _getty) = with_console().await;
    let _rack = connect_rack(&site).await;
    let done = tokio::task::spawn_blocking(move || story(&site, &mut Browser::start()));
    done.await.unwrap();
    drop(bmc);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_outlives_its_region_and_its_rack() {
    let (site, bmc, _getty) = with_console().await;
    let regions = [site.url.strip_prefix("http://").unwrap().parse().unwrap(), second_region(&site).await];
    let address = Address::open().await;
    address.region.send_replace(Some(regions[0]));
    let rack = connect_rack(&site).await;
    let watched = tokio::task::spawn_blocking(move || {
        let browser = &mut Browser::start();
        browser.log_in(&address.url, "ann", PASSWORD);
        browser.open(&format!("{}{PAGE}", address.url));
        shows(browser, "box login:");
        browser.value("document.getElementById('terminal-turn').click()");
        state(browser, "You are typing");
        enter(browser, "ann");
        shows(browser, "Password:");
        enter(browser, "hunter2");
        shows(browser, "Welcome ann");

        address.region.send_replace(None);
        state(browser, "Not connected; trying again");
        address.region.send_replace(Some(regions[1]));
        // It has its turn again, because nobody else has taken it.
        state(browser, "You are typing");
        enter(browser, "echo by-$((40 + 2))");
        shows(browser, "by-42");
        let welcomes =
            browser.value("document.getElementById('terminal').screen().split('Welcome ann').length - 1");
        assert_eq!(welcomes, 1, "nothing is shown twice");

        drop(rack);
        enter(browser, "echo lost");
        browser.wait("!document.getElementById('terminal-trouble').hidden");
        let trouble = browser.text("#terminal-trouble");
        assert!(trouble.contains("rack"), "{trouble}");
        let _rack = Handle::current().block_on(connect_rack(&site));
        // A person types it again until the machine answers.
        let deadline = Instant::now() + Duration::from_secs(30);
        while browser.value("!document.getElementById('terminal').screen().includes('back-43')") == true {
            assert!(Instant::now() < deadline, "{}", browser.text("#terminal-trouble"));
            enter(browser, "echo back-$((40 + 3))");
            browser.wait(
                "!document.getElementById('terminal-trouble').hidden || document.getElementById('terminal').screen().includes('back-43')",
            );
        }
    });
    watched.await.unwrap();
    drop(bmc);
}

fn story(site: &Site, browser: &mut Browser) {
    browser.log_in(&site.url, "ann", PASSWORD);
    browser.open(&format!("{}{PAGE}", site.url));
    state(browser, "Nobody is typing");
    shows(browser, "box login:");
    // Before it is somebody's turn, keys go nowhere.
    browser.value("document.querySelector('.xterm-helper-textarea').focus()");
    enter(browser, "nobody");
    browser.value("document.getElementById('terminal-turn').click()");
    state(browser, "You are typing");
    enter(browser, "ann");
    shows(browser, "Password:");
    enter(browser, "hunter2");
    shows(browser, "Welcome ann");
    assert_eq!(browser.value("document.getElementById('terminal').screen().includes('hunter2')"), false);

    // What the machine writes is drawn, and does nothing.
    enter(browser, r"printf '\033]0;evil\007\033[31m<img src=x onerror=alert(1)>\033[0m\033[6n\n'");
    shows(browser, "\n<img src=x onerror=alert(1)>");
    assert_eq!(browser.value("document.title"), "Console of ceph-03 · Rackwright");
    if let Some(folder) = std::env::var_os("RACKWRIGHT_SCREENSHOTS") {
        std::fs::write(Path::new(&folder).join("terminal.png"), browser.picture()).unwrap();
    }

    // One types at a time, and everybody sees who.
    let admin = Actor::new(1, "admin", Role::Administrator, None);
    let id = "p5t8rw".parse().unwrap();
    let other = Handle::current().block_on(async {
        let mut other = Terminal::open(&site.app, &admin, &id, None).await.unwrap();
        other.take_in(FromTerminal::Take { if_free: true }).await.unwrap();
        other.take_in(FromTerminal::Type { text: "echo refused\r".to_owned().into() }).await.unwrap();
        other.take_in(FromTerminal::Take { if_free: false }).await.unwrap();
        other.take_in(FromTerminal::Type { text: "echo by-$((40 + 2))\r".to_owned().into() }).await.unwrap();
        other
    });
    state(browser, "admin is typing");
    shows(browser, "by-42");
    assert_eq!(browser.text("#terminal-turn"), "Take over");
    assert_eq!(browser.value("document.getElementById('terminal').screen().includes('refused')"), false);
    Handle::current().block_on(other.close());
    state(browser, "Nobody is typing");

    // Nothing that was typed is left anywhere, and who typed is on record.
    assert_eq!(count(site, "SELECT count(*) FROM console_input"), 0);
    assert_eq!(
        count(site, "SELECT count(*) FROM event WHERE kind = 'console.taken' AND machine_id = 'p5t8rw'"),
        2
    );
    browser.expect_clean(&site.url);

    // A viewer looks, and does not type.
    browser.value("document.querySelector('form[action=\"/logout\"]').requestSubmit()");
    browser.wait("location.pathname === '/login'");
    browser.log_in(&site.url, "vera", PASSWORD);
    browser.open(&format!("{}{PAGE}", site.url));
    shows(browser, "by-42");
    assert_eq!(browser.value("document.getElementById('terminal-turn').hidden"), true);
    // Whose rights end does not go on looking.
    Handle::current().block_on(site.run("UPDATE \"user\" SET disabled = TRUE WHERE name = 'vera'"));
    state(browser, "Not connected; trying again");
}
