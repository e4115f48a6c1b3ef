//! Somebody's first machine, at the page in Chromium: the first steps, a machine that appears, a BMC that is typed in, a deployment
//! that is refused and one that is not, SSH, the console, and the release. What they click is real: the machine has firmware, disk and BMC.
//!
//! Images come from `.lab/cache`, where `cargo xtask demo` builds them; `cargo xtask test --only e2e` runs that first.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[path = "../../../web-ui/tests/support/browser.rs"]
mod browser;

use anyhow::{Context, ensure};
use browser::Browser;
use rackwright_lab::qemu::BootOrder;
use rackwright_lab::{Machine, forward, ns, poll};
use rackwright_tests::site::{LIMIT, Site};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PILL: &str = "document.querySelector('#head .pill').innerText";

/// Waits until an expression about the page is true, as long as machines take.
fn until(browser: &mut Browser, what: &str, expression: &str) {
    poll::until(LIMIT, what, || {
        let seen = browser.value(expression);
        ensure!(seen == true, "{}", browser.text("main"));
        Ok(Some(()))
    })
    .unwrap();
}

fn fill(browser: &mut Browser, selector: &str, value: &str) {
    browser.value(&format!("document.querySelector({selector:?}).value = {value:?}"));
}

fn submit(browser: &mut Browser, form: &str) {
    browser.leave_by(&format!("document.querySelector({form:?}).requestSubmit()"));
}

/// A picture of the page as it is, to look at.
fn picture(browser: &mut Browser, name: &str) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("operator-{name}.png"));
    std::fs::write(file, browser.picture()).unwrap();
}

/// A new key in this folder; its public half.
fn key(folder: &Path) -> String {
    let mut keygen = Command::new("ssh-keygen");
    ns::run(
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "somebody@desk", "-f"]).arg(folder.join("key")),
    )
    .unwrap();
    std::fs::read_to_string(folder.join("key.pub")).unwrap()
}

/// Logs in to the installed system by its MAC's address.
fn ssh_answers(site: &Site, key: &Path) -> anyhow::Result<String> {
    let mac = site.lab().machine("m1")?.plan().nics[0].mac.clone();
    let table = ns::run_for_text(site.lab().exec("ctl", "ip").args(["-4", "neigh"]))?;
    let line = table.lines().find(|line| line.contains(&mac)).context("no address is known")?;
    let address = line.split_whitespace().next().unwrap_or_default();
    let mut ssh = site.lab().exec("ctl", "ssh");
    ssh.arg("-i").arg(key);
    for option in
        ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=5", "BatchMode=yes"]
    {
        ssh.args(["-o", option]);
    }
    ns::run_for_text(ssh.arg(format!("debian@{address}")).arg("hostname"))
}

/// Types a line into the terminal, key by key.
fn enter(browser: &mut Browser, line: &str) {
    for key in line.chars() {
        browser.press(&key.to_string());
    }
    browser.press("Enter");
}

