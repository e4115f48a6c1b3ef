//! What the pages answer to requests that a browser's user does not make: without session, without the form's token,
//! without the role, to addresses that are not there. Needs PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use std::time::{Duration, Instant};
use support::{PASSWORD, Site};
use tower::ServiceExt;

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

async fn send(site: &Site, request: Request<Body>) -> Reply {
    let (parts, body) = site.router.clone().oneshot(request).await.unwrap().into_parts();
    let bytes = to_bytes(body, 16 << 20).await.unwrap();
    Reply { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.into()).unwrap() }
}

async fn get(site: &Site, cookie: &str, path: &str) -> Reply {
    send(site, Request::get(path).header("cookie", cookie).body(Body::empty()).unwrap()).await
}

async fn post(site: &Site, cookie: &str, path: &str, form: &str) -> Reply {
    let request = Request::post(path)
        .header("cookie", cookie)
        .header("content-type", "application/x-www-form-urlencoded");
    send(site, request.body(Body::from(form.to_owned())).unwrap()).await
}

/// Asks for an action on many machines, and waits until every machine was looked at.
async fn bulk(site: &Site, cookie: &str, form: &str) -> Reply {
    let asked = post(site, cookie, "/machines/bulk", form).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.text);
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let shown = get(site, cookie, asked.header("location")).await;
        assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
        if shown.text.contains("Ended") {
            return shown;
        }
        assert!(Instant::now() < deadline, "it does not end: {}", shown.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).unwrap().0
}

