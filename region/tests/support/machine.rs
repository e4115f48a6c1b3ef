//! A machine that is not there: it answers as firmware, BMC, agent and cloud-init would, through the same doors as
//! the real ones (rack tasks, relayed requests), so that whole lives run in milliseconds.

use super::Site;
use rackwright_common::MachineId;
use rackwright_common::agent::{HelloReply, NextReply, Work, WorkItem};
use rackwright_common::bmc::{BmcAction, BmcError, BmcOutcome, PowerState, SensorReading};
pub use rackwright_common::link::RelayReply;
use rackwright_common::link::{RackHello, Relay, TaskResult, TaskWork};
use rackwright_common::snapshot::{BootDecision, Snapshot};
use rackwright_region::db::wakeups::Wakeups;
use rackwright_region::db::{self, DbError};
use rackwright_region::inband::InBand;
use rackwright_region::lifecycle::Timing;
use rackwright_region::lifecycle::engine::work_once;
use rackwright_region::racks::{snapshot, tasks};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The MAC of the simulated machine.
pub const MAC: &str = "52:54:00:00:00:01";
/// Its system UUID.
pub const UUID: Uuid = Uuid::from_u128(0x1234);
const RACK: &str = "10.77.0.1:5248";

/// What is between the machine and the region, where a test looks at that.
pub trait Road: Send + Sync {
    /// Whether a request, or the reply to it when there is none, gets through. The machine asks again when it does not.
    fn passes(&self, request: Option<&Relay>) -> bool;
}

/// A site with one rack and one machine.
pub struct World {
    pub site: Site,
    pub inband: InBand,
    pub rack: i64,
    /// What the machine's power is in truth.
    pub on: bool,
    /// The running ephemeral environment: token and boot.
    pub agent: Option<(String, Uuid)>,
    /// What the BMC answers instead of obeying.
    pub bmc_error: Option<BmcError>,
    /// Every command that the BMC was given, in order.
    pub commands: Vec<BmcAction>,
    /// Every kind of work that the agent finished, in order.
    pub done: Vec<&'static str>,
    /// An item of this kind fails with this error.
    pub fails: Option<(&'static str, &'static str)>,
    /// The system on disk reports as soon as it runs.
    pub system_reports: bool,
    /// Credentials that the installation left on disk.
    pub installed: Option<(String, String, String)>,
    /// What carries the machine's requests; nothing is lost without it.
    pub road: Option<Arc<dyn Road>>,
    owner: u32,
}

impl World {
    /// A site with boot files, an image, a rack; the machine is off.
    pub async fn new() -> Self {
        let site = Site::new().await;
        let mut conn = site.pool.acquire().await.unwrap();
        let hello = RackHello {
            version: "test".into(),
            generation: 0,
            addresses: serde_json::from_value(
                json!([{ "interface": "eth1", "network": "10.77.0.1/24", "http_port": 5248 }]),
            )
            .unwrap(),
            instance: Uuid::new_v4(),
            clock: None,
        };
        let rack = db::rack::hello(&mut conn, "rack-1", &hello).await.unwrap();
        rackwright_region::network::adopt(
            &mut conn,
            &hello.addresses,
            rackwright_region::network::NewNetworks::Serve,
        )
        .await
        .unwrap();
        rackwright_region::network::grant_first_blocks(&mut conn, rack, &hello.addresses).await.unwrap();
        for (name, kind, files) in [
            ("ephemeral", "ephemeral", vec!["vmlinuz", "initrd"]),
            ("debian-12", "os", vec!["disk", "rootfs"]),
        ] {
            let image: i64 =
                sqlx::query_scalar("INSERT INTO image (name, version, kind) VALUES ($1, 1, $2) RETURNING id")
                    .bind(name)
                    .bind(kind)
                    .fetch_one(&mut *conn)
                    .await
                    .unwrap();
            for (at, file) in files.into_iter().enumerate() {
                sqlx::query("INSERT INTO image_file VALUES ($1, $2, $3, 1000, 1000)")
                    .bind(image)
                    .bind(file)
                    .bind(format!("{:064x}", image * 10 + at as i64))
                    .execute(&mut *conn)
                    .await
                    .unwrap();
            }
        }
        drop(conn);
        let inband = InBand::new(site.pool.clone(), site.app.keys().clone(), Wakeups::default());
        Self {
            inband,
            rack,
            on: false,
            agent: None,
            bmc_error: None,
            commands: Vec::new(),
            done: Vec::new(),
            fails: None,
            system_reports: true,
            installed: None,
            road: None,
            owner: 0,
            site,
        }
    }

