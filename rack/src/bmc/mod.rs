//! Power: one queue per BMC, and a driver for each protocol behind [`Bmc`].
//!
//! What holds: a BMC is asked by one task at a time, in the order of arrival; an order under an older fence than one this rack
//! has seen for the machine is refused, also when the newer one arrived while it waited; every order ends within
//! [`ORDER_WITHIN`]. Fences live in memory: what a restarted rack is given first it accepts, and what another rack was
//! given it does not know. That an order is no longer this rack's is for [`crate::link::Lease`] to say. Serial consoles are
//! streams and not orders: [`SolSession`] has a session of its own, and [`crate::console`] holds it.

mod amt;
mod fence;
mod ipmi;
mod manual;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rackwright_common::bmc::{Bmc, BmcAction, BmcEndpoint, BmcError, BmcOrder, BmcOutcome, DriverKind};
use rackwright_common::id::{Fence, MachineId};
use tokio::time::timeout;
use tracing::{debug, info};

pub use amt::AmtDriver;
pub use fence::Fences;
pub use ipmi::{IpmiDriver, IpmiTiming, SolError, SolSession};
pub use manual::ManualDriver;

/// Longest time one order may take once it is its turn.
pub const ORDER_WITHIN: Duration = Duration::from_secs(90);

/// Who holds sessions with BMCs beside the drivers, and gives them back for a command: some BMCs have very few.
pub trait GiveWay: Send + Sync {
    /// Asks for the session with this machine's BMC. False when there is none.
    fn give_way(&self, machine: &MachineId) -> bool;
}

/// What makes two orders go to the same BMC.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Lane {
    driver: DriverKind,
    address: String,
    port: Option<u16>,
}

impl Lane {
    fn of(endpoint: &BmcEndpoint) -> Self {
        // A manual machine has no BMC: it queues for itself.
        let address = match endpoint.driver {
            DriverKind::Manual => endpoint.machine.to_string(),
            DriverKind::Ipmi | DriverKind::Amt => endpoint.address.clone(),
        };
        Self { driver: endpoint.driver, address, port: endpoint.port }
    }
}

type Turn = Arc<tokio::sync::Mutex<()>>;

/// All BMCs this rack drives.
pub struct BmcQueues {
    ipmi: Arc<dyn Bmc>,
    amt: Arc<dyn Bmc>,
    manual: Arc<dyn Bmc>,
    fences: Fences,
    lanes: Mutex<HashMap<Lane, Turn>>,
    order_within: Duration,
}

impl std::fmt::Debug for BmcQueues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BmcQueues").finish_non_exhaustive()
    }
}

impl Default for BmcQueues {
    fn default() -> Self {
        Self::new()
    }
}

impl BmcQueues {
    /// Queues with the drivers for real BMCs.
    pub fn new() -> Self {
        Self {
            ipmi: Arc::new(IpmiDriver::default()),
            amt: Arc::new(AmtDriver::default()),
            manual: Arc::new(ManualDriver),
            fences: Fences::default(),
            lanes: Mutex::default(),
            order_within: ORDER_WITHIN,
        }
    }

    /// The same with another driver for one protocol.
    #[must_use]
    pub fn with_driver(mut self, kind: DriverKind, driver: Arc<dyn Bmc>) -> Self {
        match kind {
            DriverKind::Ipmi => self.ipmi = driver,
            DriverKind::Amt => self.amt = driver,
            DriverKind::Manual => self.manual = driver,
        }
        self
    }

    /// The same with drivers whose sessions go before those of somebody else on this rack.
    #[must_use]
    pub fn beside(self, other: Arc<dyn GiveWay>) -> Self {
        self.with_driver(DriverKind::Ipmi, Arc::new(IpmiDriver::default().beside(other)))
    }

    /// The same with another limit than [`ORDER_WITHIN`] for one order.
    #[must_use]
    pub fn with_order_within(mut self, limit: Duration) -> Self {
        self.order_within = limit;
        self
    }

    /// Carries out an order.
    pub async fn carry_out(&self, order: &BmcOrder) -> Result<BmcOutcome, BmcError> {
        self.perform(&order.endpoint, order.fence, order.action).await
    }

    /// Carries out one action when it is its turn. `fence` may be left out for reads.
    pub async fn perform(
        &self,
        endpoint: &BmcEndpoint,
        fence: impl Into<Option<Fence>>,
        action: BmcAction,
    ) -> Result<BmcOutcome, BmcError> {
        let fence = fence.into();
        self.fences.admit(&endpoint.machine, fence)?;
        let place = self.queue(Lane::of(endpoint));
        let _mine = place.turn.lock().await;
        // A newer owner may have come while this one waited.
        self.fences.admit(&endpoint.machine, fence)?;
        self.perform_now(endpoint, action).await
    }

    async fn perform_now(&self, endpoint: &BmcEndpoint, action: BmcAction) -> Result<BmcOutcome, BmcError> {
        let driver = match endpoint.driver {
            DriverKind::Ipmi => &self.ipmi,
            DriverKind::Amt => &self.amt,
            DriverKind::Manual => &self.manual,
        };
        let outcome =
            timeout(self.order_within, driver.perform(endpoint, action)).await.unwrap_or_else(|_| {
                Err(BmcError::Unreachable(format!("gave up after {} s", self.order_within.as_secs())))
            });
        match &outcome {
            Ok(_) if action == BmcAction::Query => {
                debug!(machine.id = %endpoint.machine, bmc.driver = %endpoint.driver, "power queried");
            }
            Ok(_) => {
                info!(machine.id = %endpoint.machine, bmc.driver = %endpoint.driver, ?action, "BMC order done")
            }
            Err(error) => {
                info!(machine.id = %endpoint.machine, bmc.driver = %endpoint.driver, ?action, %error, "BMC order failed");
            }
        }
        outcome
    }

    fn queue(&self, lane: Lane) -> Place<'_> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = lanes.entry(lane.clone()).or_default().clone();
        drop(lanes);
        Place { queues: self, lane, turn }
    }
}

/// A place in a lane, also of an order that is given up while it waits or works.
struct Place<'a> {
    queues: &'a BmcQueues,
    lane: Lane,
    turn: Turn,
}

impl Drop for Place<'_> {
    /// Forgets a lane nobody else waits in. The map's own handle and ours are the two that are left then.
    fn drop(&mut self) {
        let mut lanes = self.queues.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::strong_count(&self.turn) <= 2 {
            lanes.remove(&self.lane);
        }
    }
}

#[cfg(test)]
mod tests;
