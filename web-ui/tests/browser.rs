//! The pages as a person meets them, in Chromium. Needs the packages chromium and postgresql.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

#[path = "support/browser.rs"]
mod browser;

use browser::Browser;
use std::path::PathBuf;
use support::{PASSWORD, Site};
use tokio::runtime::Handle;

/// Runs a person's session beside a site.
async fn with_browser(session: impl FnOnce(&Site, &mut Browser) + Send + 'static) {
    let site = Site::start("127.0.0.1:0").await;
    let done = tokio::task::spawn_blocking(move || session(&site, &mut Browser::start()));
    done.await.unwrap();
}

/// Changes the database, as a region's worker would.
fn meanwhile(site: &Site, sql: &str) {
    Handle::current().block_on(site.run(sql));
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_in_leads_to_the_page_that_was_asked_for() {
    with_browser(|site, browser| {
        browser.open(&format!("{}/machines/k3x9ab", site.url));
        assert_eq!(browser.value("location.pathname"), "/login");
        browser.value("document.querySelector('[name=name]').value = 'ann'");
        browser.value("document.querySelector('[name=password]').value = 'wrong'");
        browser.leave_by("document.querySelector('form').requestSubmit()");
        assert_eq!(browser.text("[role=alert]"), "Name or password is wrong.");
        // That is the one complaint there may be: the answer was 401.
        assert!(browser.complaints.iter().all(|c| c.contains("401")), "{:?}", browser.complaints);
        browser.complaints.clear();
        browser.value(&format!("document.querySelector('[name=password]').value = {PASSWORD:?}"));
        browser.leave_by("document.querySelector('form').requestSubmit()");
        assert_eq!(browser.value("location.pathname"), "/machines/k3x9ab");
        assert_eq!(browser.text("h1"), "ceph-01");
        browser.leave_by("document.querySelector('form[action=\"/logout\"]').requestSubmit()");
        browser.open(&format!("{}/machines", site.url));
        assert_eq!(browser.value("location.pathname"), "/login");
        browser.expect_clean(&site.url);
    })
    .await;
}

/// The pictures of the README: `RACKWRIGHT_SCREENSHOTS=docs/screenshots` writes them there anew; without it they go to
/// the target folder, to look at.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_the_main_pages() {
    let folder = std::env::var_os("RACKWRIGHT_SCREENSHOTS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    with_browser(move |site, browser| {
        browser.log_in(&site.url, "ann", PASSWORD);
        for (name, page) in [("overview", "/"), ("machines", "/machines"), ("machine", "/machines/m7d2qz")] {
            for scheme in ["light", "dark"] {
                browser.prefer(scheme);
                // Controllers are heard, but one.
                meanwhile(
                    site,
                    "UPDATE region SET last_seen_at = now(); UPDATE rack SET last_seen_at = now() WHERE name <> 'rack-b1'",
                );
                browser.open(&format!("{}{page}", site.url));
                browser.wait("document.getElementById('live').dataset.state === 'on'");
                let picture = browser.picture();
                assert!(picture.starts_with(b"\x89PNG") && picture.len() > 20_000);
                let suffix = if scheme == "dark" { "-dark" } else { "" };
                std::fs::write(folder.join(format!("{name}{suffix}.png")), picture).unwrap();
            }
        }
        Handle::current().block_on(site.add_fleet());
        browser.prefer("light");
        browser.open(&format!("{}/machines/m7d2qz", site.url));
        browser.value("document.getElementById('comparison').scrollIntoView()");
        std::fs::write(folder.join("comparison.png"), browser.picture()).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_follows_what_happens() {
    with_browser(|site, browser| {
        browser.log_in(&site.url, "ann", PASSWORD);
        browser.open(&format!("{}/machines", site.url));
        browser.value("document.querySelector('[value=p5t8rw]').click()");
        browser.wait("document.getElementById('live').dataset.state === 'on'");
        browser.value("window.sameDocument = true");
        assert!(browser.text("#m-p5t8rw").contains("Ready"));
        meanwhile(
            site,
            "UPDATE machine SET status = 'allocated', status_since = now() WHERE id = 'p5t8rw';
             INSERT INTO event (kind, machine_id, actor, message) VALUES ('machine.status', 'p5t8rw', 'ann', 'Ready → Allocated')",
        );
        browser.wait("document.getElementById('m-p5t8rw').innerText.includes('Allocated')");
        browser.wait("!document.getElementById('chips').innerText.includes('Ready')");
        meanwhile(
            site,
            "INSERT INTO machine (id, hostname) VALUES ('z2z2z2', 'newcomer');
             INSERT INTO event (kind, machine_id, actor, message) VALUES ('machine.enlisted', 'z2z2z2', 'rack:rack-a1', 'enlisted')",
        );
        browser.wait("document.getElementById('m-z2z2z2') !== null");
        // What was ticked stays ticked while rows and the whole table come anew.
        assert_eq!(browser.value("document.querySelector('[value=p5t8rw]').checked"), true);
        assert_eq!(browser.text("[data-picked]"), "1 chosen:");
        assert_eq!(browser.value("window.sameDocument"), true);
        browser.expect_clean(&site.url);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_machines_are_chosen_with_the_keyboard_and_locked() {
    with_browser(|site, browser| {
        browser.log_in(&site.url, "ann", PASSWORD);
        browser.open(&format!("{}/machines?q=ceph", site.url));
        for key in ["j", "x", "j", "x"] {
            browser.press(key);
        }
        assert_eq!(browser.text("[data-picked]"), "2 chosen:");
        assert_eq!(browser.value("document.querySelector('[data-pick-all]').indeterminate"), true);
        browser.value("document.querySelector('[name=verb]').value = 'lock'");
        browser.leave_by("document.querySelector('#bulk').requestSubmit()");
        assert_eq!(browser.text("h1"), "Lock");
        assert!(browser.text("#confirm button").contains("Lock: 2 machines"));
        browser.leave_by("document.querySelector('#confirm').requestSubmit()");
        browser.wait("document.querySelector('main h1 + .pill').innerText === 'Ended'");
        assert_eq!(browser.value("document.querySelectorAll('main .lock').length"), 2);
        assert_eq!(browser.text("#refused"), "");
        // The rows of the result are live.
        browser.wait("document.getElementById('live').dataset.state === 'on'");
        meanwhile(
            site,
            "UPDATE machine SET status = 'broken' WHERE id = 'm7d2qz';
             INSERT INTO event (kind, machine_id, actor, message) VALUES ('machine.status', 'm7d2qz', 'ann', 'Deploying → Broken')",
        );
        browser.wait("document.getElementById('m-m7d2qz').innerText.includes('Broken')");
        browser.expect_clean(&site.url);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_leads_to_the_way_out_and_follows_what_happens() {
    with_browser(|site, browser| {
        browser.log_in(&site.url, "ann", PASSWORD);
        browser.wait("document.getElementById('live').dataset.state === 'on'");
        browser.value("window.sameDocument = true");
        assert!(browser.text(".troubles").contains("build-03"));
        meanwhile(
            site,
            "UPDATE machine SET status = 'broken', status_message = 'fan 3 stands still', status_since = now() WHERE id = 'p5t8rw';
             INSERT INTO event (kind, machine_id, actor, message) VALUES ('machine.status', 'p5t8rw', 'ann', 'Ready → Broken')",
        );
        browser.wait("document.querySelector('.troubles').innerText.includes('Fan 3 stands still')");
        assert_eq!(browser.value("window.sameDocument"), true);
        browser.leave_by("[...document.querySelectorAll('.ways a')].find(a => a.hash === '#do-test' && a.pathname === '/machines/g4h6j3').click()");
        assert_eq!(browser.value("location.pathname"), "/machines/g4h6j3");
        assert_eq!(browser.value("document.querySelector('#do-test').matches(':popover-open')"), true);
        browser.expect_clean(&site.url);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machines_page_shows_hardware_timeline_and_its_log_as_it_happens() {
    with_browser(|site, browser| {
        browser.log_in(&site.url, "ann", PASSWORD);
        browser.open(&format!("{}/machines/m7d2qz", site.url));
        let hardware = browser.text("#hardware");
        for known in ["Xeon(R) Silver 4514Y", "P1-DIMMA1", "SAMSUNG MZQL21T9HCJR-00A07", "sw-a1 · Ethernet2 · VLAN 77"] {
            assert!(hardware.contains(known), "{known}: {hardware}");
        }
        let timeline = browser.text(".timeline");
        for phase in ["Power and firmware", "Boot loader fetched", "Kernel and agent", "Install: debian-12@3"] {
            assert!(timeline.contains(phase), "{phase}: {timeline}");
        }
        assert!(browser.value("document.querySelectorAll('.timeline rect').length").as_i64() > Some(8));
        assert!(browser.text("#tests").contains("2712.43"));
        browser.value("window.sameDocument = true");
        meanwhile(
            site,
            "INSERT INTO work_log (work_item_id, boot_id, seq, text) VALUES (21, gen_random_uuid(), 99, 'the last block is written');
             UPDATE work_item SET percent = 97, message = 'checking' WHERE id = 21",
        );
        browser.wait("document.querySelector('[data-log]').textContent.includes('the last block is written')");
        browser.wait("document.querySelector('#activity .work').innerText.includes('checking')");
        meanwhile(
            site,
            "UPDATE operation SET status = 'done', finished_at = now() WHERE id = 120;
             UPDATE machine SET status = 'deployed' WHERE id = 'm7d2qz';
             INSERT INTO event (kind, machine_id, operation_id, actor, message) VALUES
                 ('machine.status', 'm7d2qz', 120, 'rackwright', 'Deploying → Deployed'), ('operation.done', 'm7d2qz', 120, 'rackwright', 'deploy done')",
        );
        browser.wait("document.querySelector('#head .pill').innerText === 'Deployed'");
        browser.wait("document.querySelector('#activity h2 .pill').innerText === 'Done'");
        browser.wait("document.querySelector('#events').innerText.includes('deploy done')");
        assert!(browser.text("#head .actions").contains("Release"));
        assert_eq!(browser.value("window.sameDocument"), true);
        // Where another one stopped, and why.
        browser.open(&format!("{}/machines/d8e2f5", site.url));
        let stopped = browser.text("#activity");
        assert!(stopped.contains("Stopped here") && stopped.contains("Secure Boot setting"), "{stopped}");
        browser.expect_clean(&site.url);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_drawn_beside_the_others_of_its_model() {
    with_browser(|site, browser| {
        Handle::current().block_on(site.add_fleet());
        browser.log_in(&site.url, "ann", PASSWORD);
        browser.open(&format!("{}/machines/m7d2qz", site.url));
        let shown = browser.text("#comparison");
        assert!(shown.contains("Supermicro SYS-111C-NR, 33 machines"), "{shown}");
        // Its spinning disk is slower than any other of that model; the text says so, and so does the drawing.
        let slow = "[...document.querySelectorAll('.chart')].find(c => c.innerText.includes('Sequential read') && c.innerText.includes('TOSHIBA'))";
        let said = browser.value(&format!("{slow}.querySelector('svg').getAttribute('aria-label')"));
        assert!(said.as_str().unwrap().starts_with("This machine 171.3, lowest of 31. Median 26"), "{said}");
        assert_eq!(browser.value(&format!("{slow}.innerText.includes('Far below the others')")), true);
        let place = |part: &str| format!("(() => {{ const r = {slow}.querySelector('{part}').getBoundingClientRect(); return r.left + r.width / 2; }})()");
        let mark = browser.value(&place(".own circle")).as_f64().unwrap();
        let median = browser.value(&place(".median")).as_f64().unwrap();
        assert!(mark + 100.0 < median, "the mark is at {mark}, the median at {median}");
        assert!(browser.value(&format!("{slow}.querySelectorAll('.bar').length")).as_i64() > Some(3));
        browser.expect_clean(&site.url);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_edited_with_the_keyboard_and_a_refusal_has_the_focus() {
    with_browser(|site, browser| {
        browser.log_in(&site.url, "ann", PASSWORD);
        browser.open(&format!("{}/machines/p5t8rw/edit", site.url));
        browser.value("document.getElementById('edit-hostname').select()");
        browser.press("-");
        browser.value("window.stillHere = true");
        browser.press("Enter");
        browser.wait("document.readyState === 'complete' && !window.stillHere");
        assert_eq!(browser.value("document.activeElement.id"), "edit-hostname");
        assert_eq!(browser.value("document.activeElement.getAttribute('aria-invalid')"), "true");
        assert!(browser.text("#edit-hostname-problem").contains("`-` is not a host name"));
        assert!(browser.complaints.iter().all(|c| c.contains("422")), "{:?}", browser.complaints);
        browser.complaints.clear();
        browser.value("document.activeElement.select()");
        browser.press("x");
        browser.value("window.stillHere = true");
        browser.press("Enter");
        browser.wait("document.readyState === 'complete' && !window.stillHere");
        assert_eq!(browser.value("location.pathname"), "/machines/p5t8rw");
        assert_eq!(browser.text("h1"), "x");
        browser.expect_clean(&site.url);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_action_says_why_and_an_accepted_one_shows() {
    with_browser(|site, browser| {
        browser.log_in(&site.url, "ann", PASSWORD);
        browser.open(&format!("{}/machines/p5t8rw", site.url));
        browser.value("document.querySelector('[popovertarget=do-deploy]').click()");
        assert_eq!(browser.value("document.querySelector('#do-deploy').matches(':popover-open')"), true);
        browser.value("document.querySelector('#do-deploy [name=image]').value = 'debian-12'");
        browser.value("document.querySelector('#do-deploy [name=user_data]').value = 'packages: [htop]\\n'");
        browser.leave_by("document.querySelector('#do-deploy form').requestSubmit()");
        let why = browser.text("#refused");
        assert!(why.contains("User data: it must begin with `#cloud-config`"), "{why}");
        assert_eq!(browser.value("document.querySelector('#do-deploy').matches(':popover-open')"), true);
        assert_eq!(browser.value("document.querySelector('#do-deploy [name=user_data]').value"), "packages: [htop]\n");
        assert!(browser.complaints.iter().all(|c| c.contains("409")), "{:?}", browser.complaints);
        browser.complaints.clear();
        browser.value("document.querySelector('#do-deploy [name=layout]').value = 'flat'");
        browser.value("document.querySelector('#do-deploy [name=user_data]').value = '#cloud-config\\npackages: [htop]\\n'");
        browser.leave_by("document.querySelector('#do-deploy form').requestSubmit()");
        assert_eq!(browser.text("#refused"), "");
        assert_eq!(browser.text("#head .pill"), "Deploying");
        assert!(browser.text("#activity h2").starts_with("Deploy"));
        assert_eq!(browser.text("#head .actions"), "Abort\nEdit");
        browser.expect_clean(&site.url);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_machines_say_stays_text() {
    with_browser(|site, browser| {
        Handle::current().block_on(site.add_hostile_machine());
        browser.log_in(&site.url, "ann", PASSWORD);
        let run = "/machines/x9x9x9/runs/".to_owned() + &browser_run(site);
        for page in
            ["/machines", "/machines/x9x9x9", &run, "/operations", "/operations/190", "/events?level=debug"]
        {
            browser.open(&format!("{}{page}", site.url));
            assert_ne!(browser.value("document.title"), "owned", "{page}");
            assert_eq!(
                browser.value("document.querySelectorAll('main script, main img, main [style]').length"),
                0,
                "{page}"
            );
            let shown = browser.value("document.body.innerText.includes('<script>')");
            assert_eq!(shown, true, "{page} does not show it");
        }
        browser.expect_clean(&site.url);
    })
    .await;
}

fn browser_run(site: &Site) -> String {
    let find = sqlx::query_scalar::<_, i64>("SELECT id FROM script_run WHERE machine_id = 'x9x9x9'")
        .fetch_one(&site.pool);
    Handle::current().block_on(find).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_and_the_theme() {
    with_browser(|site, browser| {
        browser.prefer("dark");
        browser.log_in(&site.url, "ann", PASSWORD);
        let background = "getComputedStyle(document.body).backgroundColor";
        assert_eq!(browser.value(background), "rgb(15, 19, 26)");
        browser.value("document.querySelector('[data-theme-toggle]').click()");
        assert_eq!(browser.value(background), "rgb(244, 245, 247)");
        browser.open(&format!("{}/machines", site.url));
        assert_eq!(browser.value("document.documentElement.dataset.theme"), "light");
        browser.press("/");
        assert_eq!(browser.value("document.activeElement.name"), "q");
        for key in ["g", "p", "u"] {
            browser.press(key);
        }
        browser.value("window.stillHere = true");
        browser.press("Enter");
        browser.wait("document.readyState === 'complete' && !window.stillHere");
        assert_eq!(browser.value("document.querySelectorAll('#machines tbody tr').length"), 2);
        browser.press("j");
        browser.press("j");
        browser.value("window.stillHere = true");
        browser.press("Enter");
        browser.wait("document.readyState === 'complete' && !window.stillHere");
        assert_eq!(browser.text("h1"), "gpu-02");
        browser.expect_clean(&site.url);
    })
    .await;
}