    /// The rack's picture of the world.
    pub async fn snapshot(&self) -> Snapshot {
        let mut conn = self.site.pool.acquire().await.unwrap();
        snapshot::make(&mut conn, self.site.app.keys(), self.rack).await.unwrap()
    }

    /// One machine-side request.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        authorization: Option<String>,
        body: Value,
    ) -> RelayReply {
        let relay = Relay {
            id: 1,
            method: method.into(),
            path: path.into(),
            authorization,
            body: body.to_string(),
            peer: [10, 77, 0, 50].into(),
            local: RACK.into(),
        };
        let passes = |request| self.road.as_ref().is_none_or(|road| road.passes(request));
        loop {
            if passes(Some(&relay)) {
                let reply = self.inband.answer(relay.clone()).await;
                if passes(None) {
                    return reply;
                }
            }
        }
    }

    /// The machine is switched on by hand: it boots what the rack says, if anything.
    pub async fn power_on(&mut self) {
        self.on = true;
        self.agent = None;
        let decision = self.snapshot().await.boot_decision(Some(UUID), Some(MAC.parse().unwrap()));
        match decision {
            Some(BootDecision::Ephemeral(boot)) => self.boot_agent(boot.token.expose().clone()).await,
            Some(BootDecision::Local) if self.system_reports => self.boot_system().await,
            _ => {}
        }
    }

    async fn boot_agent(&mut self, token: String) {
        let boot = Uuid::new_v4();
        let hello = json!({ "boot_id": boot, "uuid": UUID, "serial": "SN1", "boot_mac": MAC, "macs": [MAC], "efi": false,
                            "uptime_ms": 2000, "version": "test", "architecture": "x86_64" });
        let reply = self.request("POST", "/agent/v1/hello", Some(format!("Bearer {token}")), hello).await;
        if reply.status == 200 {
            let reply: HelloReply = serde_json::from_str(&reply.body).unwrap();
            self.agent = Some((reply.token.unwrap_or(token), boot));
        }
    }

    async fn boot_system(&mut self) {
        let Some((machine, operation, secret)) = self.installed.clone() else { return };
        let oauth = format!(
            "OAuth oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"{machine}\", oauth_token=\"{operation}\", oauth_signature=\"%26{secret}\""
        );
        let id = self
            .request("GET", "/MAAS/metadata/2012-03-01/meta-data/instance-id", Some(oauth.clone()), json!({}))
            .await;
        assert_eq!((id.status, id.body), (200, format!("{machine}-{operation}")));
        let message = json!({ "name": "modules-final", "event_type": "finish", "result": "SUCCESS", "description": "running modules", "timestamp": seconds() });
        let said =
            self.request("POST", &format!("/MAAS/metadata/status/{machine}"), Some(oauth), message).await;
        assert_eq!(said.status, 200, "{}", said.body);
    }

    /// The rack carries out what waits for it.
    pub async fn work_bmc(&mut self) {
        let claimed = {
            let mut conn = self.site.pool.acquire().await.unwrap();
            tasks::claim(&mut conn, self.site.app.keys(), self.rack, None).await.unwrap()
        };
        for task in claimed {
            let TaskWork::Bmc(order) = &task.work else { panic!("unknown work") };
            let outcome = match &self.bmc_error {
                Some(error) => Err(error.clone()),
                None => Ok(self.obey(order.action).await),
            };
            let mut conn = self.site.pool.acquire().await.unwrap();
            tasks::finish(&mut conn, &TaskResult { id: task.id, claim: task.claim, outcome }).await.unwrap();
        }
    }

    /// The machine's BMC does what it is told.
    pub async fn obey(&mut self, action: BmcAction) -> BmcOutcome {
        self.commands.push(action);
        match action {
            BmcAction::On if !self.on => self.power_on().await,
            BmcAction::Off => {
                self.on = false;
                self.agent = None;
            }
            BmcAction::Cycle => self.power_on().await,
            BmcAction::Sensors => {
                let fan = SensorReading { name: "Fan 1".into(), value: Some(4800.0), unit: "RPM".into() };
                return BmcOutcome::Sensors { readings: vec![fan] };
            }
            _ => {}
        }
        BmcOutcome::Power { state: if self.on { PowerState::On } else { PowerState::Off } }
    }

    /// The agent fetches and does one item, if it runs and there is one.
    pub async fn work_agent(&mut self) {
        let Some((token, boot)) = self.agent.clone() else { return };
        let bearer = Some(format!("Bearer {token}"));
        let reply = self.request("POST", "/agent/v1/next", bearer.clone(), json!({ "boot_id": boot })).await;
        if matches!(reply.status, 401 | 410) {
            // As the real agent: restart, and boot what the rack says now.
            self.power_on().await;
            return;
        }
        let Some(item) = serde_json::from_str::<NextReply>(&reply.body).unwrap().item else { return };
        let (kind, result) = self.perform(&item, boot);
        let path = format!("/agent/v1/items/{}/result", item.id);
        for _ in 0..2 {
            // The first answer was lost, say: the repeat must be harmless.
            let reply = self.request("POST", &path, bearer.clone(), result.clone()).await;
            assert_eq!(reply.status, 204, "{kind}: {}", reply.body);
        }
        self.done.push(kind);
        match kind {
            "reboot" => self.power_on().await,
            "power-off" => {
                self.on = false;
                self.agent = None;
            }
            _ => {}
        }
    }

    fn perform(&mut self, item: &WorkItem, boot: Uuid) -> (&'static str, Value) {
        let (kind, more) = match &item.work {
            Work::Inventory => ("inventory", json!({ "inventory": inventory() })),
            Work::SetupBmc { username, .. } => {
                ("setup-bmc", json!({ "bmc": { "address": "10.78.0.1", "username": username } }))
            }
            Work::Script(_) => (
                "script",
                json!({ "script": { "exit_code": 0, "stdout": "ok\n", "stderr": "", "result_yaml": "results: {speed: 5}" } }),
            ),
            Work::Install(install) => {
                let m = &install.metadata;
                self.installed = Some((
                    m.consumer_key.expose().clone(),
                    m.token_key.expose().clone(),
                    m.token_secret.expose().clone(),
                ));
                ("install", json!({}))
            }
            Work::Erase { .. } => {
                self.installed = None;
                ("erase", json!({}))
            }
            Work::Rescue { .. } => ("rescue", json!({})),
            Work::Reboot => ("reboot", json!({})),
            Work::PowerOff => ("power-off", json!({})),
        };
        let mut result = json!({ "boot_id": boot, "ok": true, "duration_ms": 5 });
        let failing = self.fails.filter(|(k, _)| *k == kind);
        let fields = match failing {
            Some((_, error)) if kind == "script" => {
                json!({ "script": { "exit_code": 1, "stdout": "", "stderr": error, "result_yaml": "" } })
            }
            Some((_, error)) => json!({ "ok": false, "error": error }),
            None => more,
        };
        result.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        (kind, result)
    }

    /// Workers of a region act until nothing is due. Each claim is by another owner.
    pub async fn work_region(&mut self) {
        loop {
            self.owner += 1;
            match work_once(&self.site.pool, &Timing::default(), &format!("owner-{}", self.owner)).await {
                Ok(Some(())) => {}
                Ok(None) => return,
                Err(error) => panic!("a step failed: {error:?}"),
            }
        }
    }

    /// Everybody acts in turn until the machine has the status.
    pub async fn until(&mut self, id: &MachineId, wanted: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            self.hurry().await;
            self.work_region().await;
            self.work_bmc().await;
            self.work_agent().await;
            let (status, message) = self.status(id).await;
            if status == wanted && self.running(id).await.is_none() {
                return;
            }
            let (step, waits) = self.running(id).await.unwrap_or_default();
            assert!(
                Instant::now() < deadline,
                "waited for {wanted}; it is {status} ({message}), step {step}: {waits}"
            );
        }
    }

    /// Everybody acts in turn until the machine's operation is at this step.
    pub async fn until_step(&mut self, id: &MachineId, wanted: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.running(id).await.is_none_or(|(step, _)| step != wanted) {
            assert!(Instant::now() < deadline, "waited for {wanted}; it is at {:?}", self.running(id).await);
            self.hurry().await;
            self.work_region().await;
            self.work_bmc().await;
            self.work_agent().await;
        }
    }

    /// Waiting is over: everything that runs is due now.
    pub async fn hurry(&self) {
        sqlx::query("UPDATE operation SET next_attempt_at = now() WHERE status = 'running'")
            .execute(&self.site.pool)
            .await
            .unwrap();
    }

    /// Status and its message.
    pub async fn status(&self, id: &MachineId) -> (String, String) {
        sqlx::query_as("SELECT status, status_message FROM machine WHERE id = $1")
            .bind(id.as_str())
            .fetch_one(&self.site.pool)
            .await
            .unwrap()
    }

    /// Step and message of the running operation.
    pub async fn running(&self, id: &MachineId) -> Option<(String, String)> {
        sqlx::query_as("SELECT step, message FROM operation WHERE machine_id = $1 AND status = 'running'")
            .bind(id.as_str())
            .fetch_optional(&self.site.pool)
            .await
            .unwrap()
    }

    /// The only machine.
    pub async fn machine(&self) -> MachineId {
        let id: String =
            sqlx::query_scalar("SELECT id FROM machine").fetch_one(&self.site.pool).await.unwrap();
        id.parse().unwrap()
    }

    /// Enlisted, commissioned and tested, with a BMC found from inside.
    pub async fn ready() -> (Self, MachineId) {
        let mut world = Self::new().await;
        world.power_on().await;
        let id = world.machine().await;
        world.until(&id, "ready").await;
        (world, id)
    }

    /// Asks for an action through the API, as an administrator.
    pub async fn act(&self, id: &MachineId, action: &str, body: Value) -> Value {
        self.site.post(&format!("/machines/{id}/{action}"), body).await.expect(202)
    }

    /// A claim that somebody takes and never works on, as an owner that was killed.
    pub async fn claim_and_die(&self) -> Option<db::operation::Operation> {
        let mut conn = self.site.pool.acquire().await.unwrap();
        let claimed: Result<_, DbError> = db::operation::claim_due(&mut conn, "dead").await;
        claimed.unwrap()
    }

    /// The dead owner's ten seconds are over.
    pub async fn expire_claims(&self) {
        sqlx::query("UPDATE operation SET claimed_until = now() - interval '1 second' WHERE claimed_until IS NOT NULL")
            .execute(&self.site.pool)
            .await
            .unwrap();
    }
}

fn seconds() -> f64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64()
}

fn inventory() -> Value {
    json!({
        "system": { "uuid": UUID, "vendor": "Lab", "product": "Guest", "serial": "SN1" },
        "cpu": { "architecture": "x86_64", "cores": 2, "threads": 2, "sockets": 1 },
        "memory_mib": 1024,
        "dimms": [{ "slot": "DIMM_B1", "size_mib": 512 }],
        "disks": [{ "name": "vda", "serial": "D1", "size_bytes": 4_294_967_296_u64, "sector_bytes": 512 }],
        "interfaces": [{ "name": "eth0", "mac": MAC, "link": true, "boot": true }],
    })
}
