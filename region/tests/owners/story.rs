//! What an action leaves behind: equal stories mean that each effect happened once, in the same order.

use crate::support::machine::World;
use rackwright_common::MachineId;

/// The newest operation of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// How the machine and the operation ended.
    pub ended: (String, String),
    /// What was told, in order, but not that somebody took over.
    pub events: Vec<String>,
    /// Commands for the BMC, in order, and how each ended.
    pub tasks: Vec<String>,
    /// Work for the agent, in order: what, how it ended, and to how many boots it was given.
    pub items: Vec<String>,
    /// What the agent did.
    pub done: Vec<&'static str>,
}

impl Story {
    /// Reads it.
    pub async fn read(world: &World, id: &MachineId) -> Self {
        let pool = &world.site.pool;
        let (operation, ended): (i64, String) =
            sqlx::query_as("SELECT id, status FROM operation WHERE machine_id = $1 ORDER BY id DESC LIMIT 1")
                .bind(id.as_str())
                .fetch_one(pool)
                .await
                .unwrap();
        let list = async |sql: &'static str| {
            sqlx::query_scalar::<_, String>(sql).bind(operation).fetch_all(pool).await.unwrap()
        };
        Self {
            ended: (world.status(id).await.0, ended),
            events: list(
                "SELECT kind || ': ' || message FROM event
                 WHERE operation_id = $1 AND kind <> 'operation.taken-over' ORDER BY id",
            ).await,
            tasks: list(
                "SELECT replace(key, $1 || ':', '') || ' ' || (action ->> 'action') || ' ' || coalesce(result::text, status)
                 FROM rack_task WHERE operation_id = $1 ORDER BY id",
            )
            .await,
            items: list(
                "SELECT kind || ' ' || status || ' ' || attempt FROM work_item WHERE operation_id = $1 ORDER BY ordinal",
            )
            .await,
            done: world.done.clone(),
        }
    }

    /// What is different from how it should be.
    pub fn differs_from(&self, expected: &Self) -> Option<String> {
        (self != expected).then(|| format!("it was to be {expected:#?}\nand is {self:#?}"))
    }
}

/// Every row that an owner could have written, as one text.
pub async fn rows(world: &World) -> String {
    sqlx::query_scalar(
        "SELECT concat_ws(E'\n',
            (SELECT string_agg(t::text, E'\n' ORDER BY t.id) FROM operation t),
            (SELECT string_agg(t::text, E'\n' ORDER BY t.id) FROM rack_task t),
            (SELECT string_agg(t::text, E'\n' ORDER BY t.id) FROM work_item t),
            (SELECT string_agg(t::text, E'\n' ORDER BY t.id) FROM event t),
            (SELECT string_agg(concat_ws(' ', t.id, t.status, t.boot, t.boot_operation_id, t.boot_epoch, t.power_state), E'\n') FROM machine t))",
    )
    .fetch_one(&world.site.pool)
    .await
    .unwrap()
}
