//! A rack and regions on loopback. A region here is a script: it remembers what it hears and says what the test says.

use super::*;
use rackwright_common::bmc::{
    BmcAction, BmcEndpoint, BmcError, BmcOrder, BmcOutcome, BmcSettings, DriverKind, PowerState,
};
use rackwright_common::clock::SystemClock;
use rackwright_common::link::{Fact, Relay, RelayReply, Task, TaskResult, TaskWork, ToRack, ToRegion};
use rackwright_common::snapshot::Snapshot;
use rackwright_link::{
    Ca, Chunks, FetchRequest, Incoming, LinkError, LinkServer, Outgoing, serve_on, snapshot_message,
};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

#[derive(Clone, Default)]
struct Region {
    heard: Arc<Mutex<Vec<ToRegion>>>,
    rack: Arc<Mutex<Option<mpsc::Sender<ToRack>>>>,
    /// It says nothing, not even a heartbeat.
    silent: Arc<std::sync::atomic::AtomicBool>,
}

#[async_trait::async_trait]
impl LinkServer for Region {
    async fn attach(&self, _: String, mut incoming: Incoming) -> Result<Outgoing, LinkError> {
        let (sender, queue) = mpsc::channel(64);
        *self.rack.lock().unwrap() = Some(sender.clone());
        let heard = self.heard.clone();
        tokio::spawn(async move {
            while let Some(Ok(message)) = incoming.next().await {
                heard.lock().unwrap().push(message);
            }
        });
        let silent = self.silent.clone();
        tokio::spawn(async move {
            while silent.load(std::sync::atomic::Ordering::SeqCst)
                || sender.send(ToRack::Heartbeat).await.is_ok()
            {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
        Ok(Box::pin(ReceiverStream::new(queue)))
    }

    async fn fetch(&self, _: String, _: FetchRequest) -> Result<Chunks, LinkError> {
        Err(LinkError::NotFound("none here".to_owned()))
    }
}

impl Region {
    async fn say(&self, message: ToRack) {
        let rack = self.rack.lock().unwrap().clone().unwrap();
        rack.send(message).await.unwrap();
    }

    /// Waits until something was heard that `pick` wants.
    async fn hears<T>(&self, pick: impl Fn(&ToRegion) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(found) = self.heard.lock().unwrap().iter().rev().find_map(&pick) {
                return found;
            }
            assert!(Instant::now() < deadline, "heard only {:?}", self.heard.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Says "on", a little later.
struct Runner(Mutex<u32>);

#[async_trait::async_trait]
impl TaskRunner for Runner {
    async fn perform(&self, _: BmcOrder) -> Result<BmcOutcome, BmcError> {
        *self.0.lock().unwrap() += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(BmcOutcome::Power { state: PowerState::On })
    }
}

struct Site {
    ca: Ca,
    context: LinkContext,
    runner: Arc<Runner>,
    cancel: CancellationToken,
    dir: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::create().unwrap();
        let config = RackConfig {
            name: "rack-1".to_owned(),
            data: dir.path().to_owned(),
            interfaces: vec!["lo".to_owned()],
            ..RackConfig::default()
        };
        let runner = Arc::new(Runner(Mutex::new(0)));
        let context = LinkContext {
            served: crate::served::Served::default(),
            time: tokio::sync::watch::channel(Default::default()).1,
            held: tokio::sync::watch::channel(vec!["ab".repeat(32)]).1,
            config: Arc::new(config),
            credentials: Arc::new(ca.issue_rack("rack-1").unwrap()),
            world: Arc::new(World::open(dir.path()).unwrap()),
            journal: Journal::open(dir.path(), Arc::new(SystemClock)).unwrap(),
            runner: runner.clone(),
            hub: Hub::new(),
            leases: LeaseExchange::default(),
            consoles: Consoles::new(),
            instance: Uuid::from_u128(1),
        };
        Self { ca, context, runner, cancel: CancellationToken::new(), dir }
    }

    /// Starts a region; its address, and what stops it.
    async fn region(&self) -> (Region, String, CancellationToken) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (region, stop) = (Region::default(), CancellationToken::new());
        let credentials = self.ca.issue_region(&[]).unwrap();
        let (service, cancel) = (region.clone(), stop.clone());
        tokio::spawn(async move { serve_on(listener, &credentials, service, cancel).await.unwrap() });
        (region, address, stop)
    }

    fn start(&mut self, regions: Vec<String>) {
        let config = RackConfig { regions, ..(*self.context.config).clone() };
        self.context.config = Arc::new(config);
        tokio::spawn(run(self.context.clone(), self.cancel.clone()));
        tokio::spawn(self.context.journal.clone().run(self.cancel.clone()));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

fn is_hello(message: &ToRegion) -> Option<u64> {
    match message {
        ToRegion::Hello(hello) => Some(hello.generation),
        _ => None,
    }
}

fn request() -> Relay {
    Relay {
        id: 0,
        method: "POST".to_owned(),
        path: "/agent/v1/next".to_owned(),
        authorization: Some("Bearer x".to_owned()),
        body: "{}".to_owned(),
        peer: [10, 0, 0, 9].into(),
        local: "10.0.0.1:5248".to_owned(),
    }
}

#[tokio::test]
async fn a_snapshot_is_taken_and_said_so_and_a_damaged_one_is_not() {
    let mut site = Site::new();
    let (region, address, _stop) = site.region().await;
    site.start(vec![address]);
    assert_eq!(region.hears(is_hello).await, 0);
    region.say(snapshot_message(Snapshot { generation: 4, ..Snapshot::default() }).unwrap()).await;
    let applied = |wanted: u64| {
        move |m: &ToRegion| match m {
            ToRegion::SnapshotApplied { generation, error } if *generation == wanted => Some(error.clone()),
            _ => None,
        }
    };
    assert_eq!(region.hears(applied(4)).await, None);
    assert_eq!(site.context.world.generation(), 4);
    region.say(snapshot_message(Snapshot { generation: 3, ..Snapshot::default() }).unwrap()).await;
    assert_eq!(region.hears(applied(3)).await.unwrap(), "generation 3 is older than 4, which is in force");
    let snapshot = Box::new(Snapshot { generation: 5, ..Snapshot::default() });
    region.say(ToRack::Snapshot { snapshot, sha256: "00".to_owned() }).await;
    assert_eq!(region.hears(applied(5)).await.unwrap(), "it arrived damaged");
    assert_eq!(World::open(site.dir.path()).unwrap().generation(), 4, "it is on disk");
}

#[tokio::test]
async fn the_journal_goes_up_in_order_and_is_trimmed_when_acknowledged() {
    let mut site = Site::new();
    let fact = |code: &str| Fact::Warning { code: code.to_owned(), message: String::new(), mac: None };
    let first = site.context.journal.append(fact("before"));
    let (region, address, _stop) = site.region().await;
    site.start(vec![address]);
    region.hears(is_hello).await;
    let second = site.context.journal.append(fact("after"));
    let seqs = |m: &ToRegion| match m {
        ToRegion::Journal { entries } => entries.iter().map(|e| e.seq).find(|s| *s == second),
        _ => None,
    };
    region.hears(seqs).await;
    region.say(ToRack::JournalAck { seq: first }).await;
    let deadline = Instant::now() + Duration::from_secs(5);
    while site.context.journal.after(0, 10).len() != 1 {
        assert!(Instant::now() < deadline, "still {:?}", site.context.journal.after(0, 10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_task_is_done_once_and_its_result_carries_the_newest_claim() {
    let mut site = Site::new();
    let (region, address, _stop) = site.region().await;
    site.start(vec![address]);
    region.hears(is_hello).await;
    let order = order();
    for claim in [1, 2] {
        region
            .say(ToRack::Task(Task { id: 7, claim, beat: Some(0), work: TaskWork::Bmc(order.clone()) }))
            .await;
    }
    let result = region.hears(result).await;
    assert_eq!((result.id, result.claim), (7, 2));
    assert_eq!(result.outcome, Ok(BmcOutcome::Power { state: PowerState::On }));
    assert_eq!(*site.runner.0.lock().unwrap(), 1);
}

fn order() -> BmcOrder {
    let endpoint = BmcEndpoint {
        machine: "abc234".parse().unwrap(),
        driver: DriverKind::Manual,
        address: String::new(),
        port: None,
        username: String::new(),
        password: String::new().into(),
        settings: BmcSettings::default(),
    };
    BmcOrder { endpoint, fence: None, action: BmcAction::Query }
}

fn result(message: &ToRegion) -> Option<TaskResult> {
    match message {
        ToRegion::TaskResult(result) => Some(result.clone()),
        _ => None,
    }
}

#[tokio::test]
async fn a_task_whose_claim_may_be_over_is_not_begun_and_not_answered() {
    let mut site = Site::new();
    let (region, address, _stop) = site.region().await;
    site.start(vec![address]);
    region.hears(is_hello).await;
    // The region heard no heartbeat of this stream before it made the claim, or one that this rack does not remember.
    let late = Task { id: 7, claim: 1, beat: Some(4000), work: TaskWork::Bmc(order()) };
    region.say(ToRack::Task(late)).await;
    let good = Task { id: 8, claim: 1, beat: Some(0), work: TaskWork::Bmc(order()) };
    region.say(ToRack::Task(good)).await;
    assert_eq!(region.hears(result).await.id, 8);
    assert_eq!(*site.runner.0.lock().unwrap(), 1, "only the second was begun");
    let results = region.heard.lock().unwrap().iter().filter_map(result).count();
    assert_eq!(results, 1);
}

#[tokio::test]
async fn heartbeats_are_counted_and_name_the_tasks_under_way() {
    let mut site = Site::new();
    let (region, address, _stop) = site.region().await;
    site.start(vec![address]);
    region.hears(is_hello).await;
    let beat = |wanted: u64| {
        move |m: &ToRegion| match m {
            ToRegion::Heartbeat { beat, .. } if *beat == wanted => Some(()),
            _ => None,
        }
    };
    region.hears(beat(1)).await;
    region.hears(beat(2)).await;
}

#[tokio::test]
async fn regions_are_told_which_blobs_are_here() {
    let mut site = Site::new();
    let (region, address, _stop) = site.region().await;
    site.start(vec![address]);
    let held = |m: &ToRegion| match m {
        ToRegion::Held { blobs } => Some(blobs.clone()),
        _ => None,
    };
    assert_eq!(region.hears(held).await, ["ab".repeat(32)]);
}

#[tokio::test]
async fn a_request_goes_to_another_region_when_the_first_dies_before_it_answers() {
    let mut site = Site::new();
    let (first, first_address, stop_first) = site.region().await;
    site.start(vec![first_address]);
    first.hears(is_hello).await;
    let (second, second_address, _stop) = site.region().await;
    first.say(ToRack::Welcome { region: "first".to_owned(), regions: vec![second_address] }).await;
    second.hears(is_hello).await;
    let asked = |m: &ToRegion| match m {
        ToRegion::Relay(relay) => Some(relay.id),
        _ => None,
    };
    let (hub, mut answers) = (site.context.hub.clone(), Vec::new());
    for _ in 0..4 {
        let hub = hub.clone();
        answers.push(tokio::spawn(async move { hub.relay(&request()).await }));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    stop_first.cancel();
    let deadline = Instant::now() + Duration::from_secs(8);
    let mut replied = std::collections::BTreeSet::new();
    while !answers.iter().all(tokio::task::JoinHandle::is_finished) {
        assert!(Instant::now() < deadline, "only {} of 4 were asked of the second region", replied.len());
        let ids: Vec<u64> = second.heard.lock().unwrap().iter().filter_map(asked).collect();
        for id in ids {
            if replied.insert(id) {
                let (content_type, body) = ("text/plain".to_owned(), "here".to_owned());
                second.say(ToRack::RelayReply(RelayReply { id, status: 200, content_type, body })).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for answer in answers {
        assert_eq!(answer.await.unwrap().unwrap().body, "here");
    }
}

#[tokio::test]
async fn a_silent_region_is_given_up_and_dialled_anew() {
    let mut site = Site::new();
    let (region, address, _stop) = site.region().await;
    region.silent.store(true, std::sync::atomic::Ordering::SeqCst);
    let begun = Instant::now();
    site.start(vec![address]);
    let hellos = || region.heard.lock().unwrap().iter().filter(|m| is_hello(m).is_some()).count();
    while hellos() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{} hellos", hellos());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() > Duration::from_millis(2900), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn with_no_region_a_request_is_refused_at_once() {
    let begun = Instant::now();
    assert_eq!(Hub::new().relay(&request()).await, Err(RelayError::NoRegion));
    assert!(begun.elapsed() < Duration::from_secs(1));
}
