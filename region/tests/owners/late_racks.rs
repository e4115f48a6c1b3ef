//! Owners on racks: whoever has claimed a command to a BMC, or holds a machine's request.

use crate::crossings::Crossing;
use crate::lives::{self, Stage};
use crate::racks::{ALL, Guards, Racks};
use crate::story::{Story, rows};
use rackwright_common::bmc::{BmcAction, BmcEndpoint, BmcError, BmcOrder, BmcSettings, DriverKind};
use rackwright_common::id::{Fence, OperationId};
use rackwright_region::lifecycle::OperationRequest;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What becomes of the first rack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Killed,
    /// It stands still, and goes on when the operation is over.
    Stopped,
}

struct Bench {
    stage: Stage,
    racks: Racks,
    /// What the BMC is commanded when nobody ends.
    commands: Option<Vec<BmcAction>>,
}

/// What one run showed.
struct Run {
    story: Story,
    /// Where the first rack came past.
    passed: Vec<Crossing>,
    /// What is wrong with it.
    wrong: Option<String>,
}

impl Bench {
    async fn new(request: &OperationRequest, guards: Guards) -> Self {
        let mut stage = Stage::new(request).await;
        let racks = Racks::new(&mut stage.world, guards).await;
        Self { stage, racks, commands: None }
    }

    /// Does it; the first rack ends at its crossing number `at`.
    async fn run(&mut self, at: Option<usize>, fate: Fate) -> Run {
        self.racks.arm(at);
        self.stage.begin().await;
        let mut late = None;
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Some(seen) = self.stage.world.running(&self.stage.id).await {
            assert!(Instant::now() < deadline, "{seen:?}");
            self.stage.world.hurry().await;
            self.stage.world.work_region().await;
            self.racks.work(&mut self.stage.world).await;
            if late.is_none() && self.racks.crossings.is_stopped() {
                late = Some(self.racks.let_claims_lapse(&self.stage.world, fate == Fate::Killed).await);
            }
            self.stage.world.work_agent().await;
        }
        let commands = self.racks.log.len();
        let before = rows(&self.stage.world).await;
        if let (Some(orders), Fate::Stopped) = (late, fate) {
            self.racks.wake(&mut self.stage.world, orders).await;
        }
        let wrong = self.is_wrong(commands, &before).await;
        let story = Story::read(&self.stage.world, &self.stage.id).await;
        let run = Run { story, passed: self.racks.crossings.passed(), wrong };
        self.racks.crossings.arm(None);
        run
    }

    /// The BMC's log: nothing came late, and what came twice came of two racks, one directly after the other.
    async fn is_wrong(&self, commands: usize, before: &str) -> Option<String> {
        let log = &self.racks.log;
        if log.len() > commands {
            return Some(format!(
                "the BMC was commanded late: {:?} after {:?}",
                &log[commands..],
                &log[..commands]
            ));
        }
        let second = log.iter().position(|(rack, _)| *rack == 1).unwrap_or(log.len());
        if log[second..].iter().any(|(rack, _)| *rack == 0) {
            return Some(format!("the first rack came after the second: {log:?}"));
        }
        let mut actions: Vec<BmcAction> = log[..second].iter().map(|(_, action)| *action).collect();
        let mut rest = log[second..].iter().map(|(_, action)| *action).peekable();
        if rest.peek() == actions.last() {
            rest.next();
        }
        actions.extend(rest);
        if self.commands.as_ref().is_some_and(|expected| *expected != actions) {
            return Some(format!("the BMC was commanded {log:?}"));
        }
        let after = rows(&self.stage.world).await;
        (before != after).then(|| format!("the late rack made\n{before}\ninto\n{after}"))
    }

    /// Every crossing there is, and the story when nobody ends.
    async fn undisturbed(&mut self) -> (Vec<Crossing>, Story) {
        let run = self.run(None, Fate::Killed).await;
        assert_eq!(run.wrong, None);
        assert_eq!(run.story.ended, (self.stage.life.ends.into(), "done".into()));
        assert_eq!(run.story.done, self.stage.life.done);
        self.commands = Some(self.racks.log.iter().map(|(_, action)| *action).collect());
        (run.passed, run.story)
    }
}

