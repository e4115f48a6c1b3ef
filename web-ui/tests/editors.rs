//! What administrators make and change on the pages, in Chromium: networks, groups, images; and that every form shows the
//! command that does the same. Needs the packages chromium, postgresql and zstd.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

#[path = "support/browser.rs"]
mod browser;

use browser::Browser;
use serde_json::Value;
use std::process::Command;
use support::{PASSWORD, Site};
use tokio::runtime::Handle;

/// Every page that an administrator has.
const PAGES: [&str; 41] = [
    "/notifications",
    "/settings/login",
    "/",
    "/start",
    "/machines",
    "/machines/m7d2qz",
    "/machines/d8e2f5",
    "/machines/p5t8rw/edit",
    "/operations",
    "/operations/112",
    "/events",
    "/events?actor=ann&level=debug",
    "/images",
    "/images/new",
    "/images/debian-12@3",
    "/controllers",
    "/networks",
    "/networks/spaces/new",
    "/networks/fabrics/new",
    "/networks/vlans/new",
    "/networks/subnets/new",
    "/networks/fabrics/1",
    "/networks/vlans/1",
    "/networks/subnets/1",
    "/names",
    "/names/domains/new",
    "/names/domains/1",
    "/names/records/new",
    "/names/secondaries/new",
    "/devices",
    "/devices/new",
    "/groups",
    "/groups/pool/new",
    "/groups/pool/research",
    "/scripts",
    "/scripts/disk-quick",
    "/users",
    "/users/ben",
    "/audit",
    "/account",
    "/settings",
];

async fn with_browser(session: impl FnOnce(&Site, &mut Browser) + Send + 'static) {
    let site = Site::start("127.0.0.1:0").await;
    let done = tokio::task::spawn_blocking(move || session(&site, &mut Browser::start()));
    done.await.unwrap();
}

fn fill(browser: &mut Browser, form: &str, fields: &[(&str, &str)]) {
    for (name, value) in fields {
        browser.value(&format!(
            "(() => {{ const f = document.querySelector('#{form} [name=\"{name}\"]'); f.value = {value:?}; f.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()"
        ));
    }
}

