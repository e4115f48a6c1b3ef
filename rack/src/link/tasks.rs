//! Tasks that regions give: each is done once, whichever and however many regions hand it over, and only while it is this
//! rack's. One whose claim lapses ends without a result: whoever has it now will say how it went.

use super::hub::Hub;
use super::lease::Lease;
use crate::switch;
use async_trait::async_trait;
use rackwright_common::bmc::{BmcError, BmcOrder, BmcOutcome};
use rackwright_common::link::{SwitchResult, Task, TaskResult, TaskWork, ToRegion};
use rackwright_common::switch::{SwitchError, SwitchReading};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// Does what a task says; orders for one BMC are queued behind each other there.
#[async_trait]
pub trait TaskRunner: Send + Sync + 'static {
    /// Carries out an order.
    async fn perform(&self, order: BmcOrder) -> Result<BmcOutcome, BmcError>;
}

/// How a task ended.
enum Ended {
    Bmc(Result<BmcOutcome, BmcError>),
    Switch(Result<SwitchReading, SwitchError>),
}

impl Ended {
    fn message(self, id: i64, claim: i64) -> ToRegion {
        match self {
            Self::Bmc(outcome) => ToRegion::TaskResult(TaskResult { id, claim, outcome }),
            Self::Switch(outcome) => ToRegion::SwitchResult(SwitchResult { id, claim, outcome }),
        }
    }
}

async fn perform(runner: Arc<dyn TaskRunner>, work: TaskWork) -> Ended {
    match work {
        TaskWork::Bmc(order) => Ended::Bmc(runner.perform(order).await),
        TaskWork::Switch(order) => Ended::Switch(switch::carry_out(&order).await),
        TaskWork::Unknown => {
            let why = "this rack runs an older version that does not know such tasks".to_owned();
            Ended::Bmc(Err(BmcError::Unsupported(why)))
        }
    }
}

/// A task under way.
#[derive(Debug)]
struct Begun {
    /// The newest claim.
    claim: i64,
    lease: Lease,
}

/// The running tasks by number; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Running(Arc<Mutex<HashMap<i64, Begun>>>);

impl Running {
    /// Numbers of the tasks being worked on.
    pub(super) fn numbers(&self) -> Vec<i64> {
        self.lock().keys().copied().collect()
    }

    /// The claims on these tasks hold until `end` at least.
    pub(super) fn renew(&self, tasks: &[i64], end: Instant) {
        let running = self.lock();
        for begun in tasks.iter().filter_map(|task| running.get(task)) {
            begun.lease.extend(end);
        }
    }

    /// Begins a task. One that runs already is not begun again; its result will carry the newest claim.
    pub(super) fn begin(&self, task: Task, lease: Lease, runner: &Arc<dyn TaskRunner>, hub: &Hub) {
        if let Some(begun) = self.lock().get_mut(&task.id) {
            begun.claim = task.claim.max(begun.claim);
            if let Some(end) = lease.end() {
                begun.lease.extend(end);
            }
            return;
        }
        self.lock().insert(task.id, Begun { claim: task.claim, lease: lease.clone() });
        let (running, runner, hub) = (self.clone(), runner.clone(), hub.clone());
        tokio::spawn(async move {
            let ended = lease.guard(perform(runner, task.work)).await;
            let begun = running.lock().remove(&task.id);
            let claim = begun.map_or(task.claim, |begun| begun.claim);
            match ended {
                Ok(ended) => hub.finish(ended.message(task.id, claim)),
                Err(lapsed) => tracing::warn!(task.id, task.claim = claim, %lapsed, "an order is given up"),
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Begun>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
