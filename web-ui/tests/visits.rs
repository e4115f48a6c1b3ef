//! Every page that the router has, visited by an administrator of a site full of things: light and dark, on a desktop and on a
//! phone. Nothing is grossly broken (`support/measure.js` says what that is), nothing complains, nothing comes from elsewhere,
//! axe finds no serious fault, what a browser loads the first time is small, and the page looks roughly as it did.
//!
//! How it looked is kept in `kept/pages.txt`: the first screen of each page as a grid of sixteen greys, a line for each way of looking
//! at it. That is coarse on purpose: fonts, times and a new table row change little of it; a lost style sheet, frame or column much.
//! `RACKWRIGHT_BLESS=1 cargo test --workspace --test visits` writes it anew, `RACKWRIGHT_PICTURES=FOLDER` every picture as a file,
//! `RACKWRIGHT_SCREENSHOTS=docs/screenshots` (an absolute path) the pictures of the operator guide.
//! Needs the packages chromium, postgresql and npm.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

#[path = "support/addresses.rs"]
mod addresses;
#[path = "support/axe.rs"]
mod axe;
#[path = "support/browser.rs"]
mod browser;
#[path = "support/session.rs"]
#[allow(dead_code, reason = "the tests use a part each")]
mod session;
#[path = "support/things.rs"]
mod things;

use addresses::{Behind, ROUTES};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use browser::Browser;
use session::Session;
use std::collections::BTreeMap;
use std::path::PathBuf;
use support::{PASSWORD, Site};
use tokio::runtime::Handle;

/// A way of looking at a page: name, scheme, width and height, columns and rows of the kept grid.
type Look = (&'static str, &'static str, (u32, u32), (u32, u32));
const LOOKS: [Look; 4] = [
    ("desktop-light", "light", (1360, 850), (16, 10)),
    ("desktop-dark", "dark", (1360, 850), (16, 10)),
    ("phone-dark", "dark", (390, 800), (8, 16)),
    ("phone-light", "light", (390, 800), (8, 16)),
];

/// Mean difference of the cells of two grids that is no breakage, of sixteen greys.
const ALIKE: f64 = 1.2;

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kept/pages.txt");

async fn with_browser(session: impl FnOnce(&Site, &mut Browser) + Send + 'static) {
    let site = Site::start("127.0.0.1:0").await;
    site.add_fleet().await;
    things::add_things(&site).await;
    let done = tokio::task::spawn_blocking(move || session(&site, &mut Browser::start()));
    done.await.unwrap();
}

fn look(browser: &mut Browser, (_, scheme, (width, height), _): Look) {
    browser.prefer(scheme);
    browser.screen(width, height);
}

fn faults(browser: &mut Browser) -> Vec<String> {
    let found = browser.value(include_str!("support/measure.js"));
    found.as_array().unwrap().iter().map(|fault| fault.as_str().unwrap().to_owned()).collect()
}

/// The first screen as a grid of greys, a hexadecimal digit each. The browser itself shrinks it and reads the pixels.
fn grid(browser: &mut Browser, (_, _, (width, height), (columns, rows)): Look) -> String {
    let scale = f64::from(columns * 4) / f64::from(width);
    let clip = serde_json::json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": scale });
    let shot = browser.call("Page.captureScreenshot", serde_json::json!({ "format": "png", "clip": clip }));
    let picture = shot["data"].as_str().unwrap();
    let expression = format!(
        "(async () => {{
            const bytes = Uint8Array.from(atob('{picture}'), c => c.charCodeAt(0));
            const image = await createImageBitmap(new Blob([bytes]), {{ resizeWidth: {columns}, resizeHeight: {rows}, resizeQuality: 'high' }});
            const paper = new OffscreenCanvas({columns}, {rows}).getContext('2d');
            paper.drawImage(image, 0, 0);
            const {{ data }} = paper.getImageData(0, 0, {columns}, {rows});
            let grid = '';
            for (let i = 0; i < data.length; i += 4) grid += Math.floor((data[i] * 2 + data[i + 1] * 5 + data[i + 2]) / 8 / 16).toString(16);
            return grid;
        }})()"
    );
    browser.value(&expression).as_str().unwrap().to_owned()
}

