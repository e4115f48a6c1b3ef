//! Logging in at an OpenID Connect provider that nobody here wrote (`oidc-provider`, brought by npm), with a browser that nobody
//! here wrote (curl): from the button through the provider's own pages and back.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_region::auth::token;
use rackwright_region::db;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use support::{PASSWORD, Site};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/provider");
const SECRET: &str = "secret: of the, site & long enough for HS256";

static FETCH: Mutex<()> = Mutex::new(());

/// The provider; ended with the test.
struct Provider(Child);

impl Provider {
    fn start(port: u16, site: &Site, groups: &Value) -> Self {
        // Not by two tests at once: it begins by removing what is there.
        let _alone = FETCH.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::path::Path::new(&format!("{FOLDER}/node_modules/oidc-provider")).exists() {
            let npm = Command::new("npm")
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", FOLDER])
                .status();
            assert!(
                npm.expect("is the package npm installed?").success(),
                "npm could not fetch oidc-provider"
            );
        }
        let mut child = Command::new("node")
            .args([&format!("{FOLDER}/provider.mjs"), &port.to_string(), &site.url, &groups.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("is the package nodejs installed?");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.by_ref().map_while(Result::ok).find(|line| line == "listens");
        assert_eq!(first.as_deref(), Some("listens"), "the provider ended");
        // Nobody reads what else it says; a closed pipe would end it.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What a browser shows in the end.
#[derive(Debug)]
struct Seen {
    status: String,
    address: String,
    text: String,
}

/// A browser with cookies of its own.
struct Browser(tempfile::TempDir);

impl Browser {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Opens an address, or sends a form there, and follows where it is sent.
    fn open(&self, address: &str, form: &[(&str, &str)]) -> Seen {
        let jar = self.0.path().join("cookies");
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-L", "--max-time", "30", "-w", "\n%{http_code} %{url_effective}"]);
        curl.arg("-b").arg(&jar).arg("-c").arg(&jar).arg(address);
        for (name, value) in form {
            curl.arg("--data-urlencode").arg(format!("{name}={value}"));
        }
        let output = curl.output().expect("is the package curl installed?");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let all = String::from_utf8_lossy(&output.stdout).into_owned();
        let (text, end) = all.rsplit_once('\n').unwrap();
        let (status, address) = end.split_once(' ').unwrap();
        Seen { status: status.into(), address: address.into(), text: text.into() }
    }

    /// From the button to the end, as somebody of this name at the provider.
    fn log_in(&self, site: &Site, name: &str) -> Seen {
        let mut seen = self.open(&format!("{}/login/provider?next=%2Fmachines", site.url), &[]);
        for (prompt, more) in [("login", &[("login", name), ("password", "x")][..]), ("consent", &[])] {
            if seen.text.contains(&format!("value=\"{prompt}\"")) {
                let form: Vec<_> = std::iter::once(("prompt", prompt)).chain(more.iter().copied()).collect();
                seen = self.open(&seen.address.clone(), &form);
            }
        }
        seen
    }
}

/// The sentence in which the log-in page refuses somebody.
#[track_caller]
fn refusal(seen: &Seen, status: &str) -> String {
    assert_eq!(seen.status, status, "{seen:?}");
    let from = seen.text.find("role=\"alert\">").unwrap_or_else(|| panic!("no refusal: {seen:?}")) + 13;
    let text = &seen.text[from..];
    text[..text.find("</p>").unwrap()].replace("&#39;", "'").replace("&#x27;", "'")
}

struct World {
    site: Site,
    port: u16,
    token: String,
}

impl World {
    async fn new() -> Self {
        let site = Site::start("127.0.0.1:0").await;
        let mut conn = site.pool.acquire().await.unwrap();
        let admin = db::user::find(&mut conn, "admin").await.unwrap().unwrap();
        let secret = token::new_token();
        db::token::insert(&mut conn, admin.user.id, "test", &token::hash(secret.expose()), None, None)
            .await
            .unwrap();
        drop(conn);
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        Self { site, port, token: secret.expose().clone() }
    }

    fn provider(&self, groups: Value) -> Provider {
        Provider::start(self.port, &self.site, &groups)
    }

    /// Asks the API as the administrator.
    fn api(&self, method: &str, path: &str, body: &Value) -> (String, Value) {
        let output = Command::new("curl")
            .args(["-sS", "-X", method, "-H", "content-type: application/json", "-w", "\n%{http_code}"])
            .args(["-H", &format!("authorization: Bearer {}", self.token), "-d", &body.to_string()])
            .arg(format!("{}/api/v1{path}", self.site.url))
            .output()
            .expect("is the package curl installed?");
        let all = String::from_utf8(output.stdout).unwrap();
        let (text, status) = all.rsplit_once('\n').unwrap();
        (status.into(), serde_json::from_str(text).unwrap_or_default())
    }

    /// Sets the provider, with these changes.
    #[track_caller]
    fn set(&self, changes: Value) {
        let mut provider = json!({ "issuer": format!("http://127.0.0.1:{}", self.port), "client_id": "rackwright",
            "client_secret": SECRET, "base_url": self.site.url, "label": "Company login", "scopes": ["profile"] });
        provider.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let (status, answer) = self.api("PUT", "/login-provider", &provider);
        assert_eq!(status, "200", "{answer}");
        assert!(answer["client_secret"].is_null() && !answer.to_string().contains(SECRET), "{answer}");
    }

    /// Role, pools and sight of a user.
    fn user(&self, name: &str) -> (Value, Value, Value) {
        let (status, user) = self.api("GET", &format!("/users/{name}"), &Value::Null);
        assert_eq!(status, "200", "{user}");
        (user["role"].clone(), user["pools"].clone(), user["restricted"].clone())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_log_in_at_a_provider_with_the_roles_of_their_groups() {
    let world = World::new().await;
    let site = &world.site;
    let provider = world.provider(json!({ "zoe": ["ops"], "gus": ["gpu"] }));
    assert!(!Browser::new().open(&format!("{}/login", site.url), &[]).text.contains("Company login"));
    world.set(json!({ "roles": [{ "group": "ops", "role": "operator" }, { "group": "gpu", "role": "user", "pool": "default" }],
                      "create_users": true }));
    let zoe = Browser::new();
    assert!(zoe.open(&format!("{}/login", site.url), &[]).text.contains("Company login"));
    let seen = zoe.log_in(site, "zoe");
    assert_eq!((seen.status.as_str(), seen.address), ("200", format!("{}/machines", site.url)));
    assert!(seen.text.contains("<b>zoe</b>"), "{}", seen.text);
    assert_eq!(world.user("zoe"), (json!("operator"), json!({}), json!(false)));
    assert_eq!(Browser::new().log_in(site, "gus").status, "200");
    assert_eq!(world.user("gus"), (json!("viewer"), json!({ "default": "user" }), json!(true)));
    let text = refusal(&Browser::new().log_in(site, "eve"), "403");
    assert!(text.contains("eve is in none of the groups") && text.contains("the claim `groups`"), "{text}");
    // Somebody who calls themselves as a user here does not become that user.
    world.set(json!({ "default_role": "viewer", "create_users": true }));
    let text = refusal(&Browser::new().log_in(site, "ann"), "409");
    assert!(
        text.contains(&format!("rackwright user set ann --subject 'http://127.0.0.1:{} ann'", world.port)),
        "{text}"
    );
    let leaving = zoe.open(&format!("{}/login/leave", site.url), &[]);
    assert!(
        leaving.address.starts_with(&format!("http://127.0.0.1:{}/session/end", world.port)),
        "{leaving:?}"
    );

    // The provider comes back with other keys, and zoe in another group; the region still has the old keys.
    drop(provider);
    let provider = world.provider(json!({ "zoe": ["gpu"] }));
    let groups =
        json!({ "roles": [{ "group": "gpu", "role": "user", "pool": "default" }], "create_users": true });
    world.set(groups);
    assert_eq!(Browser::new().log_in(site, "zoe").status, "200");
    assert_eq!(world.user("zoe"), (json!("viewer"), json!({ "default": "user" }), json!(true)));
    drop(provider);
    let provider = world.provider(json!({ "zoe": ["gpu"] }));
    assert_eq!(Browser::new().log_in(site, "zoe").status, "200", "with keys that were not kept");

    // Without the provider, people with a password here log in as before.
    drop(provider);
    world.set(json!({ "label": "Other" }));
    let text = refusal(&Browser::new().open(&format!("{}/login/provider", site.url), &[]), "409");
    assert!(text.contains("does not answer at http://127.0.0.1"), "{text}");
    let (status, _) = world.api("POST", "/session", &json!({ "name": "admin", "password": PASSWORD }));
    assert_eq!(status, "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_whom_the_provider_did_not_send_for_this_login() {
    let world = World::new().await;
    let site = &world.site;
    let _provider = world.provider(json!({}));
    // Nobody is made: users are those that an administrator has entered.
    world.set(json!({}));
    let text = refusal(&Browser::new().log_in(site, "17"), "403");
    let subject = format!("http://127.0.0.1:{} 17", world.port);
    assert!(text.contains(&format!("rackwright user set NAME --subject '{subject}'")), "{text}");
    let (status, answer) = world.api("PATCH", "/users/vera", &json!({ "subject": subject }));
    assert_eq!(status, "200", "{answer}");
    let vera = Browser::new();
    assert!(vera.log_in(site, "17").text.contains("<b>vera</b>"));
    assert_eq!(world.user("vera").0, "viewer", "the role that she has here");
    let (status, _) = world.api("PATCH", "/users/vera", &json!({ "disabled": true }));
    assert_eq!(status, "200");
    assert!(refusal(&Browser::new().log_in(site, "17"), "403").contains("vera is disabled"));

    let back = format!("{}/login/return?code=x&state=y", site.url);
    assert!(refusal(&Browser::new().open(&back, &[]), "401").contains("begun in another browser"));
    // What one browser has begun, another does not end.
    let begun = Browser::new();
    let asked = begun.open(&format!("{}/login/provider", site.url), &[]);
    assert_eq!(asked.status, "200");
    let answer = refusal(&begun.open(&back, &[]), "401");
    assert!(answer.contains("begun in another browser"), "{answer}");

    world.set(json!({ "client_secret": "wrong" }));
    let text = refusal(&Browser::new().log_in(site, "17"), "403");
    assert!(text.contains("refused this site (invalid_client): compare client id, secret"), "{text}");
    // A token that is signed with the secret that both have.
    world.set(json!({ "client_id": "shared" }));
    let text = refusal(&Browser::new().log_in(site, "17"), "403");
    assert!(text.contains("not signed with a key that only the provider has"), "{text}");
    let plain = json!({ "issuer": "http://id.example", "client_id": "x", "base_url": "https://rw.example", "label": "x" });
    let (status, answer) = world.api("PUT", "/login-provider", &plain);
    assert_eq!((status.as_str(), &answer["field"]), ("422", &json!("issuer")));
}