fn submit(browser: &mut Browser, form: &str) {
    browser.leave_by(&format!("document.querySelector('#{form}').requestSubmit()"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_shows_its_command_as_the_region_wrote_it() {
    with_browser(|site, browser| {
        browser.log_in(&site.url, "admin", PASSWORD);
        let mut seen = 0;
        for page in PAGES {
            browser.open(&format!("{}{page}", site.url));
            let pairs = browser.value(
                "[...document.querySelectorAll('[data-command]')].map(c => { const was = c.textContent; showCommand(c); return [was, c.textContent]; })",
            );
            for pair in pairs.as_array().unwrap() {
                assert_eq!(pair[0], pair[1], "{page}");
                seen += 1;
            }
        }
        assert!(seen > 20, "only {seen} forms show a command");
        // … and it follows what is typed.
        browser.open(&format!("{}/networks/subnets/new", site.url));
        fill(browser, "edit", &[("cidr", "10.9.0.0/24"), ("name", "Bob's {net}"), ("dns_servers", "10.9.0.2, 10.9.0.3")]);
        let line = browser.value("document.querySelector('#edit [data-command]').textContent");
        assert_eq!(
            line,
            r"rackwright subnet create 10.9.0.0/24 --vlan 1 --name 'Bob'\''s {net}' --dns-server 10.9.0.2 --dns-server 10.9.0.3"
        );
        browser.expect_clean(&site.url);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_is_made_from_nothing_and_removed_again() {
    with_browser(|site, browser| {
        browser.log_in(&site.url, "admin", PASSWORD);
        let at = |path: &str| format!("{}{path}", site.url);
        browser.open(&at("/networks/fabrics/new"));
        fill(browser, "edit", &[("name", "second hall")]);
        submit(browser, "edit");
        browser.open(&at("/networks/spaces/new"));
        fill(browser, "edit", &[("name", "storage"), ("description", "behind the firewall")]);
        submit(browser, "edit");
        browser.open(&at("/networks/vlans/new"));
        let fabric = browser.value("[...document.querySelector('[name=fabric]').options].find(o => o.text === 'second hall').value");
        fill(browser, "edit", &[("fabric", fabric.as_str().unwrap()), ("vid", "4095"), ("name", "hall2")]);
        browser.value("document.querySelector('[name=dhcp]').click()");
        let space = browser.value("[...document.querySelector('[name=space]').options].find(o => o.text === 'storage').value");
        let options = [("space", space.as_str().unwrap()), ("dhcp_options", "time-servers=10.99.0.2,10.99.0.3\n224:text=a b")];
        fill(browser, "edit", &options);
        let line = browser.value("document.querySelector('#edit details.command code').textContent");
        let line = line.as_str().unwrap();
        let said = "--dhcp-option 'time-servers=10.99.0.2,10.99.0.3' --dhcp-option '224:text=a b'";
        assert!(line.ends_with(&format!("--dhcp --space {} {said}", space.as_str().unwrap())), "{line}");
        submit(browser, "edit");
        // The database's own limit, at its field; what was typed is still there.
        assert!(browser.text("#edit-vid-problem").contains("4094"), "{}", browser.text("#edit-vid-problem"));
        assert_eq!(browser.value("document.querySelector('[name=dhcp]').checked"), true);
        browser.complaints.clear();
        fill(browser, "edit", &[("vid", "20")]);
        submit(browser, "edit");
        assert!(browser.text("main").contains("VLAN 20") && browser.text("main").contains("behind the firewall"));
        browser.leave_by("[...document.querySelectorAll('main a')].find(a => a.innerText === 'hall2').click()");
        fill(browser, "edit", &[("mtu", "9000"), ("dhcp_mode", "proxy"), ("dhcp_options", "")]);
        let line = browser.value("document.querySelector('#edit details.command code').textContent");
        assert!(line.as_str().unwrap().ends_with(" --mtu 9000 --dhcp-mode proxy --no-dhcp-options"), "{line}");
        submit(browser, "edit");
        assert!(browser.text("main").contains("boot information only"), "{}", browser.text("main"));
        browser.open(&at("/networks/subnets/new"));
        let vlan = browser.value("[...document.querySelector('[name=vlan]').options].find(o => o.text.includes('hall2')).value");
        fill(browser, "edit", &[("cidr", "10.99.0.1/24"), ("vlan", vlan.as_str().unwrap())]);
        submit(browser, "edit");
        assert!(browser.text("#edit-cidr-problem").contains("host bits"), "{}", browser.text("main"));
        browser.complaints.clear();
        fill(browser, "edit", &[("cidr", "10.99.0.0/24"), ("gateway", "10.99.0.1"), ("dns_servers", "10.99.0.2 10.99.0.3")]);
        submit(browser, "edit");
        assert_eq!(browser.text("h1"), "10.99.0.0/24");
        fill(browser, "range", &[("first", "10.99.0.1"), ("last", "10.99.0.50")]);
        submit(browser, "range");
        assert!(browser.text("#range-first-problem").contains("gateway"), "{}", browser.text("#range"));
        browser.complaints.clear();
        fill(browser, "range", &[("first", "10.99.0.100"), ("last", "10.99.0.149")]);
        submit(browser, "range");
        assert!(browser.text("main").contains("10.99.0.100 – 10.99.0.149"));
        browser.value("document.querySelector('#reservation').closest('details').open = true");
        fill(browser, "reservation", &[("mac", "52:54:00:aa:bb:cc"), ("address", "10.99.0.9"), ("hostname", "pdu-1")]);
        submit(browser, "reservation");
        assert!(browser.text("main").contains("pdu-1"));
        browser.value("document.querySelector('#route').closest('details').open = true");
        fill(browser, "route", &[("destination", "10.200.0.1/16"), ("gateway", "10.99.0.9")]);
        submit(browser, "route");
        assert!(browser.text("#route-destination-problem").contains("host bits"), "{}", browser.text("#route"));
        browser.complaints.clear();
        fill(browser, "route", &[("destination", "10.200.0.0/16")]);
        submit(browser, "route");
        assert!(browser.text("main").contains("by way of 10.99.0.9"));
        browser.leave_by("document.querySelector('form[action*=\"/routes/\"]').requestSubmit()");
        assert!(!browser.text("main").contains("10.200.0.0/16"));
        // A lease holds a range until it is said twice.
        Handle::current().block_on(site.run(
            "INSERT INTO lease (address, mac, rack_id, seq, expires_at) VALUES ('10.99.0.101', '52:54:00:99:00:09', (SELECT min(id) FROM rack), 9, now() + interval '1 hour');
             INSERT INTO lease_state (address, subnet_id, client, expires_at, state, change) VALUES ('10.99.0.101', (SELECT id FROM subnet WHERE cidr = '10.99.0.0/24'), '\\x01', now() + interval '1 hour', 'held', 1)",
        ));
        browser.leave_by("document.querySelector('form[action*=\"/ranges/\"]').requestSubmit()");
        assert!(browser.text(".notice.bad").contains("leased"), "{}", browser.text("main"));
        browser.complaints.clear();
        browser.leave_by("document.querySelector('.notice.bad form').requestSubmit()");
        assert!(!browser.text("main").contains("10.99.0.149"));
        submit(browser, "delete");
        assert_eq!(browser.value("location.pathname"), "/networks");
        assert!(!browser.text("main").contains("10.99.0.0/24"));
        browser.expect_clean(&site.url);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_is_made_described_and_removed_and_a_tag_taken_from_all() {
    with_browser(|site, browser| {
        browser.log_in(&site.url, "admin", PASSWORD);
        let at = |path: &str| format!("{}{path}", site.url);
        browser.open(&at("/groups/pool/new"));
        fill(browser, "edit", &[("name", "research")]);
        submit(browser, "edit");
        assert!(browser.text("#edit-name-problem").contains("already"));
        browser.complaints.clear();
        fill(browser, "edit", &[("name", "spare"), ("description", "for whoever asks")]);
        submit(browser, "edit");
        assert!(browser.text("main").contains("for whoever asks"));
        browser.open(&at("/groups/pool/default"));
        submit(browser, "delete");
        assert!(browser.text("#delete").contains("it stays"), "{}", browser.text("#delete"));
        browser.complaints.clear();
        browser.open(&at("/groups/pool/spare"));
        submit(browser, "delete");
        assert!(!browser.text("main").contains("spare"));
        Handle::current().block_on(site.run("UPDATE machine SET tags = tags || '{odd}'::text[]"));
        browser.open(&at("/groups/tag/odd"));
        submit(browser, "delete");
        browser.open(&at("/machines?q=tag:odd"));
        assert_eq!(browser.value("document.querySelectorAll('#machines tbody tr').length"), 0);
        browser.expect_clean(&site.url);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_entered_with_its_addresses_loses_them_and_is_removed() {
    with_browser(|site, browser| {
        browser.log_in(&site.url, "admin", PASSWORD);
        browser.open(&format!("{}/devices/new", site.url));
        let addresses = |browser: &mut Browser, lines: &str| {
            fill(browser, "edit", &[("hostname", "printer-9"), ("device_addresses", lines)]);
            submit(browser, "edit");
        };
        for (lines, why) in
            [("52:54:00:aa:bb:01", "MAC=ADDRESS"), ("52:54:00:aa:bb:01=10.77.0.150", "dynamic")]
        {
            addresses(browser, lines);
            let problem = browser.text("#edit-device_addresses-problem");
            assert!(problem.contains(why), "{problem}");
            browser.complaints.clear();
        }
        addresses(browser, "52:54:00:aa:bb:01=10.77.0.70\n52:54:00:aa:bb:02=10.77.0.71");
        assert_eq!(browser.value("location.pathname"), "/devices", "{}", browser.text("main"));
        assert!(browser.text("main").contains("10.77.0.71"), "{}", browser.text("main"));
        let its_page =
            "[...document.querySelectorAll('th a')].find(a => a.textContent === 'printer-9').click()";
        browser.leave_by(its_page);
        fill(browser, "edit", &[("device_addresses", "")]);
        let line = browser.value("document.querySelector('#edit [data-command]').textContent");
        assert!(line.as_str().is_some_and(|line| line.ends_with(" --no-addresses")), "{line}");
        submit(browser, "edit");
        assert!(!browser.text("main").contains("10.77.0.7"), "{}", browser.text("main"));
        browser.leave_by(its_page);
        submit(browser, "delete");
        assert!(!browser.text("main").contains("printer-9"), "{}", browser.text("main"));
        browser.expect_clean(&site.url);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_a_record_and_a_secondary_are_made_changed_and_removed() {
    with_browser(|site, browser| {
        browser.log_in(&site.url, "admin", PASSWORD);
        let at = |path: &str| format!("{}{path}", site.url);
        browser.open(&at("/names/domains/new"));
        fill(browser, "edit", &[("name", "lab_1.example")]);
        submit(browser, "edit");
        assert!(browser.text("#edit-name-problem").contains("letters, digits"), "{}", browser.text("main"));
        browser.complaints.clear();
        fill(browser, "edit", &[("name", "lab.example")]);
        let line = browser.value("document.querySelector('#edit details.command code').textContent");
        assert_eq!(line, "rackwright domain create lab.example --ttl 60");
        submit(browser, "edit");
        assert!(browser.text("#list").contains("lab.example"));

        browser.open(&at("/names/records/new"));
        fill(browser, "edit", &[("name", "www.lab.example"), ("data", "10.77.0")]);
        submit(browser, "edit");
        assert!(!browser.text("#edit-data-problem").is_empty(), "{}", browser.text("main"));
        browser.complaints.clear();
        fill(browser, "edit", &[("data", "10.77.0.9")]);
        submit(browser, "edit");
        assert!(browser.text("#list").contains("10.77.0.9"));
        browser.leave_by(
            "document.querySelector('#list a[href^=\"/names/records/\"]:not([href$=new])').click()",
        );
        fill(browser, "edit", &[("data", "10.77.0.10"), ("ttl", "300")]);
        submit(browser, "edit");
        let list = browser.text("#list");
        assert!(list.contains("10.77.0.10") && list.contains("300 s"), "{list}");

        browser.open(&at("/names/secondaries/new"));
        fill(browser, "edit", &[("name", "ns-1"), ("address", "192.0.2.53")]);
        submit(browser, "edit");
        assert!(browser.text("#made").contains("hmac-sha256"), "{}", browser.text("main"));
        browser.open(&at("/names"));
        assert!(browser.text("#list").contains("192.0.2.53") && !browser.text("main").contains("secret"));
        browser.open(&at("/names/secondaries/ns-1"));
        submit(browser, "delete");
        assert!(!browser.text("#list").contains("192.0.2.53"));
        browser.expect_clean(&site.url);
    })
    .await;
}

/// A disk of 3 MB whose middle is empty, sent raw: what is kept is zstd that the foreign program opens.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_uploaded_from_the_browser_and_kept_whole() {
    with_browser(|site, browser| {
        browser.log_in(&site.url, "admin", PASSWORD);
        browser.open(&format!("{}/images/new", site.url));
        let choose = |bytes: &str| {
            format!(
                "(() => {{ {bytes}; const d = new DataTransfer(); d.items.add(new File([b], 'disk.raw')); document.querySelector('[type=file]').files = d.files; }})()"
            )
        };
        browser.value(&choose("const b = new Uint8Array([0x51, 0x46, 0x49, 0xfb, 0, 0])"));
        browser.value("document.querySelector('#image-name').value = 'from-browser'");
        browser.value("document.querySelector('[data-upload]').requestSubmit()");
        browser.wait("document.querySelector('#upload-note').textContent.includes('rackwright image import')");
        browser.value(&choose(
            "const b = new Uint8Array(3000000); for (let i = 0; i < b.length; i++) b[i] = i > 900000 && i < 2000000 ? 0 : (i * 7919) >> 3; b[510] = 0x55; b[511] = 0xaa",
        ));
        browser.value("window.stillHere = true");
        browser.value("document.querySelector('[data-upload]').requestSubmit()");
        browser.wait("document.readyState === 'complete' && !window.stillHere");
        assert_eq!(browser.text("h1"), "from-browser@1", "{}", browser.text("main"));
        let sha256 = browser.value("document.querySelector('td code').textContent");
        let blob = site.folder.path().join("blobs").join(sha256.as_str().unwrap());
        assert!(std::fs::metadata(&blob).unwrap().len() < 2_100_000, "the empty part takes room");
        let out = Command::new("zstd").args(["-dc", "--stdout"]).arg(&blob).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let expected = |i: usize| match i {
            510 => 0x55,
            511 => 0xaa,
            i if i > 900_000 && i < 2_000_000 => 0,
            i => u8::try_from(((i * 7919) >> 3) & 255).unwrap(),
        };
        assert_eq!(out.stdout.len(), 3_000_000);
        assert!(out.stdout.iter().enumerate().all(|(i, b)| *b == expected(i)));
        let files: Value = Handle::current().block_on(async {
            sqlx::query_scalar("SELECT jsonb_agg(to_jsonb(f)) FROM image_file f JOIN image i ON i.id = f.image_id WHERE i.name = 'from-browser'")
                .fetch_one(&site.pool)
                .await
                .unwrap()
        });
        assert_eq!((&files[0]["name"], &files[0]["uncompressed_size"]), (&"disk".into(), &3_000_000.into()));
        submit(browser, "delete");
        assert!(!browser.text("main").contains("from-browser"));
        browser.expect_clean(&site.url);
    })
    .await;
}
