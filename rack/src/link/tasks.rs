//! Tasks that regions give: each is done once, whichever and however many regions hand it over.

use super::hub::Hub;
use async_trait::async_trait;
use rackwright_common::bmc::{BmcError, BmcOrder, BmcOutcome};
use rackwright_common::link::{Task, TaskResult, TaskWork};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Does what a task says; orders for one BMC are queued behind each other there.
#[async_trait]
pub trait TaskRunner: Send + Sync + 'static {
    /// Carries out an order.
    async fn perform(&self, order: BmcOrder) -> Result<BmcOutcome, BmcError>;

    /// Carries out an order if `held` says so when its turn comes; `None` when nothing was done.
    async fn perform_held(
        &self,
        order: BmcOrder,
        held: &(dyn Fn() -> bool + Send + Sync),
    ) -> Option<Result<BmcOutcome, BmcError>> {
        if held() { Some(self.perform(order).await) } else { None }
    }
}

/// Numbers of running tasks with their latest claim; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Running(Arc<Mutex<HashMap<i64, i64>>>);

impl Running {
    /// Numbers of the tasks being worked on.
    pub(super) fn numbers(&self) -> Vec<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Begins a task. One that runs already is not begun again; its result will carry the newest claim.
    pub(super) fn begin(&self, task: Task, runner: &Arc<dyn TaskRunner>, hub: &Hub) {
        let order = match task.work {
            TaskWork::Bmc(order) => order,
            TaskWork::Unknown => {
                let why = "this rack runs an older version that does not know such tasks".to_owned();
                let outcome = Err(BmcError::Unsupported(why));
                return hub.finish(TaskResult { id: task.id, claim: task.claim, outcome });
            }
        };
        {
            let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(claim) = running.get_mut(&task.id) {
                *claim = task.claim.max(*claim);
                return;
            }
            running.insert(task.id, task.claim);
        }
        let (running, runner, hub) = (self.clone(), runner.clone(), hub.clone());
        tokio::spawn(async move {
            let outcome = runner.perform_held(order, &|| hub.claims_hold()).await;
            let claim = running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&task.id);
            let Some(outcome) = outcome else {
                tracing::warn!(
                    task.id = task.id,
                    "no region was heard for too long: the task is left to others"
                );
                return;
            };
            hub.finish(TaskResult { id: task.id, claim: claim.unwrap_or(task.claim), outcome });
        });
    }
}