#[test]
fn somebody_takes_a_machine_from_its_first_boot_to_ssh_and_back_by_clicking() {
    let site = Site::new("e2eclick", vec![Machine::bios("m1").with_ipmi_sim(11)], &[]).unwrap();
    site.start().unwrap();
    for setting in ["ephemeral_kernel_arguments", "installed_kernel_arguments"] {
        site.ask(&["setting", "set", setting, "console=ttyS0 no_timer_check"]).unwrap();
    }
    let region = forward::spawn(0, &site.lab().namespace("ctl"), "10.77.0.1:5240".parse().unwrap()).unwrap();
    let url = format!("http://{region}");
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::start();
    let browser = &mut browser;
    let password = std::fs::read_to_string(site.data().join("admin.password")).unwrap();
    browser.log_in(&url, "admin", password.trim());

    // The first steps check themselves.
    browser.open(&format!("{url}/start"));
    let done = "document.querySelector('#steps progress').value";
    let before = browser.value(done).as_i64().unwrap();
    site.load_images(&["bootloaders", "ephemeral", "debian-12"]).unwrap();
    until(browser, "the steps of the images", &format!("{done} >= {}", before + 2));
    browser.open(&format!("{url}/account"));
    fill(browser, "#key-public_key", key(folder.path()).trim());
    submit(browser, "#key");
    assert!(browser.text("main").contains("somebody@desk"));

    // Somebody presses the machine's button.
    browser.open(&format!("{url}/machines"));
    site.lab().machine("m1").unwrap().start(BootOrder::NetworkFirst).unwrap();
    until(
        browser,
        "the machine to appear",
        "document.querySelectorAll('main table.list tbody tr').length === 1",
    );
    browser.leave_by("document.querySelector('main table.list tbody th a').click()");
    until(browser, "the machine to be read", &format!("{PILL} === 'Ready'"));
    picture(browser, "ready");
    let page = browser.value("location.href").as_str().unwrap().to_owned();

    // What would be powered off by hand is told its BMC, and is read and tested again by that.
    browser.leave_by("document.querySelector('#head .actions a[href$=\"/edit\"]').click()");
    let handle = site.lab().machine("m1").unwrap();
    let bmc = handle.plan().bmc.as_ref().unwrap();
    fill(browser, "#bmc-address", &bmc.address.to_string());
    fill(browser, "#bmc-username", &bmc.user);
    fill(browser, "#bmc-password", &bmc.password.0);
    submit(browser, "form#bmc");
    browser.open(&page);
    browser.value("document.querySelector('#do-commission [name=tests][value=none]').click()");
    submit(browser, "#do-commission form");
    assert_eq!(browser.text("#head .pill"), "Commissioning");
    until(browser, "the commissioning", &format!("{PILL} === 'Ready'"));

    // What cannot be is refused in words, and the form is there again.
    fill(browser, "#do-deploy [name=image]", "debian-12");
    fill(browser, "#do-deploy [name=user_data]", "packages: [htop]\n");
    submit(browser, "#do-deploy form");
    assert!(
        browser.text("#refused").contains("it must begin with `#cloud-config`"),
        "{}",
        browser.text("#refused")
    );
    assert!(browser.complaints.iter().all(|c| c.contains("409")), "{:?}", browser.complaints);
    browser.complaints.clear();
    fill(browser, "#do-deploy [name=user_data]", "");
    submit(browser, "#do-deploy form");
    assert_eq!(browser.text("#head .pill"), "Deploying");
    until(browser, "the deployment", &format!("{PILL} === 'Deployed'"));
    picture(browser, "deployed");
    let timeline = browser.text(".timeline");
    assert!(timeline.contains("Kernel and agent") && timeline.contains("Install"), "{timeline}");
    let name =
        poll::until(LIMIT, "SSH to answer", || ssh_answers(&site, &folder.path().join("key")).map(Some))
            .unwrap();
    assert_eq!(name.trim(), browser.text("h1"));

    // The console, into which one types.
    browser.leave_by("document.querySelector('#console a[href$=\"/terminal\"]').click()");
    let screen = "document.getElementById('terminal').screen()";
    browser.wait("!document.getElementById('terminal-turn').hidden");
    browser.value("document.getElementById('terminal-turn').click()");
    browser.wait("document.getElementById('terminal-state').innerText === 'You are typing'");
    // The simulator of a BMC loses what comes before it has reached the machine's line; people type it again.
    poll::until(Duration::from_secs(90), "the question for a password", || {
        enter(browser, "nobody");
        poll::until(Duration::from_secs(3), "an answer", || {
            let seen = browser
                .value(&format!("{screen}.includes('login: nobody') && {screen}.includes('Password:')"));
            ensure!(seen == true, "{}", browser.text("main"));
            Ok(Some(Some(())))
        })
    })
    .unwrap();
    picture(browser, "console");

    // All steps are done; the machine is given back.
    browser.open(&format!("{url}/start"));
    until(
        browser,
        "all steps",
        "document.querySelector('#steps progress').value === document.querySelector('#steps progress').max",
    );
    browser.open(&page);
    fill(browser, "#do-release [name=erase]", "none");
    submit(browser, "#do-release form");
    until(browser, "the release", &format!("{PILL} === 'Ready'"));
    browser.expect_clean(&url);
}
