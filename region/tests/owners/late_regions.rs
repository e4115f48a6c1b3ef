//! Owners in regions: workers that claim an operation and decide.

use crate::database_relay::{DatabaseRelay, State};
use crate::lives::{self, Stage};
use crate::story::{Story, rows};
use crate::support::machine::World;
use rackwright_region::db::DbError;
use rackwright_region::lifecycle::engine::work_once;
use rackwright_region::lifecycle::{OperationRequest, Timing, steps};
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
    /// When the operation is over.
    Late,
}

type Work = JoinHandle<Result<Option<()>, DbError>>;

/// A machine of which the same is asked again and again, each time worked on by an owner of its own at first.
struct Bench {
    stage: Stage,
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
    async fn new(request: &OperationRequest) -> Self {
        let stage = Stage::new(request).await;
        let relay = DatabaseRelay::new(stage.world.site.database_url());
        Self { stage, relay }
    }

    /// Does it; the first owner ends before its statement number `at`.
    async fn run(&mut self, at: Option<usize>, wakes: Wakes) -> Run {
        let state = if wakes == Wakes::Never { State::Killed } else { State::Stopped };
        self.relay.arm(at.map(|at| (at, state)));
        let first = self.relay.pool();
        let (mut boundary, mut changed, mut late) = (None, None, None);
        self.stage.begin().await;
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Some(seen) = self.stage.world.running(&self.stage.id).await {
            assert!(Instant::now() < deadline, "{seen:?}");
            self.stage.world.hurry().await;
            if boundary.is_none() {
                late = work_until_it_ends(&self.relay, &first).await;
                if !self.relay.works() {
                    boundary = Some(self.boundary().await);
                    self.stage.world.expire_claims().await;
                    self.stage.world.hurry().await;
                }
            }
            if boundary.is_some() {
                self.stage.world.work_region().await;
                if wakes == Wakes::Soon {
                    self.wake(&mut late).await;
                }
            }
            self.stage.world.work_bmc().await;
            self.stage.world.work_agent().await;
        }
        if wakes == Wakes::Late {
            let before = rows(&self.stage.world).await;
            self.wake(&mut late).await;
            let after = rows(&self.stage.world).await;
            changed = (before != after).then_some((before, after));
        }
        let story = Story::read(&self.stage.world, &self.stage.id).await;
        Run { story, boundary, changed }
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
        let running = self.stage.world.running(&self.stage.id).await;
        let step = running.map(|(step, _)| step).unwrap_or_default();
        (step, self.relay.statements().pop().unwrap_or_default())
    }

    /// How many statements an owner sends to the end, and the story of it.
    async fn undisturbed(&mut self) -> (usize, Story) {
        let run = self.run(None, Wakes::Never).await;
        assert_eq!(run.story.ended, (self.stage.life.ends.into(), "done".into()));
        assert_eq!(run.story.done, self.stage.life.done, "{:#?}", run.story);
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

/// One run for each boundary of `share`: every second, say, beginning with the last. The steps in which the owner ended.
async fn every(request: OperationRequest, share: (usize, usize), wakes: Wakes) -> BTreeSet<String> {
    let mut bench = Bench::new(&request).await;
    let (count, expected) = bench.undisturbed().await;
    let statements = bench.relay.statements();
    // What is a read's harm is looked for where a deployment's owner wakes soon.
    let all = wakes == Wakes::Soon && matches!(request, OperationRequest::Deploy { .. });
    let boundaries: Vec<usize> = (0..count).filter(|at| all || !only_reads(&statements[*at])).collect();
    let mut steps = BTreeSet::new();
    // From the end: where an owner looks for more is always met.
    for at in boundaries.into_iter().rev().skip(share.0).step_by(share.1) {
        let run = bench.run(Some(at), wakes).await;
        let (step, statement) = run.boundary.unwrap_or_else(|| panic!("statement {at} was never reached"));
        let place =
            format!("{}, {wakes:?}, statement {at}, in step {step}, before {statement}", request.kind());
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

/// An owner ended in each step that the code has for this request.
fn in_each_step(request: &OperationRequest, mut met: BTreeSet<String>) {
    // Where an owner looks for more and the operation has ended.
    assert!(met.remove(""), "{met:?}");
    let planned: BTreeSet<String> =
        steps::plan(request).iter().map(|step| step.as_str().to_owned()).collect();
    assert_eq!(met, planned, "{}", request.kind());
}

/// Both halves at once: a deployment waits for the database most of the time.
async fn each_boundary(wakes: Wakes) {
    let halves = [0, 1].map(|half| tokio::spawn(every(lives::deploy(), (half, 2), wakes)));
    let mut met = BTreeSet::new();
    for half in halves {
        met.extend(half.await.unwrap());
    }
    in_each_step(&lives::deploy(), met);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_stopped_before_any_change_of_any_other_action_delays_it_and_nothing_else() {
    let lives = lives::others().into_iter().map(|request| {
        let runs = tokio::spawn(every(request.clone(), (0, 1), Wakes::Soon));
        (request, runs)
    });
    for (request, met) in lives.collect::<Vec<_>>() {
        in_each_step(&request, met.await.unwrap());
    }
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
    let mut bench = Bench::new(&lives::deploy()).await;
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