/// How far two grids are apart, in greys.
fn apart(one: &str, other: &str) -> f64 {
    if one.len() != other.len() {
        return f64::INFINITY;
    }
    let grey = |c: char| c.to_digit(16).map_or(0.0, f64::from);
    let sum: f64 = one.chars().zip(other.chars()).map(|(a, b)| (grey(a) - grey(b)).abs()).sum();
    sum / one.len() as f64
}

/// Grids by page and look.
type Grids = BTreeMap<String, String>;

fn kept() -> Grids {
    let text = std::fs::read_to_string(KEPT).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    lines.map(|(name, grid)| (name.to_owned(), grid.to_owned())).collect()
}

#[test]
fn the_table_of_addresses_has_every_route() {
    let mut here: Vec<_> = ROUTES.iter().map(|(route, _)| (*route).to_owned()).collect();
    let mut there = addresses::routes_of_the_router();
    here.sort();
    there.sort();
    assert_eq!(
        here, there,
        "a page that the router has and tests/support/addresses.rs has not is not visited"
    );
    for (route, behind) in ROUTES {
        match behind {
            Behind::Pages(pages) => assert!(!pages.is_empty(), "{route}"),
            Behind::NoPage(why) => assert!(!why.is_empty(), "{route}"),
            Behind::Part(_) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_part_that_pages_fetch_is_there() {
    let site = Site::start("127.0.0.1:0").await;
    let session = Session::begin(&site).await;
    for (_, behind) in ROUTES {
        let Behind::Part(address) = behind else { continue };
        let (status, text) = session.get(address).await;
        assert!(status.is_success() && !text.trim().is_empty(), "{address}: {status} {text}");
    }
}

/// One page in every look; what is wrong with it goes to `wrong`.
fn visit(
    browser: &mut Browser,
    url: &str,
    page: &str,
    axe: &str,
    shown: &mut Grids,
    wrong: &mut Vec<String>,
) {
    let pictures = std::env::var_os("RACKWRIGHT_PICTURES").map(PathBuf::from);
    look(browser, LOOKS[0]);
    browser.open(url);
    let size = browser.value(
        "[performance.getEntriesByType('navigation')[0], ...performance.getEntriesByType('resource')]
            .filter(e => !e.name.includes('/api/') && !e.name.includes('/static/xterm')).reduce((sum, e) => sum + e.decodedBodySize, 0)",
    );
    if size.as_f64().is_none_or(|size| size > 150_000.0) {
        wrong.push(format!("{page}: a browser loads {size} bytes for it"));
    }
    for this in LOOKS {
        look(browser, this);
        let mut found = faults(browser);
        // The rules of axe but contrast say the same of light and dark.
        match this.0 {
            "desktop-light" | "phone-dark" => found.extend(axe::faults(browser, axe, "")),
            _ => {}
        }
        wrong.extend(found.into_iter().map(|fault| format!("{page} ({}): {fault}", this.0)));
        shown.insert(format!("{page} {}", this.0), grid(browser, this));
        if this.0 == "desktop-light" {
            illustrate(browser, page);
        }
        if let Some(folder) = &pictures {
            let name = page.replace(['/', '?', '&', '=', '{', '}', '@'], "_");
            std::fs::write(folder.join(format!("{name}.{}.png", this.0)), whole(browser)).unwrap();
        }
    }
}

/// The pictures of docs/operator-guide.md: page, and name there.
const GUIDE: [(&str, &str); 6] = [
    ("/start", "first-steps"),
    ("/machines/d8e2f5", "failed-machine"),
    ("/bulk/{running}", "bulk"),
    ("/notifications", "notifications"),
    ("/networks", "networks"),
    ("/audit?actor=admin", "audit"),
];

/// Writes a page's picture for the guide, when it has one and somebody asks for them.
fn illustrate(browser: &mut Browser, page: &str) {
    let Some(folder) = std::env::var_os("RACKWRIGHT_SCREENSHOTS") else { return };
    let Some((_, name)) = GUIDE.iter().find(|(of, _)| *of == page) else { return };
    let clip = serde_json::json!({ "x": 0, "y": 0, "width": 1360, "height": 850, "scale": 0.65 });
    let shot = browser.call("Page.captureScreenshot", serde_json::json!({ "format": "png", "clip": clip }));
    let picture = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
    std::fs::write(PathBuf::from(folder).join(format!("{name}.png")), picture).unwrap();
}

/// A picture of the page to its end.
fn whole(browser: &mut Browser) -> Vec<u8> {
    let size = browser
        .value("[innerWidth, Math.min(4000, Math.max(innerHeight, document.documentElement.scrollHeight))]");
    let clip = serde_json::json!({ "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1 });
    let parameters = serde_json::json!({ "format": "png", "clip": clip, "captureBeyondViewport": true });
    let shot = browser.call("Page.captureScreenshot", parameters);
    STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_whole_light_and_dark_on_desktop_and_phone() {
    with_browser(|site, browser| {
        let (axe, mut shown, mut wrong) = (axe::fetch(), Grids::new(), Vec::new());
        let pages = Handle::current().block_on(addresses::pages(site));
        // First what a stranger sees, and what there is not.
        visit(browser, &format!("{}/login?next=/", site.url), "/login", &axe, &mut shown, &mut wrong);
        browser.log_in(&site.url, "admin", PASSWORD);
        visit(browser, &format!("{}/nowhere", site.url), "/nowhere", &axe, &mut shown, &mut wrong);
        let missing = std::mem::take(&mut browser.complaints);
        assert!(missing.iter().all(|c| c.contains("404")), "{missing:?}");
        // Racks and regions are heard, but one rack.
        Handle::current().block_on(site.run(
            "UPDATE region SET last_seen_at = now() + interval '1 hour'; UPDATE rack SET last_seen_at = now() + interval '1 hour' WHERE name <> 'rack-b1'",
        ));
        for (page, address) in pages.iter().filter(|(page, _)| *page != "/login") {
            visit(browser, &format!("{}{address}", site.url), page, &axe, &mut shown, &mut wrong);
            if !browser.complaints.is_empty() {
                wrong.push(format!("{page} complains: {:?}", std::mem::take(&mut browser.complaints)));
            }
        }
        // What a button leads to and an address does not.
        browser.open(&format!("{}/machines?q=pool:research", site.url));
        browser.value("document.querySelectorAll('[name=machine]').forEach(box => box.checked = true)");
        browser.value("document.querySelector('[name=verb]').value = 'deploy'");
        browser.leave_by("document.querySelector('#bulk').requestSubmit()");
        assert!(browser.text("main").contains("What would be refused"), "{}", browser.text("main"));
        for this in LOOKS {
            look(browser, this);
            wrong.extend(
                faults(browser).into_iter().map(|fault| format!("bulk preview ({}): {fault}", this.0)),
            );
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        browser.expect_clean(&site.url);
        compare(&shown);
        breakage_is_seen(browser, site, &shown);
    })
    .await;
}

/// Holds what is shown against what was kept, or keeps it.
fn compare(shown: &Grids) {
    if std::env::var_os("RACKWRIGHT_BLESS").is_some() {
        let lines: Vec<_> = shown.iter().map(|(name, grid)| format!("{name} {grid}\n")).collect();
        std::fs::create_dir_all(PathBuf::from(KEPT).parent().unwrap()).unwrap();
        return std::fs::write(KEPT, lines.concat()).unwrap();
    }
    let kept = kept();
    let mut different = Vec::new();
    for (name, grid) in shown {
        match kept.get(name) {
            Some(before) if apart(before, grid) <= ALIKE => {}
            Some(before) => {
                different.push(format!("{name}: {:.1} greys from {before}: {grid}", apart(before, grid)))
            }
            None => different.push(format!("{name} is not kept")),
        }
    }
    assert!(different.is_empty(), "look at them, then RACKWRIGHT_BLESS=1: {different:#?}");
}

/// The checks can fail: what they are there for is done to a page.
fn breakage_is_seen(browser: &mut Browser, site: &Site, shown: &Grids) {
    let page = "/machines";
    for (broken, what) in [
        ("document.querySelector('main').innerHTML = '<h1>Machines</h1>'", "empty"),
        ("document.querySelector('h1').remove()", "headings"),
        ("document.querySelector('h1').style.marginLeft = '200vw'", "wider"),
        ("document.querySelector('header svg').style.width = '0'", "without size"),
        (
            "document.querySelector('h1').style.transform = 'translateX(-300px)'",
            "text that leaves the screen",
        ),
        ("document.querySelector('.head').style.marginBottom = '-3rem'", "text over"),
    ] {
        look(browser, LOOKS[3]);
        browser.open(&format!("{}{page}", site.url));
        browser.value(broken);
        let found = faults(browser);
        assert!(found.iter().any(|fault| fault.contains(what)), "{broken} is not seen: {found:?}");
    }
    let unstyled = "for (const sheet of document.styleSheets) sheet.disabled = true";
    let grey =
        "(main => { main.innerHTML = ''; main.style.background = '#888'; })(document.querySelector('main'))";
    for (broken, this) in [(unstyled, LOOKS[0]), (grey, LOOKS[1]), (grey, LOOKS[2]), (grey, LOOKS[3])] {
        look(browser, this);
        browser.open(&format!("{}{page}", site.url));
        browser.value(broken);
        let difference = apart(&grid(browser, this), &shown[&format!("{page} {}", this.0)]);
        assert!(difference > ALIKE, "{broken} changes {} by {difference} only", this.0);
    }
}

/// What somebody comes to a page for, and how often they press Tab after skipping the frame at most.
const MAIN_ACTIONS: [(&str, &str, usize); 12] = [
    ("/", ".ways a", 12),
    ("/machines", "[name=q]", 4),
    ("/machines/p5t8rw", "[popovertarget=do-deploy]", 6),
    ("/machines/p5t8rw/edit", "#edit button:not([type=button])", 14),
    ("/images", "a[href='/images/new']", 3),
    ("/networks/subnets/new", "#edit button:not([type=button])", 20),
    ("/groups/pool/new", "#edit button:not([type=button])", 5),
    ("/discoveries", "main form button", 12),
    ("/bulk/{running}", "form[action$='/stop'] button", 3),
    ("/notifications", "form[action='/notifications/seen'] button", 2),
    ("/scripts", "main a[href='/scripts/burn-in']", 8),
    ("/account", "main form button", 8),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_alone_reaches_what_a_page_is_for() {
    with_browser(|site, browser| {
        browser.log_in(&site.url, "admin", PASSWORD);
        let pages = Handle::current().block_on(addresses::pages(site));
        for (page, action, most) in MAIN_ACTIONS {
            let (_, address) = pages.iter().find(|(name, _)| *name == page).unwrap();
            browser.open(&format!("{}{address}", site.url));
            browser.press("Tab");
            assert_eq!(browser.value("document.activeElement.className"), "skip", "{page}");
            browser.press("Enter");
            browser.wait("document.activeElement.id === 'main'");
            let mut passed = Vec::new();
            loop {
                browser.press("Tab");
                // Whatever has the focus is on the screen, and shows that it has it.
                let seen = browser.value(
                    "(() => { const e = document.activeElement, b = e.getBoundingClientRect(), s = getComputedStyle(e);
                        return { what: e.outerHTML.slice(0, 100), there: b.width > 0 && b.height > 0 && b.top < innerHeight && b.bottom > 0,
                                 marked: s.outlineStyle !== 'none' || s.boxShadow !== 'none' }; })()",
                );
                assert_eq!((&seen["there"], &seen["marked"]), (&true.into(), &true.into()), "{page}: {seen}");
                passed.push(seen["what"].as_str().unwrap().to_owned());
                if browser.value(&format!("document.activeElement.matches({action:?})")) == true {
                    break;
                }
                assert!(passed.len() < most, "{page}: {action} is not reached by {most} tabs: {passed:#?}");
            }
        }
        browser.expect_clean(&site.url);
    })
    .await;
}
