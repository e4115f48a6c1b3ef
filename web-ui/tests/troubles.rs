//! What somebody who watches a page sees when something goes wrong: another operator was quicker, the session ends, the region
//! dies, a machine says more than anybody can read. In Chromium; needs the packages chromium and postgresql.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

#[path = "support/browser.rs"]
mod browser;

#[path = "support/regions.rs"]
mod regions;

use browser::Browser;
use regions::{Address, second_region};
use std::time::{Duration, Instant};
use support::{PASSWORD, Site};
use tokio::runtime::Handle;

/// Runs a person's session beside a site.
async fn beside(site: Site, session: impl FnOnce(&Site) + Send + 'static) {
    tokio::task::spawn_blocking(move || session(&site)).await.unwrap();
}

/// Changes the database, as a region's worker would.
fn meanwhile(site: &Site, sql: &str) {
    Handle::current().block_on(site.run(sql));
}

fn is_live(browser: &mut Browser) {
    browser.wait("document.getElementById('live').dataset.state === 'on'");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_operators_is_told_who_was_quicker() {
    beside(Site::start("127.0.0.1:0").await, |site| {
        let (mut first, mut second) = (Browser::start(), Browser::start());
        for (browser, user) in [(&mut first, "ann"), (&mut second, "admin")] {
            browser.log_in(&site.url, user, PASSWORD);
            browser.open(&format!("{}/machines/p5t8rw", site.url));
            is_live(browser);
            browser.value("document.querySelector('[popovertarget=do-deploy]').click()");
            browser.value("document.querySelector('#do-deploy [name=image]').value = 'debian-12'");
        }
        // The second one's page does not learn of it in time.
        second.call("Network.setBlockedURLs", serde_json::json!({ "urls": ["*/machines/p5t8rw/part/*"] }));
        first.leave_by("document.querySelector('#do-deploy form').requestSubmit()");
        assert_eq!(first.text("#head .pill"), "Deploying");
        second.leave_by("document.querySelector('#do-deploy form').requestSubmit()");
        let why = second.text("#refused");
        assert!(
            why.contains("Deploy is under way on machine p5t8rw") && why.contains("asked for by ann"),
            "{why}"
        );
        assert_eq!(second.text("#head .pill"), "Deploying", "and it shows what the machine is now");
        first.expect_clean(&site.url);
    })
    .await;
}

/// Fifty machines that are ready, of which four are locked.
const FIFTY: &str = "INSERT INTO machine (id, hostname, status, resting_status, pool, zone, tags, cpu_cores, memory_mib, locked)
     SELECT 'fif' || lpad(i::text, 3, '0'), 'fifty-' || lpad(i::text, 2, '0'), 'ready', 'ready', 'research', 'row-b', '{fifty}', 8, 16384, i % 12 = 5
     FROM generate_series(1, 50) i";

/// The number of an action's machines that were looked at, of those that are on the page now.
fn looked_at(browser: &mut Browser) -> i64 {
    browser.value("document.querySelector('#bulk-progress progress').value").as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_machines_are_commissioned_and_whoever_is_logged_out_meanwhile_comes_back_to_it() {
    beside(Site::start("127.0.0.1:0").await, |site| {
        meanwhile(site, FIFTY);
        let mut browser = Browser::start();
        browser.log_in(&site.url, "ann", PASSWORD);
        browser.open(&format!("{}/machines?q=tag%3Afifty", site.url));
        browser.value("document.querySelector('#bulk [name=all]')?.click()");
        browser.value("document.querySelector('[data-pick-all]').click()");
        assert_eq!(browser.text("[data-picked]"), "50 chosen:");
        browser.value("document.querySelector('#bulk [name=verb]').value = 'commission'");
        browser.leave_by("document.querySelector('#bulk').requestSubmit()");
        let preview = browser.text("main");
        assert!(browser.text("#confirm button").contains("Commission: 46 machines"), "{preview}");
        assert!(preview.contains("fifty-05") && preview.contains("it is locked"), "{preview}");

        // One machine holds the action up in its middle, as another change of it would.
        let held = Handle::current().block_on(async {
            let mut held = site.pool.begin().await.unwrap();
            sqlx::query("SELECT 1 FROM machine WHERE id = 'fif020' FOR UPDATE")
                .execute(&mut *held)
                .await
                .unwrap();
            held
        });
        browser.leave_by("document.querySelector('#confirm').requestSubmit()");
        browser.wait("document.querySelector('#bulk-progress progress').value > 10");
        let address = browser.value("location.pathname");
        let before = looked_at(&mut browser);
        assert!((11..46).contains(&before), "{before} of 46");
        meanwhile(site, "DELETE FROM session");
        browser.wait("location.pathname === '/login' && document.readyState === 'complete'");
        assert!(browser.complaints.iter().all(|c| c.contains("401")), "{:?}", browser.complaints);
        browser.complaints.clear();
        Handle::current().block_on(held.rollback()).unwrap();
        browser.value("document.querySelector('[name=name]').value = 'ann'");
        browser.value(&format!("document.querySelector('[name=password]').value = {PASSWORD:?}"));
        browser.leave_by("document.querySelector('form').requestSubmit()");
        assert_eq!(browser.value("location.pathname"), address, "back to what was being watched");
        browser.wait("document.querySelector('main h1 + .pill').innerText === 'Ended'");
        assert_eq!(looked_at(&mut browser), 46);
        assert!(
            browser.text("#bulk-progress .head").contains("46 taken"),
            "{}",
            browser.text("#bulk-progress")
        );
        browser.open(&format!("{}/machines?q=tag%3Afifty+status%3Acommissioning", site.url));
        assert_eq!(browser.value("document.querySelectorAll('input[name=machine]').length"), 46);
        browser.expect_clean(&site.url);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_goes_on_at_another_region_and_shows_what_happened_while_there_was_none() {
    let site = Site::start("127.0.0.1:0").await;
    let regions = [site.url.strip_prefix("http://").unwrap().parse().unwrap(), second_region(&site).await];
    let address = Address::open().await;
    beside(site, move |site| {
        let mut browser = Browser::start();
        address.region.send_replace(Some(regions[0]));
        browser.log_in(&address.url, "ann", PASSWORD);
        browser.open(&format!("{}/machines", address.url));
        is_live(&mut browser);
        browser.value("window.sameDocument = true");

        address.region.send_replace(None);
        browser.wait("document.getElementById('live').dataset.state === 'off'");
        assert!(browser.value("document.getElementById('live').title").as_str().unwrap().contains("trying again"));
        assert_eq!(browser.text("#live"), "not live", "also for those who see no colour");
        meanwhile(
            site,
            "UPDATE machine SET status = 'broken', status_since = now() WHERE id = 'p5t8rw';
             INSERT INTO event (kind, machine_id, actor, message) VALUES ('machine.status', 'p5t8rw', 'ann', 'Ready → Broken')",
        );
        assert!(browser.text("#m-p5t8rw").contains("Ready"));
        address.region.send_replace(Some(regions[1]));
        is_live(&mut browser);
        browser.wait("document.getElementById('m-p5t8rw').innerText.includes('Broken')");
        meanwhile(
            site,
            "UPDATE machine SET status = 'ready', status_since = now() WHERE id = 'p5t8rw';
             INSERT INTO event (kind, machine_id, actor, message) VALUES ('machine.status', 'p5t8rw', 'ann', 'Broken → Ready')",
        );
        browser.wait("document.getElementById('m-p5t8rw').innerText.includes('Ready')");
        assert_eq!(browser.value("window.sameDocument"), true, "nobody had to load it again");
        let other = |c: &&String| !c.contains("net::ERR_");
        assert_eq!(browser.complaints.iter().find(other), None);
    })
    .await;
}

/// How long the page did nothing else at most, milliseconds; counted from the first call.
const LONGEST_PAUSE: &str = "(() => {
    if (!window.pauses) {
        let last = performance.now();
        window.pauses = [];
        setInterval(() => { const now = performance.now(); window.pauses.push(now - last); last = now; }, 20);
    }
    return Math.round(Math.max(0, ...window.pauses));
})()";

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_logs_ten_thousand_lines_a_second_stops_nobody() {
    beside(Site::start("127.0.0.1:0").await, |site| {
        let mut browser = Browser::start();
        browser.log_in(&site.url, "ann", PASSWORD);
        browser.open(&format!("{}/machines/m7d2qz", site.url));
        is_live(&mut browser);
        browser.value(LONGEST_PAUSE);
        let began = Instant::now();
        for second in 0..5 {
            for tenth in 0..10 {
                let seq = 100 + second * 10 + tenth;
                meanwhile(
                    site,
                    &format!(
                        "INSERT INTO work_log (work_item_id, boot_id, seq, text)
                         SELECT 21, '00000000-0000-4000-8000-000000000001', {seq},
                                string_agg('{seq} line ' || i || ' of what nobody can read so fast', E'\\n') || E'\\n'
                         FROM generate_series(1, 1000) i"
                    ),
                );
                std::thread::sleep((began + Duration::from_millis(100 * (seq - 99))).saturating_duration_since(Instant::now()));
            }
        }
        browser.wait("document.querySelector('[data-log]').textContent.includes('149 line 1000 of')");
        let kept = browser.value("document.querySelector('[data-log]').textContent.length").as_i64().unwrap();
        assert!(kept < 1_000_000, "{kept} characters are kept");
        let pause = browser.value(LONGEST_PAUSE).as_i64().unwrap();
        assert!(pause < 2000, "the page stood still for {pause} ms");
        // It still does what a person asks, and whoever opens it now gets the end.
        let theme = browser.value("document.documentElement.dataset.theme ?? ''");
        browser.value("document.querySelector('[data-theme-toggle]').click()");
        assert_ne!(browser.value("document.documentElement.dataset.theme"), theme);
        browser.open(&format!("{}/machines/m7d2qz", site.url));
        let shown = browser.value("document.querySelector('[data-log]').textContent.length").as_i64().unwrap();
        assert!((10_000..1_000_000).contains(&shown), "{shown} characters");
        browser.wait("document.querySelector('[data-log]').textContent.includes('149 line 1000 of')");
        browser.expect_clean(&site.url);
    })
    .await;
}
