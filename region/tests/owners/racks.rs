//! Two racks that reach the same BMC. What they do with an order is the product's own code (queues, fences, leases, the
//! region's tasks); the BMC is the machine of [`World`], which keeps a log. The stream between is left out: messages are
//! handed over.

use crate::crossings::{Crossing, Crossings};
use crate::support::machine::World;
use async_trait::async_trait;
use rackwright_common::bmc::{Bmc, BmcAction, BmcEndpoint, BmcError, BmcOrder, BmcOutcome, DriverKind};
use rackwright_common::link::{RackHello, Task, TaskResult, TaskWork};
use rackwright_rack::bmc::BmcQueues;
use rackwright_rack::link::Lease;
use rackwright_region::db;
use rackwright_region::racks::tasks;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep, timeout};

/// How long an order is a rack's without renewal: seconds in the product, and here no longer than a busy box needs.
const LEASE: Duration = Duration::from_millis(500);
const RENEWAL: Duration = Duration::from_millis(25);

/// What keeps a late rack from doing harm; tests that show what it is good for leave something out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guards {
    /// Orders are given up when their claim is over.
    pub leases: bool,
    /// The queues remember the newest owner.
    pub fences: bool,
}

/// As it is.
pub const ALL: Guards = Guards { leases: true, fences: true };

/// A command on its way to the BMC.
struct Asked {
    rack: usize,
    action: BmcAction,
    answer: oneshot::Sender<BmcOutcome>,
}

/// The driver: a packet there, a packet back.
struct Wire {
    rack: usize,
    crossings: Arc<Crossings>,
    bmc: mpsc::UnboundedSender<Asked>,
}

#[async_trait]
impl Bmc for Wire {
    async fn perform(&self, _: &BmcEndpoint, action: BmcAction) -> Result<BmcOutcome, BmcError> {
        let gone = || BmcError::Unreachable("the test has ended".into());
        self.crossings.pass(self.rack, Crossing::Command).await;
        let (answer, answered) = oneshot::channel();
        self.bmc.send(Asked { rack: self.rack, action, answer }).map_err(|_| gone())?;
        let outcome = answered.await.map_err(|_| gone())?;
        self.crossings.pass(self.rack, Crossing::Answer).await;
        Ok(outcome)
    }
}

/// One rack.
struct Rack {
    row: i64,
    queues: Arc<BmcQueues>,
}

/// Both racks, and what is under way.
pub struct Racks {
    pub crossings: Arc<Crossings>,
    /// Which rack gave the BMC which command, in order.
    pub log: Vec<(usize, BmcAction)>,
    guards: Guards,
    racks: [Rack; 2],
    leases: Arc<Mutex<Vec<Lease>>>,
    orders: Vec<JoinHandle<()>>,
    bmc: (mpsc::UnboundedSender<Asked>, mpsc::UnboundedReceiver<Asked>),
    results: (mpsc::UnboundedSender<TaskResult>, mpsc::UnboundedReceiver<TaskResult>),
}

impl Racks {
    /// The rack that the world has, and another.
    pub async fn new(world: &mut World, guards: Guards) -> Self {
        let mut conn = world.site.pool.acquire().await.unwrap();
        let hello = RackHello {
            version: "test".into(),
            generation: 0,
            addresses: Vec::new(),
            instance: uuid::Uuid::nil(),
            clock: None,
        };
        let second = db::rack::hello(&mut conn, "rack-2", &hello).await.unwrap();
        let crossings = Arc::new(Crossings::new());
        world.road = Some(crossings.clone());
        let bmc = mpsc::unbounded_channel();
        let rack = |rack: usize, row: i64| {
            let wire = Wire { rack, crossings: crossings.clone(), bmc: bmc.0.clone() };
            Rack { row, queues: Arc::new(BmcQueues::new().with_driver(DriverKind::Ipmi, Arc::new(wire))) }
        };
        let racks = [rack(0, world.rack), rack(1, second)];
        let results = mpsc::unbounded_channel();
        let racks = Self {
            crossings,
            log: Vec::new(),
            guards,
            racks,
            leases: Arc::default(),
            orders: Vec::new(),
            bmc,
            results,
        };
        racks.spawn_heartbeat();
        racks
    }

    /// The first rack renews its claims as long as it lives.
    fn spawn_heartbeat(&self) {
        let (leases, crossings) = (Arc::downgrade(&self.leases), self.crossings.clone());
        tokio::spawn(async move {
            let mut tick = interval(RENEWAL);
            while let Some(leases) = leases.upgrade() {
                if !crossings.is_stopped() {
                    for lease in leases.lock().unwrap().iter() {
                        lease.extend(Instant::now() + LEASE);
                    }
                }
                drop(leases);
                tick.tick().await;
            }
        });
    }