/// Every crossing, one run each.
async fn each_crossing(request: OperationRequest, fate: Fate) {
    let mut bench = Bench::new(&request, ALL).await;
    let (crossings, expected) = bench.undisturbed().await;
    if matches!(request, OperationRequest::Deploy { .. }) {
        let met: BTreeSet<Crossing> = crossings.iter().copied().collect();
        assert_eq!(met, BTreeSet::from(Crossing::ALL));
        let commands = bench.commands.as_deref();
        let deployed = matches!(commands, Some([BmcAction::Off, BmcAction::SetBoot { .. }, BmcAction::On]));
        assert!(deployed, "the BMC was commanded {commands:?}");
    }
    assert!(!crossings.is_empty());
    for (at, &crossing) in crossings.iter().enumerate() {
        let kind = request.kind();
        let place = format!("{kind}, {fate:?} at crossing {at} of {}, a {crossing:?}", crossings.len());
        let run = bench.run(Some(at), fate).await;
        assert_eq!(run.passed.len(), at + 1, "{place} was not where it ended: {:?}", run.passed);
        if let Some(difference) = run.story.differs_from(&expected).or(run.wrong) {
            panic!("{place}: {difference}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rack_stopped_in_the_middle_of_any_other_action_does_nothing_when_it_wakes_up() {
    let lives = lives::others().into_iter().map(|request| each_crossing(request, Fate::Stopped));
    futures_util::future::join_all(lives).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rack_killed_at_any_message_or_command_delays_a_deployment_and_nothing_else() {
    each_crossing(lives::deploy(), Fate::Killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rack_stopped_at_any_message_or_command_does_nothing_when_it_wakes_up() {
    each_crossing(lives::deploy(), Fate::Stopped).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_leases_a_rack_that_wakes_up_would_be_seen_to_switch_the_machine_off() {
    let mut bench = Bench::new(&lives::deploy(), Guards { leases: false, ..ALL }).await;
    let (crossings, _) = bench.undisturbed().await;
    let first = crossings.iter().position(|crossing| *crossing == Crossing::Command).unwrap();
    for at in [first - 1, first] {
        let run = bench.run(Some(at), Fate::Stopped).await;
        let wrong = run.wrong.unwrap();
        assert!(wrong.starts_with("the BMC was commanded late: [(0, Off)]"), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_sends_an_old_order_late_is_refused_by_the_fence_of_the_rack_that_saw_a_newer_one() {
    for (fences, expected) in [(true, Err(BmcError::StaleEpoch)), (false, Ok(()))] {
        let mut bench = Bench::new(&lives::deploy(), Guards { leases: false, fences }).await;
        let run = bench.run(None, Fate::Killed).await;
        assert_eq!(run.wrong, None);
        let (operation, epoch): (i64, i64) =
            sqlx::query_as("SELECT operation_id, epoch FROM rack_task WHERE key LIKE '%:power-off:%' ORDER BY id DESC LIMIT 1")
                .fetch_one(&bench.stage.world.site.pool)
                .await
                .unwrap();
        let endpoint = BmcEndpoint {
            machine: bench.stage.id.clone(),
            driver: DriverKind::Ipmi,
            address: "10.78.0.1".into(),
            port: None,
            username: String::new(),
            password: String::new().into(),
            settings: BmcSettings::default(),
        };
        let fence = Some(Fence { operation: OperationId(operation), epoch });
        let late = BmcOrder { endpoint, fence, action: BmcAction::Off };
        let commands = bench.racks.log.len();
        let said = bench.racks.late(&mut bench.stage.world, late).await;
        assert_eq!(said.map(drop), expected, "fences {fences}");
        assert_eq!(bench.racks.log.len() - commands, usize::from(!fences), "{:?}", bench.racks.log);
    }
}
