//! Owners in regions: workers that claim an operation and decide.

use crate::database_relay::{DatabaseRelay, State};
use crate::story::{Story, rows};
use crate::support::machine::World;
use rackwright_common::MachineId;
use rackwright_common::storage::StorageLayout;
use rackwright_region::db::DbError;
use rackwright_region::lifecycle::engine::work_once;
use rackwright_region::lifecycle::{OperationRequest, Timing, steps};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// When a stopped owner wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wakes {
    /// Never: it was killed.
    Never,
    /// When another owner has done what was due.
    Soon,
    /// When the machine is deployed.
    Late,
}

type Work = JoinHandle<Result<Option<()>, DbError>>;

/// A machine that is deployed again and again, each time by an owner of its own at first.
struct Bench {
    world: World,
    id: MachineId,
    relay: DatabaseRelay,
}

/// What one run showed.
struct Run {
    story: Story,
    /// The step in which the first owner ended, and what it was about to say to the database.
    boundary: Option<(String, String)>,
    /// Rows that a late owner changed: before and after.
    changed: Option<(String, String)>,
}

impl Bench {
    async fn new() -> Self {
        let (world, id) = World::ready().await;
        let relay = DatabaseRelay::new(world.site.database_url());
        Self { world, id, relay }
    }

    /// Deploys; the first owner ends before its statement number `at`.
    async fn run(&mut self, at: Option<usize>, wakes: Wakes) -> Run {
        self.world.done.clear();
        let state = if wakes == Wakes::Never { State::Killed } else { State::Stopped };
        self.relay.arm(at.map(|at| (at, state)));
        let first = self.relay.pool();
        let mut run = Run { story: Story::read(&self.world, &self.id).await, boundary: None, changed: None };
        let mut late = None;
        self.world.act(&self.id, "deploy", json!({ "image": "debian-12" })).await;
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.world.running(&self.id).await.is_some() {
            assert!(Instant::now() < deadline, "{:?}", self.world.running(&self.id).await);
            self.world.hurry().await;
            if run.boundary.is_none() {
                late = work_until_it_ends(&self.relay, &first).await;
                if !self.relay.works() {
                    run.boundary = Some(self.boundary().await);
                    self.world.expire_claims().await;
                    self.world.hurry().await;
                }
            }
            if run.boundary.is_some() {
                self.world.work_region().await;
                if wakes == Wakes::Soon {
                    self.wake(&mut late).await;
                }
            }
            self.world.work_bmc().await;
            self.world.work_agent().await;
        }
        if wakes == Wakes::Late {
            let before = rows(&self.world).await;
            self.wake(&mut late).await;
            let after = rows(&self.world).await;
            run.changed = (before != after).then_some((before, after));
        }
        run.story = Story::read(&self.world, &self.id).await;
        drop(first);
        self.world.undeploy(&self.id).await;
        run
    }

    /// The owner goes on with what it was about to do, to the end of it.
    async fn wake(&self, late: &mut Option<Work>) {
        self.relay.wake();
        if let Some(work) = late.take() {
            // Whatever it says of itself: what it did is what counts.
            drop(timeout(Duration::from_secs(10), work).await.expect("the late owner comes to an end"));
        }
    }

    async fn boundary(&self) -> (String, String) {
        let step = self.world.running(&self.id).await.map(|(step, _)| step).unwrap_or_default();
        (step, self.relay.statements().pop().unwrap_or_default())
    }

    /// How many statements an owner sends in a deployment, and the story of it.
    async fn undisturbed(&mut self) -> (usize, Story) {
        let run = self.run(None, Wakes::Never).await;
        assert_eq!(run.story.ended, ("deployed".into(), "done".into()));
        assert_eq!(run.story.done, ["install", "reboot"]);
        let actions: Vec<&str> = run.story.tasks.iter().filter_map(|task| task.split(' ').nth(1)).collect();
        assert_eq!(actions, ["off", "set-boot", "on"]);
        let statements = self.relay.statements();
        for expected in ["BEGIN", "COMMIT", "UPDATE operation o SET owner = $1"] {
            assert!(statements.iter().any(|s| s.contains(expected)), "{expected} is not in {statements:#?}");
        }
        (statements.len(), run.story)
    }
}