    /// The rack that is alive is given what waits, and does it. Ends early when it is killed or stopped on the way.
    pub async fn work(&mut self, world: &mut World) {
        let rack = usize::from(self.crossings.is_stopped());
        let claimed = {
            let mut conn = world.site.pool.acquire().await.unwrap();
            tasks::claim(&mut conn, world.site.app.keys(), self.racks[rack].row, Some(0)).await.unwrap()
        };
        for task in claimed {
            let order = self.begin(rack, task);
            self.orders.push(order);
        }
        self.serve(world, rack == 0).await;
    }

    fn begin(&self, rack: usize, task: Task) -> JoinHandle<()> {
        let TaskWork::Bmc(order) = task.work else { panic!("unknown work") };
        let lease = match (rack, self.guards.leases) {
            (0, true) => Lease::until(Instant::now() + LEASE),
            _ => Lease::unlimited(),
        };
        if rack == 0 {
            self.leases.lock().unwrap().push(lease.clone());
        }
        let (queues, crossings, results) =
            (self.racks[rack].queues.clone(), self.crossings.clone(), self.results.0.clone());
        tokio::spawn(async move {
            crossings.pass(rack, Crossing::Task).await;
            let Ok(outcome) = lease.guard(queues.carry_out(&order)).await else { return };
            crossings.pass(rack, Crossing::Result).await;
            results.send(TaskResult { id: task.id, claim: task.claim, outcome }).unwrap();
        })
    }

    /// BMC and region do their part until nothing is under way; or until the first rack ends, if that is to be seen.
    async fn serve(&mut self, world: &mut World, to_the_end: bool) {
        let crossings = self.crossings.clone();
        loop {
            self.orders.retain(|order| !order.is_finished());
            if self.orders.is_empty() && self.bmc.1.is_empty() && self.results.1.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                Some(asked) = self.bmc.1.recv() => {
                    self.log.push((asked.rack, asked.action));
                    let outcome = world.obey(asked.action).await;
                    drop(asked.answer.send(outcome));
                }
                Some(result) = self.results.1.recv() => {
                    let mut conn = world.site.pool.acquire().await.unwrap();
                    tasks::finish(&mut conn, &result).await.unwrap();
                }
                () = crossings.stopped(), if to_the_end => return,
                () = sleep(Duration::from_millis(2)) => {}
            }
        }
    }

    /// The first rack has ended: what it had is nobody's after a while. Its orders, for one that will wake up.
    pub async fn let_claims_lapse(&mut self, world: &World, kill: bool) -> Vec<JoinHandle<()>> {
        let orders = std::mem::take(&mut self.orders);
        if kill {
            orders.iter().for_each(JoinHandle::abort);
        }
        if self.guards.leases && !orders.is_empty() {
            let lapsed = async {
                while self.leases.lock().unwrap().iter().any(Lease::holds) {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(LEASE * 20, lapsed).await.expect("nobody renews these leases");
        }
        sqlx::query(
            "UPDATE rack_task SET claimed_until = now() - interval '1 second' WHERE status = 'running'",
        )
        .execute(&world.site.pool)
        .await
        .unwrap();
        if kill { Vec::new() } else { orders }
    }

    /// A stopped rack goes on with what it had.
    pub async fn wake(&mut self, world: &mut World, orders: Vec<JoinHandle<()>>) {
        self.orders = orders;
        for request in self.crossings.wake() {
            world.inband.answer(request).await;
        }
        timeout(Duration::from_secs(10), self.serve(world, false)).await.expect("the late orders end");
    }

    /// Ready for another run.
    pub fn arm(&mut self, end: Option<usize>) {
        self.crossings.arm(end);
        self.log.clear();
        self.leases.lock().unwrap().clear();
    }

    /// As racks that were started anew.
    fn forget_fences(&mut self) {
        for (number, rack) in self.racks.iter_mut().enumerate() {
            let wire = Wire { rack: number, crossings: self.crossings.clone(), bmc: self.bmc.0.clone() };
            rack.queues = Arc::new(BmcQueues::new().with_driver(DriverKind::Ipmi, Arc::new(wire)));
        }
    }

    /// An order as the first rack would carry it out if it came now, without looking at the claim.
    pub async fn late(&mut self, world: &mut World, order: BmcOrder) -> Result<BmcOutcome, BmcError> {
        if !self.guards.fences {
            self.forget_fences();
        }
        let queues = self.racks[0].queues.clone();
        let done = tokio::spawn(async move { queues.carry_out(&order).await });
        let (answer, mut answered) = oneshot::channel();
        self.orders.push(tokio::spawn(async move {
            answer.send(done.await.unwrap()).unwrap();
        }));
        self.serve(world, false).await;
        answered.try_recv().unwrap()
    }
}
