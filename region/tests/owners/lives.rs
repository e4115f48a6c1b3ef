//! Every action that a machine can be asked for, where the machine is before it, and how it ends.
//!
//! What holds: the actions are those of [`OperationRequest`]; a new one does not compile here before it has its place.

use crate::support::machine::World;
use rackwright_common::MachineId;
use rackwright_common::bmc::BmcAction;
use rackwright_common::storage::{EraseMode, StorageLayout};
use rackwright_region::lifecycle::OperationRequest;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// A key of nobody.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHbWv0bPz1Q7l0m1u5Wbq1V1mJb1Zr7sZ1J4l5u3d0Qx a@b";

/// What is asked for.
pub struct Life {
    /// As the API names it.
    action: &'static str,
    body: Value,
    /// Where the machine is asked: what was done to it after its commissioning.
    before: Vec<OperationRequest>,
    /// Status at the end.
    pub ends: &'static str,
    /// What the agent does, each kind in order.
    pub done: &'static [&'static str],
}

/// A machine's deployment.
pub fn deploy() -> OperationRequest {
    OperationRequest::Deploy {
        image: String::new(),
        layout: StorageLayout::default(),
        user_data: None,
        ssh_keys: Vec::new(),
    }
}

/// All but the deployment, which has tests of its own.
pub fn others() -> Vec<OperationRequest> {
    vec![
        OperationRequest::commission(),
        OperationRequest::Test { scripts: None, parameters: Map::new() },
        OperationRequest::Release { erase: EraseMode::None },
        OperationRequest::Release { erase: EraseMode::Quick },
        OperationRequest::EnterRescue { ssh_keys: Vec::new() },
        OperationRequest::ExitRescue,
        OperationRequest::Power { action: BmcAction::On },
    ]
}

/// What belongs to a request.
pub fn life(request: &OperationRequest) -> Life {
    let life = |action, body, before, ends, done| Life { action, body, before, ends, done };
    let rescue = || OperationRequest::EnterRescue { ssh_keys: Vec::new() };
    match request {
        OperationRequest::Commission { .. } => life(
            "commission",
            json!({}),
            vec![],
            "ready",
            &["inventory", "script", "script", "script", "script"],
        ),
        OperationRequest::Test { .. } => {
            life("test", json!({}), vec![deploy()], "deployed", &["script", "script", "script", "script"])
        }
        OperationRequest::Deploy { .. } => {
            life("deploy", json!({ "image": "debian-12" }), vec![], "deployed", &["install", "reboot"])
        }
        OperationRequest::Release { erase: EraseMode::None } => {
            life("release", json!({ "erase": "none" }), vec![deploy()], "ready", &[])
        }
        OperationRequest::Release { erase: EraseMode::Quick | EraseMode::Full } => {
            life("release", json!({ "erase": "quick" }), vec![deploy()], "ready", &["erase"])
        }
        OperationRequest::EnterRescue { .. } => {
            life("enter-rescue", json!({ "ssh_keys": [KEY] }), vec![deploy()], "rescue-mode", &["rescue"])
        }
        OperationRequest::ExitRescue => {
            life("exit-rescue", json!({}), vec![deploy(), rescue()], "deployed", &[])
        }
        OperationRequest::Power { .. } => life("power", json!({ "action": "on" }), vec![], "ready", &[]),
    }
}

/// A machine that is asked for the same again and again.
pub struct Stage {
    pub world: World,
    pub id: MachineId,
    pub life: Life,
    /// Its row before it is asked.
    row: Value,
    /// What of it is not in the database.
    on: bool,
    agent: Option<(String, Uuid)>,
    installed: Option<(String, String, String)>,
}

impl Stage {
    /// A machine that is where this request finds it.
    pub async fn new(request: &OperationRequest) -> Self {
        let (mut world, id) = World::ready().await;
        let life = life(request);
        for at in 0..life.before.len() {
            let Life { action, body, ends, .. } = self::life(&life.before[at]);
            world.act(&id, action, body).await;
            world.until(&id, ends).await;
        }
        let row = sqlx::query_scalar("SELECT to_jsonb(m) FROM machine m WHERE id = $1")
            .bind(id.as_str())
            .fetch_one(&world.site.pool)
            .await
            .unwrap();
        let (on, agent, installed) = (world.on, world.agent.clone(), world.installed.clone());
        Self { world, id, life, row, on, agent, installed }
    }

    /// Asks for it, of the machine as it was before.
    pub async fn begin(&mut self) {
        let columns: String = sqlx::query_scalar(
            "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns
             WHERE table_schema = current_schema AND table_name = 'machine' AND column_name <> 'id' AND is_generated = 'NEVER'",
        )
        .fetch_one(&self.world.site.pool)
        .await
        .unwrap();
        let back = format!(
            "UPDATE machine SET ({columns}) = (SELECT {columns} FROM jsonb_populate_record(NULL::machine, $2)) WHERE id = $1"
        );
        sqlx::query(sqlx::AssertSqlSafe(back))
            .bind(self.id.as_str())
            .bind(&self.row)
            .execute(&self.world.site.pool)
            .await
            .unwrap();
        (self.world.on, self.world.agent, self.world.installed) =
            (self.on, self.agent.clone(), self.installed.clone());
        self.world.done.clear();
        self.world.act(&self.id, self.life.action, self.life.body.clone()).await;
    }
}
