//! The agents that are packaged for Pacemaker: `fence_rackwright` against a region whose rack reaches a BMC, and the OCF
//! resource agent under ClusterLabs' own `ocf-tester`.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use axum::Router;
use axum::routing::get;
use rackwright_common::bmc::{BmcAction, BmcError};
use rackwright_region::model::Role;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};
use support::machine::World;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;

const FENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/fence/fence_rackwright");
const OCF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/ocf/rackwright");

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// A region on a port, a machine behind it, and the agent's options.
struct Fenced {
    world: World,
    url: String,
    name: String,
    folder: tempfile::TempDir,
}

impl Fenced {
    async fn new() -> Self {
        let (world, id) = World::ready().await;
        let url = serve(world.site.router.clone()).await;
        let shown = world.site.get(&format!("/machines/{id}")).await.expect(200);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), world.site.token(Role::Operator)).unwrap();
        Self { world, url, name: shown["hostname"].as_str().unwrap().to_owned(), folder }
    }

    /// Runs the agent as Pacemaker does, while rack and worker do their part.
    async fn run(&mut self, action: &str, more: &str) -> (i32, String) {
        let token = self.folder.path().join("token");
        let options = format!(
            "action={action}\nurl={}\ntoken_file={}\nport={}\npower_timeout=10\n{more}\n",
            self.url,
            token.display(),
            self.name
        );
        let mut agent = Command::new(FENCE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        agent.stdin.take().unwrap().write_all(options.as_bytes()).await.unwrap();
        let running = tokio::spawn(agent.wait_with_output());
        let deadline = Instant::now() + Duration::from_secs(40);
        while !running.is_finished() {
            assert!(
                Instant::now() < deadline,
                "{action} does not end; the BMC saw {:?}",
                self.world.commands
            );
            self.world.work_bmc().await;
            self.world.work_region().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        told(running.await.unwrap().unwrap())
    }
}

fn told(output: Output) -> (i32, String) {
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test]
async fn a_machine_is_fenced_and_the_agent_says_so_only_when_the_bmc_does() {
    let mut fenced = Fenced::new().await;
    assert_eq!(fenced.run("on", "").await.0, 0);
    assert!(fenced.world.on);
    let (code, text) = fenced.run("status", "").await;
    assert_eq!((code, text.trim()), (0, "Status: ON"));
    assert_eq!(fenced.run("off", "").await.0, 0);
    assert!(!fenced.world.on);
    assert_eq!(fenced.world.commands.last(), Some(&BmcAction::Query), "it was read back");
    let (code, text) = fenced.run("status", "").await;
    assert_eq!((code, text.trim()), (2, "Status: OFF"));
    assert_eq!(fenced.run("reboot", "").await.0, 0);
    assert!(fenced.world.on);
    let (code, text) = fenced.run("list", "").await;
    assert!(code == 0 && text.contains(&format!("{},", fenced.name)), "{code} {text}");
    assert_eq!(fenced.run("monitor", "").await.0, 0);
    // A BMC that does not answer: nobody knows, so nobody is told "off".
    fenced.world.bmc_error = Some(BmcError::Unreachable("nothing".into()));
    let (code, text) = fenced.run("off", "").await;
    assert_eq!(code, 1, "{text}");
}

#[tokio::test]
async fn a_region_is_not_fenced_through_itself_and_mistakes_are_named() {
    let mut fenced = Fenced::new().await;
    let own = format!("regions={}={}", fenced.name, fenced.url);
    let (code, text) = fenced.run("off", &own).await;
    assert!(code == 1 && text.contains("not fenced through itself"), "{code} {text}");
    // Another one is asked instead: the first address answers nothing.
    let second = format!("{own}\nurl={},http://127.0.0.1:9", fenced.url);
    let (code, text) = fenced.run("status", &second).await;
    assert!(code == 1 && text.contains("127.0.0.1:9"), "{code} {text}");
    let (code, text) = fenced.run("status", "port=no-such-machine").await;
    assert!(code == 1 && text.contains("there is no machine no-such-machine"), "{code} {text}");
    let (code, text) = fenced.run("explode", "").await;
    assert!(code == 1 && text.contains("explode"), "{code} {text}");
    let (code, text) = fenced.run("validate-all", "token_file=/nowhere").await;
    assert!(code == 1 && text.contains("token_file"), "{code} {text}");
    let metadata = told(Command::new(FENCE).arg("--action=metadata").output().await.unwrap());
    for name in ["on", "off", "reboot", "status", "list", "monitor", "metadata", "validate-all"] {
        assert!(metadata.1.contains(&format!("<action name=\"{name}\"")), "{name}: {}", metadata.1);
    }
}

#[tokio::test]
async fn the_resource_agent_passes_ocf_tester() {
    let url = serve(Router::new().route("/readyz", get(async || "ready\n"))).await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    // What is tried is the agent, so anything that runs will do.
    std::fs::write(path("program"), "#!/bin/sh\nexec sleep 600\n").unwrap();
    std::fs::set_permissions(path("program"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(path("region.toml"), "").unwrap();
    let mut tester = Command::new("ocf-tester");
    tester.env("HA_RSCTMP", folder.path()).args(["-n", "rackwright-test"]);
    for option in [
        "kind=region".to_owned(),
        format!("program={}", path("program")),
        format!("config={}", path("region.toml")),
        format!("log={}", path("log")),
        format!("ready={url}/readyz"),
        "user=".to_owned(),
    ] {
        tester.args(["-o", &option]);
    }
    let output = tokio::time::timeout(Duration::from_secs(60), tester.arg(OCF).output()).await.unwrap();
    let (code, text) = told(output.expect("install the package resource-agents"));
    assert!(code == 0 && text.contains("passed all tests"), "{code} {text}");
}