/// The session's cookie and its CSRF token.
async fn log_in(site: &Site, user: &str) -> (String, String) {
    let form = get(site, "", "/login").await;
    let tie = form.header("set-cookie").split(';').next().unwrap().to_owned();
    let csrf = between(&form.text, "name=\"csrf\" value=\"", "\"");
    let body = format!("csrf={csrf}&name={user}&password={}", PASSWORD.replace(' ', "+"));
    let reply = post(site, &tie, "/login", &body).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.text);
    let cookies: Vec<_> = reply.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).collect();
    let session = cookies.iter().find(|c| c.starts_with("rackwright_session=")).unwrap();
    assert!(session.contains("HttpOnly") && session.contains("SameSite=Lax"), "{session}");
    let cookie = session.split(';').next().unwrap().to_owned();
    let page = get(site, &cookie, "/machines").await;
    let csrf = between(&page.text, "name=\"csrf\" value=\"", "\"").to_owned();
    (cookie, csrf)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_logged_in_is_sent_to_log_in() {
    let site = Site::start("127.0.0.1:0").await;
    let pages = [
        "/machines",
        "/machines/k3x9ab",
        "/operations",
        "/events",
        "/images",
        "/controllers",
        "/networks",
        "/settings",
        "/scripts",
        "/scripts/disk-quick",
        "/account",
        "/users",
    ];
    for page in pages {
        let reply = get(&site, "", page).await;
        assert_eq!(
            (reply.status, reply.header("location")),
            (StatusCode::SEE_OTHER, &*format!("/login?next={page}"))
        );
        assert_eq!(reply.text, "");
    }
    let live = Request::get("/machines/table").header("x-rackwright-live", "1").body(Body::empty()).unwrap();
    assert_eq!(send(&site, live).await.status, StatusCode::UNAUTHORIZED);
    let reply = post(&site, "", "/machines/p5t8rw/lock", "").await;
    assert_eq!((reply.status, reply.header("location")), (StatusCode::SEE_OTHER, "/login"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_the_sessions_token_changes_nothing() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, csrf) = log_in(&site, "ann").await;
    for form in ["", "csrf=", "csrf=wrong"] {
        let reply = post(&site, &cookie, "/machines/p5t8rw/lock", form).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        assert!(reply.text.contains("reload the page"), "{}", reply.text);
    }
    assert!(!get(&site, &cookie, "/machines/p5t8rw/row").await.text.contains("locked"));
    let reply = post(&site, &cookie, "/machines/p5t8rw/lock", &format!("csrf={csrf}")).await;
    assert_eq!((reply.status, reply.header("location")), (StatusCode::SEE_OTHER, "/machines/p5t8rw"));
    assert!(get(&site, &cookie, "/machines/p5t8rw/row").await.text.contains("locked"));
    // Nor does logging in, which would make somebody work in another's session.
    let reply =
        post(&site, "", "/login", &format!("csrf=x&name=ann&password={}", PASSWORD.replace(' ', "+"))).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_and_does_not_touch() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, csrf) = log_in(&site, "vera").await;
    let page = get(&site, &cookie, "/machines/p5t8rw").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(between(&page.text, "<div class=\"actions\">", "</div>").trim(), "");
    let reply = post(&site, &cookie, "/machines/p5t8rw/commission", &format!("csrf={csrf}&tests=none")).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(reply.text.contains("This needs the role operator; vera has the role viewer."), "{}", reply.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_says_so_and_programs_get_json() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, _) = log_in(&site, "ann").await;
    for (path, said) in [
        ("/nowhere", "There is no page at this address."),
        ("/machines/aaaaaa", "There is no machine aaaaaa."),
        ("/machines/NOT-ONE", "There is no machine NOT-ONE."),
        ("/operations/999999", "There is no operation 999999."),
        ("/operations/many", "There is no operation many."),
        ("/machines/k3x9ab/runs/1", "There is no script run 1."),
    ] {
        let reply = get(&site, &cookie, path).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        assert!(reply.text.contains(said), "{path}: {}", reply.text);
    }
    let reply = post(&site, &cookie, "/machines/k3x9ab/row", "").await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(reply.text.contains("cannot be used in this way"), "{}", reply.text);
    let reply = get(&site, &cookie, "/machines?status=sleepy").await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    let reply = get(&site, &cookie, "/api/v1/nowhere").await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (StatusCode::NOT_FOUND, "application/problem+json")
    );
    assert_eq!(get(&site, &cookie, "/api/v1/machines").await.status, StatusCode::OK);
    assert_eq!(get(&site, "", "/healthz").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_forbids_foreign_content() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, _) = log_in(&site, "ann").await;
    for path in ["/login", "/machines", "/nowhere", "/static/app.js"] {
        let reply = get(&site, &cookie, path).await;
        assert!(reply.header("content-security-policy").starts_with("default-src 'self';"), "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
    }
    assert_eq!(get(&site, &cookie, "/machines").await.header("cache-control"), "no-store");
    assert!(get(&site, "", "/static/app.css").await.header("cache-control").contains("immutable"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_operators_is_told_what_the_first_has_stored() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, csrf) = log_in(&site, "ann").await;
    let form = get(&site, &cookie, "/machines/p5t8rw/edit").await;
    assert_eq!(form.status, StatusCode::OK);
    let version = between(&form.text, "name=\"version\" value=\"", "\"").to_owned();
    let body = |zone: &str, description: &str| {
        format!(
            "csrf={csrf}&version={version}&hostname=ceph-03&was-hostname=ceph-03&description={description}&was-description=the+spare+one\
             &pool=research&was-pool=research&zone={zone}&was-zone=row-a&tags=ceph+nvme&storage_layout.kind=flat"
        )
    };
    let first = post(&site, &cookie, "/machines/p5t8rw/edit", &body("row-b", "the+spare+one")).await;
    assert_eq!((first.status, first.header("location")), (StatusCode::SEE_OTHER, "/machines/p5t8rw"));
    let second = post(&site, &cookie, "/machines/p5t8rw/edit", &body("row-a", "mine")).await;
    assert_eq!(second.status, StatusCode::PRECONDITION_FAILED);
    assert!(second.text.contains("It was changed since you read it"), "{}", second.text);
    assert!(second.text.contains("stored is now: row-b"), "{}", second.text);
    // What the first stored is kept, what the second typed too; saved again, both are there.
    let version = between(&second.text, "name=\"version\" value=\"", "\"");
    let again = format!(
        "csrf={csrf}&version={version}&hostname=ceph-03&description=mine&pool=research&zone=row-b&tags=ceph+nvme&storage_layout.kind=flat"
    );
    assert_eq!(post(&site, &cookie, "/machines/p5t8rw/edit", &again).await.status, StatusCode::SEE_OTHER);
    let shown = get(&site, &cookie, "/machines/p5t8rw").await.text;
    assert!(shown.contains("research / row-b") && shown.contains("<p>mine</p>"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_said_at_its_field_in_the_words_of_the_api() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, csrf) = log_in(&site, "ann").await;
    let machine = "pool=research&zone=row-a&tags=&storage_layout.kind=flat";
    for (form, field, said) in [
        (format!("edit?hostname=-x&{machine}"), "edit-hostname", "`-x` is not a host name"),
        (
            format!("edit?hostname=ceph-01&{machine}"),
            "edit-hostname",
            "There is already a machine of this name.",
        ),
        (
            "edit?hostname=ceph-03&pool=research&zone=row-a&tags=a%2Fb&storage_layout.kind=flat".into(),
            "edit-tags",
            "`a/b` is not a tag",
        ),
        ("bmc?driver=ipmi&address=".into(), "bmc-address", "The driver ipmi needs the BMC"),
        ("bmc?driver=ipmi&address=x&port=0".into(), "bmc-port", "A port is 1 to 65535."),
        (
            "bmc?driver=ipmi&address=x&settings.cipher_suite=2".into(),
            "bmc-settings-cipher_suite",
            "2 is not supported: 3 or 17.",
        ),
        ("bmc?driver=ipmi&address=x&settings.kg=xyz".into(), "bmc-settings-kg", "K_g is up to 20 bytes"),
    ] {
        let (verb, body) = form.split_once('?').unwrap();
        let reply =
            post(&site, &cookie, &format!("/machines/p5t8rw/{verb}"), &format!("csrf={csrf}&{body}")).await;
        assert!(reply.status.is_client_error(), "{form}: {}", reply.status);
        let there = between(&reply.text, &format!("<div id=\"{field}-problem\">"), "</div>");
        assert!(there.contains(&said.replace('\'', "&#39;")), "{form}: {there}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bmcs_password_is_kept_and_never_shown() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, csrf) = log_in(&site, "ann").await;
    let secret = || async {
        sqlx::query_scalar::<_, Vec<u8>>("SELECT secret FROM bmc WHERE machine_id = 'p5t8rw'")
            .fetch_one(&site.pool)
            .await
            .unwrap()
    };
    let body = format!("csrf={csrf}&driver=ipmi&address=10.78.0.99&username=ops&password=hunter2hunter2");
    assert_eq!(post(&site, &cookie, "/machines/p5t8rw/bmc", &body).await.status, StatusCode::SEE_OTHER);
    let stored = secret().await;
    let body = format!("csrf={csrf}&driver=ipmi&address=10.78.0.98&username=ops&password=");
    assert_eq!(post(&site, &cookie, "/machines/p5t8rw/bmc", &body).await.status, StatusCode::SEE_OTHER);
    assert_eq!(secret().await, stored);
    let refused = format!("csrf={csrf}&driver=ipmi&address=&password=hunter2hunter2");
    for reply in [
        post(&site, &cookie, "/machines/p5t8rw/bmc", &refused).await,
        get(&site, &cookie, "/machines/p5t8rw/edit").await,
        get(&site, &cookie, "/machines/p5t8rw").await,
        get(&site, &cookie, "/events?level=debug").await,
    ] {
        assert!(!reply.text.contains("hunter2"), "{}", reply.text);
    }
    // Users and viewers do not get that far.
    let (cookie, csrf) = log_in(&site, "ben").await;
    assert_eq!(get(&site, &cookie, "/machines/p5t8rw/edit").await.status, StatusCode::FORBIDDEN);
    let own = get(&site, &cookie, "/machines/a2b4c6/edit").await;
    assert!(own.status == StatusCode::OK && !own.text.contains("name=\"driver\""), "{}", own.text);
    let body = format!("csrf={csrf}&driver=manual");
    assert_eq!(post(&site, &cookie, "/machines/a2b4c6/bmc", &body).await.status, StatusCode::FORBIDDEN);
}

/// What stands below a field that was refused.
fn fault<'a>(reply: &'a Reply, field: &str) -> &'a str {
    between(&reply.text, &format!("<div id=\"{field}-problem\">"), "</div>")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tokens_secret_is_shown_once_and_works() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, csrf) = log_in(&site, "ann").await;
    let made = post(&site, &cookie, "/account/tokens", &format!("csrf={csrf}&name=nightly&days=30")).await;
    assert_eq!(made.status, StatusCode::OK);
    let secret = between(&made.text, "<code class=\"secret\" tabindex=\"0\">", "</code>").to_owned();
    assert!(secret.starts_with("rwt_"), "{secret}");
    let page = get(&site, &cookie, "/account").await;
    assert!(page.text.contains("nightly") && !page.text.contains(&secret), "{}", page.text);
    let bearer = Request::get("/api/v1/machines").header("authorization", format!("Bearer {secret}"));
    assert_eq!(send(&site, bearer.body(Body::empty()).unwrap()).await.status, StatusCode::OK);
    let again = post(&site, &cookie, "/account/tokens", &format!("csrf={csrf}&name=nightly&days=30")).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(fault(&again, "token-name").contains("You already have a token of this name."));
    let id = between(&page.text, "/account/tokens/", "/delete").to_owned();
    let gone = post(&site, &cookie, &format!("/account/tokens/{id}/delete"), &format!("csrf={csrf}")).await;
    assert_eq!((gone.status, gone.header("location")), (StatusCode::SEE_OTHER, "/account"));
    let bearer = Request::get("/api/v1/machines").header("authorization", format!("Bearer {secret}"));
    assert_eq!(send(&site, bearer.body(Body::empty()).unwrap()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_checked_and_a_new_password_ends_the_session() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, csrf) = log_in(&site, "ben").await;
    let torn =
        post(&site, &cookie, "/account/ssh-keys", &format!("csrf={csrf}&public_key=hello+world")).await;
    assert_eq!(torn.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(fault(&torn, "key-public_key").contains("is not a public key"), "{}", torn.text);
    let key = "ssh-ed25519+AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl+ben%40desk";
    let taken = post(&site, &cookie, "/account/ssh-keys", &format!("csrf={csrf}&public_key={key}")).await;
    assert_eq!(taken.status, StatusCode::SEE_OTHER);
    assert!(get(&site, &cookie, "/account").await.text.contains("ben@desk"));
    for (form, field, said) in [
        ("password=short&again=short", "password-password", "a password has 12 characters at least"),
        ("password=long+enough+word&again=another+word", "password-again", "The two are not the same."),
    ] {
        let reply = post(&site, &cookie, "/account/password", &format!("csrf={csrf}&{form}")).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
        let there = fault(&reply, field).to_lowercase();
        assert!(there.contains(&said.to_lowercase()), "{there}");
    }
    let form = format!("csrf={csrf}&password=long+enough+word&again=long+enough+word");
    let changed = post(&site, &cookie, "/account/password", &form).await;
    assert_eq!((changed.status, changed.header("location")), (StatusCode::SEE_OTHER, "/login"));
    assert_eq!(get(&site, &cookie, "/machines").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_make_change_and_remove_users() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, csrf) = log_in(&site, "admin").await;
    let form = |more: &str| format!("csrf={csrf}&{more}");
    let refused = post(&site, &cookie, "/users", &form("name=Eve&role=user&password=")).await;
    assert!(fault(&refused, "user-name").contains("A user name is a lower-case letter"), "{}", refused.text);
    assert!(refused.text.contains("value=\"Eve\""));
    let made = post(&site, &cookie, "/users", &form("name=eve&role=user&password=twelve+letters")).await;
    assert_eq!((made.status, made.header("location")), (StatusCode::SEE_OTHER, "/users"));
    assert!(get(&site, &cookie, "/users").await.text.contains("/users/eve"));
    let raised = post(&site, &cookie, "/users/eve", &form("role=operator&disabled=on")).await;
    assert_eq!(raised.status, StatusCode::SEE_OTHER);
    let page = get(&site, &cookie, "/users/eve").await.text;
    assert!(page.contains("Disabled") && page.contains("<option value=\"operator\" selected>"), "{page}");
    // The last administrator stays one.
    let last = post(&site, &cookie, "/users/admin", &form("role=viewer")).await;
    assert_eq!(last.status, StatusCode::CONFLICT);
    assert!(last.text.contains("This is the last administrator; make another one first."), "{}", last.text);
    assert_eq!(post(&site, &cookie, "/users/eve/delete", &form("")).await.status, StatusCode::SEE_OTHER);
    assert_eq!(get(&site, &cookie, "/users/eve").await.status, StatusCode::NOT_FOUND);
    // An operator sees none of it.
    let (cookie, csrf) = log_in(&site, "ann").await;
    for path in ["/users", "/users/admin", "/users/ann"] {
        assert_eq!(get(&site, &cookie, path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let grab = post(&site, &cookie, "/users/ann", &format!("csrf={csrf}&role=administrator")).await;
    assert_eq!(grab.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_stored_replaced_and_removed() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, csrf) = log_in(&site, "admin").await;
    let form = |more: &str| format!("csrf={csrf}&{more}");
    let nameless =
        post(&site, &cookie, "/scripts", &form("name=&body=%23%21%2Fbin%2Fsh%0D%0Aexit+0%0D%0A")).await;
    assert_eq!(nameless.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        fault(&nameless, "script-name").contains("The header has no name; give one."),
        "{}",
        nameless.text
    );
    assert!(nameless.text.contains("exit 0"), "the program came not back: {}", nameless.text);
    for version in 1..=2 {
        let body = form(&format!("name=ours&body=%23%21%2Fbin%2Fsh%0D%0Aexit+{version}%0D%0A"));
        let stored = post(&site, &cookie, "/scripts", &body).await;
        assert_eq!((stored.status, stored.header("location")), (StatusCode::SEE_OTHER, "/scripts/ours"));
    }
    let page = get(&site, &cookie, "/scripts/ours").await.text;
    assert!(page.contains("version 2") && page.contains("exit 2") && page.contains("?version=1"), "{page}");
    let old = get(&site, &cookie, "/scripts/ours?version=1").await.text;
    assert!(old.contains("not the version that runs") && old.contains("exit 1"), "{old}");
    let builtin = post(&site, &cookie, "/scripts/disk-quick/delete", &form("")).await;
    assert_eq!(builtin.status, StatusCode::CONFLICT);
    assert_eq!(post(&site, &cookie, "/scripts/ours/delete", &form("")).await.status, StatusCode::SEE_OTHER);
    assert_eq!(get(&site, &cookie, "/scripts/ours").await.status, StatusCode::NOT_FOUND);
    // Others look and do not store.
    let (cookie, csrf) = log_in(&site, "ann").await;
    let list = get(&site, &cookie, "/scripts").await;
    assert!(
        list.status == StatusCode::OK
            && list.text.contains("disk-quick")
            && !list.text.contains("Store the script")
    );
    let body = format!("csrf={csrf}&name=mine&body=x");
    assert_eq!(post(&site, &cookie, "/scripts", &body).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_changed_one_by_one() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, csrf) = log_in(&site, "admin").await;
    let form = |more: &str| format!("csrf={csrf}&{more}");
    // Somebody else changes one while this form, which was made before, changes another.
    let first = form("was-enlist=on&ntp_servers=10.0.0.1&was-ntp_servers=");
    assert_eq!(post(&site, &cookie, "/settings", &first).await.status, StatusCode::SEE_OTHER);
    let second = form(
        "enlist=on&was-enlist=on&ntp_servers=&was-ntp_servers=&default_erase=quick&was-default_erase=none",
    );
    assert_eq!(post(&site, &cookie, "/settings", &second).await.status, StatusCode::SEE_OTHER);
    let stored = get(&site, &cookie, "/api/v1/settings").await.text;
    for known in ["\"enlist\":false", "\"ntp_servers\":[\"10.0.0.1\"]", "\"default_erase\":\"quick\""] {
        assert!(stored.contains(known), "{known}: {stored}");
    }
    let wrong = form("default_tests=nonesuch&was-default_tests=cpu-quick");
    let refused = post(&site, &cookie, "/settings", &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        fault(&refused, "settings-default_tests").contains("There is no testing script or tag `nonesuch`."),
        "{}",
        refused.text
    );
    let (cookie, csrf) = log_in(&site, "ann").await;
    assert!(!get(&site, &cookie, "/settings").await.text.contains("id=\"settings\""));
    let body = format!("csrf={csrf}&was-enlist=on");
    assert_eq!(post(&site, &cookie, "/settings", &body).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_machines_are_shown_what_will_happen_before_it_does() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, csrf) = log_in(&site, "ann").await;
    // ceph-03 is Ready, ceph-01 is deployed and locked, ceph-02 is being deployed.
    let three = "machine=p5t8rw&machine=k3x9ab&machine=m7d2qz";
    let form = |more: &str| format!("csrf={csrf}&{more}");
    let preview = post(&site, &cookie, "/machines/bulk", &form(&format!("verb=commission&{three}"))).await;
    assert_eq!(preview.status, StatusCode::OK, "{}", preview.text);
    assert!(preview.text.contains("Commission: 1 machine"), "{}", preview.text);
    for why in ["it is locked", "deploy is under way on it (operation 120)"] {
        assert!(preview.text.contains(why), "{why}: {}", preview.text);
    }
    let row = get(&site, &cookie, "/machines/p5t8rw/row").await.text;
    assert!(row.contains("Ready"), "a preview did something: {row}");
    // Carried out with all three all the same: the use cases refuse, in their own words.
    let body = form(&format!("verb=commission&confirmed=yes&no_tests=on&{three}"));
    let done = bulk(&site, &cookie, &body).await;
    assert!(done.text.contains("1 taken") && done.text.contains("2 refused"), "{}", done.text);
    let refused = between(&done.text, "id=\"refused\"", "</section>");
    assert!(
        refused.contains("ceph-01") && refused.contains("ceph-02") && refused.contains("is locked"),
        "{refused}"
    );
    assert!(get(&site, &cookie, "/machines/p5t8rw/row").await.text.contains("Commissioning"));
    for (wrong, said) in
        [("verb=explode&machine=p5t8rw", "Choose what to do"), ("verb=lock", "Choose one machine at least.")]
    {
        let reply = post(&site, &cookie, "/machines/bulk", &form(wrong)).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(reply.text.contains(said), "{}", reply.text);
    }
    // Without the form's token nothing happens; a viewer is refused.
    assert_eq!(
        post(&site, &cookie, "/machines/bulk", "verb=lock&machine=y7z4a9&confirmed=yes").await.status,
        StatusCode::FORBIDDEN
    );
    let (cookie, csrf) = log_in(&site, "vera").await;
    let body = format!("csrf={csrf}&verb=lock&confirmed=yes&machine=y7z4a9");
    let reply = post(&site, &cookie, "/machines/bulk", &body).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(reply.text.contains("needs the role user"), "{}", reply.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_machines_that_fit_a_filter_get_a_tag() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, csrf) = log_in(&site, "ann").await;
    let body = format!("csrf={csrf}&verb=add-tag&confirmed=yes&all=on&filter=pool%3Abuild-farm&tag=slow");
    let done = bulk(&site, &cookie, &body).await;
    assert!(done.text.contains("3 taken"), "{}", done.text);
    let list = get(&site, &cookie, "/machines?q=tag%3Aslow").await.text;
    for name in ["build-01", "build-02", "build-03"] {
        assert!(list.contains(name), "{name}: {list}");
    }
    assert!(!list.contains("ceph-01"), "{list}");
    let body = format!("csrf={csrf}&verb=add-tag&confirmed=yes&machine=a2b4c6&tag=a%2Fb");
    let refused = bulk(&site, &cookie, &body).await;
    assert!(refused.text.contains("`a/b` is not a tag"), "{}", refused.text);
    let wrong = get(&site, &cookie, "/machines?q=status%3Asleepy").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        wrong.text.contains("value=\"status:sleepy\"") && wrong.text.contains("role=\"alert\""),
        "{}",
        wrong.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_leads_to_what_needs_a_person() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, _) = log_in(&site, "ann").await;
    let page = get(&site, &cookie, "/").await;
    assert_eq!(page.status, StatusCode::OK);
    let trouble = between(&page.text, "id=\"h-trouble\"", "</section>");
    for known in ["rack-b1", "build-02", "Secure Boot setting", "build-03", "#do-test", "#do-override"] {
        assert!(trouble.contains(known), "{known}: {trouble}");
    }
    assert!(!trouble.contains("ceph-03"), "{trouble}");
    let running = between(&page.text, "id=\"h-running\"", "</section>");
    assert!(running.contains("ceph-02") && running.contains("machine-n9m3k7"), "{running}");
    // A viewer sees the same and is offered nothing.
    let (cookie, _) = log_in(&site, "vera").await;
    let page = get(&site, &cookie, "/").await.text;
    assert!(page.contains("build-02") && !page.contains("#do-test"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_sorts_the_list_and_a_filter_keeps_the_order() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, _) = log_in(&site, "vera").await;
    let names = |page: &Reply| -> Vec<String> {
        page.text
            .split("class=\"name\">")
            .skip(1)
            .map(|rest| rest.split('<').next().unwrap().to_owned())
            .collect()
    };
    let page = get(&site, &cookie, "/machines?sort=-memory").await;
    assert_eq!(names(&page)[..3], ["gpu-01", "gpu-02", "build-01"]);
    assert!(
        page.text.contains("aria-sort=\"descending\"><a href=\"/machines?sort=memory\">Memory"),
        "{}",
        page.text
    );
    let page = get(&site, &cookie, "/machines?q=pool%3Aresearch&sort=-name").await;
    assert_eq!(names(&page), ["gpu-02", "gpu-01", "ceph-03", "ceph-02", "ceph-01"]);
    assert!(page.text.contains("<input type=\"hidden\" name=\"sort\" value=\"-name\">"), "{}", page.text);
    let wrong = get(&site, &cookie, "/machines?sort=colour").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("Machines can be sorted by name, status"), "{}", wrong.text);
}