/// The first owner works until nothing is due, or it ends; what it was doing then, if it may wake up.
async fn work_until_it_ends(relay: &DatabaseRelay, pool: &sqlx::PgPool) -> Option<Work> {
    while relay.works() {
        let pool = pool.clone();
        let mut work = tokio::spawn(async move { work_once(&pool, &Timing::default(), "first").await });
        let worked = tokio::select! {
            worked = &mut work => worked.unwrap(),
            State::Stopped = relay.ended() => return Some(work),
        };
        match worked {
            Ok(Some(())) => {}
            Ok(None) => return None,
            Err(error) if relay.works() => panic!("the owner failed by itself: {error:?}"),
            Err(_) => return None,
        }
    }
    None
}

/// An owner that is gone before it asks for something is as one that is gone before what it does next: only one that reads
/// later than others write sees something else.
fn only_reads(statement: &str) -> bool {
    statement.trim_start().starts_with("SELECT") && !statement.contains("FOR UPDATE")
}

/// Every boundary of this half of them, one run each.
async fn every(half: usize, wakes: Wakes) -> BTreeSet<String> {
    let mut bench = Bench::new().await;
    let (count, expected) = bench.undisturbed().await;
    assert!(count > 50, "{count} statements are not a deployment");
    let statements = bench.relay.statements();
    let boundaries: Vec<usize> =
        (0..count).filter(|at| wakes == Wakes::Soon || !only_reads(&statements[*at])).collect();
    let mut steps = BTreeSet::new();
    for at in boundaries.into_iter().skip(half).step_by(2) {
        let run = bench.run(Some(at), wakes).await;
        let (step, statement) = run.boundary.unwrap_or_else(|| panic!("statement {at} was never reached"));
        let place = format!("{wakes:?}, statement {at}, in step {step}, before {statement}");
        if let Some(difference) = run.story.differs_from(&expected) {
            panic!("{place}: {difference}");
        }
        if let Some((before, after)) = run.changed {
            panic!("{place}: the late owner made\n{before}\ninto\n{after}");
        }
        steps.insert(step);
    }
    steps
}

/// Both halves at once: a deployment waits for the database most of the time.
async fn each_boundary(wakes: Wakes) {
    let halves = [0, 1].map(|half| tokio::spawn(every(half, wakes)));
    let mut met = BTreeSet::new();
    for half in halves {
        met.extend(half.await.unwrap());
    }
    // Where an owner looks for more and the operation has ended.
    assert!(met.remove(""));
    let deploy = OperationRequest::Deploy {
        image: String::new(),
        layout: StorageLayout::default(),
        user_data: None,
        ssh_keys: Vec::new(),
    };
    let planned: BTreeSet<String> =
        steps::plan(&deploy).iter().map(|step| step.as_str().to_owned()).collect();
    assert_eq!(met, planned, "an owner ended in each step that the code has");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_killed_before_any_statement_delays_a_deployment_and_nothing_else() {
    each_boundary(Wakes::Never).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_stopped_before_any_statement_may_wake_up_while_another_works() {
    each_boundary(Wakes::Soon).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_stopped_before_any_statement_may_wake_up_when_all_is_done() {
    each_boundary(Wakes::Late).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_check_of_its_claim_a_region_that_wakes_up_would_be_seen_to_do_harm() {
    let mut bench = Bench::new().await;
    let (count, expected) = bench.undisturbed().await;
    bench.relay.always_holds();
    for at in 0..count {
        let run = bench.run(Some(at), Wakes::Soon).await;
        if run.story.differs_from(&expected).is_some() {
            return;
        }
    }
    panic!("{count} late owners wrote whatever they had in mind, and none was seen");
}

#[tokio::test]
async fn what_a_stopped_region_has_locked_is_free_before_its_claim_is_over() {
    let world = World::new().await;
    let limit: String = sqlx::query_scalar("SHOW idle_in_transaction_session_timeout")
        .fetch_one(&world.site.pool)
        .await
        .unwrap();
    assert_eq!(limit, "5s");
}
