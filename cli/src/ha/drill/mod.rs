//! `rackwright ha drill`: stops one controller on purpose, tells what anybody noticed, and puts it back.
//!
//! Why: a site that was never seen to lose a box is not known to survive it. What holds: nothing is stopped while the loss of one
//! more thing would hurt; whatever happens after that, also Ctrl-C, the controller is started again.
//! Left out: databases (`rackwright ha ctl switchover` moves the leader), power and cables: this stops in order.

mod control;
mod dhcp;
mod probe;
mod safety;

use crate::client::Client;
use crate::console::Console;
use anyhow::{Context, Result, ensure};
use control::Control;
use dhcp::{Asking, Offered};
use probe::{Noticed, Probe};
use rackwright_region::model::controller::SiteStatus;
use reqwest::Method;
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Before the stop, and after the return: people as usual.
const CALM: Duration = Duration::from_secs(2);
/// Between two looks at the site.
const LOOK: Duration = Duration::from_millis(250);
/// Until when the others have to see that it is gone.
const GONE: Duration = Duration::from_secs(30);
/// Until when it has to be back.
const BACK: Duration = Duration::from_secs(180);

/// No client may wait longer for the offer of an address, seconds.
const OFFER: f64 = 4.0;

/// What is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A region controller.
    Region,
    /// A rack controller.
    Rack,
}

/// Stops a controller for a while and measures what anybody notices. Ask by the people's address.
#[derive(Debug, clap::Args)]
pub struct Drill {
    /// What to stop.
    kind: Kind,
    /// Its name.
    name: String,
    /// The box that it runs on, if that is not this one; `ssh root@BOX` has to work.
    #[arg(long = "on", value_name = "BOX", conflicts_with = "control")]
    on: Option<String>,
    /// A program that is called with `stop` and with `start`, in place of systemctl.
    #[arg(long, value_name = "PROGRAM")]
    control: Option<PathBuf>,
    /// How long it stays stopped.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(5..=3600))]
    seconds: u64,
    /// The drill fails when the API gives no answer for longer, seconds.
    #[arg(long, default_value_t = 3.0)]
    limit: f64,
    /// An interface of this box on the rack's network: clients ask for addresses there meanwhile. Not one that a rack on this
    /// box serves.
    #[arg(long, value_name = "INTERFACE")]
    dhcp: Option<String>,
    /// Say whether it would be safe, and stop nothing.
    #[arg(long)]
    check: bool,
}

/// What was measured. Seconds, from the order to stop, or to start.
#[derive(Debug, Serialize)]
struct Report {
    kind: Kind,
    name: String,
    /// The API, asked ten times a second.
    api: Noticed,
    /// Clients that asked for addresses, where that was wanted.
    dhcp: Option<Offered>,
    /// Until it no longer counted as alive.
    seen_gone: f64,
    /// Until no rack had a stream to it (region), or it had none (rack).
    streams_moved: Option<f64>,
    /// Until no operation under way was its own.
    work_moved: Option<f64>,
    /// Until it did its work again.
    back: f64,
    /// Addresses of networks, and the racks that went on serving them.
    networks: Vec<String>,
}

impl Drill {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let client = &console.client;
        let before: SiteStatus = client.get("/status").await?;
        let refusals = safety::refusals(&before, self.kind, &self.name);
        ensure!(refusals.is_empty(), "not now: {}", refusals.join("; "));
        if self.check {
            return console.done("it would be safe");
        }
        let control = Control::new(self.kind, self.on.as_deref(), self.control.as_deref())?;
        control.check(&self.name)?;
        let asking = match &self.dhcp {
            Some(interface) => Some(Asking::start(interface).await?),
            None => None,
        };
        let probe = Probe::start(client.clone());
        tokio::time::sleep(CALM).await;
        let stopped = self.stop(client, &control).await;
        // Whatever came of it.
        let began = Instant::now();
        control.start().await.with_context(|| format!("{} IS STILL STOPPED; start it by hand", self.name))?;
        let back = self.until(client, began, BACK, "to be back", |status| self.works(status, &before)).await;
        tokio::time::sleep(CALM).await;
        let (api, dhcp) = (probe.end(), asking.map(Asking::end));
        let (seen_gone, streams_moved, work_moved) = stopped?;
        let networks = safety::networks(&before, self.kind, &self.name);
        let report = Report {
            kind: self.kind,
            name: self.name.clone(),
            api,
            dhcp,
            seen_gone,
            streams_moved,
            work_moved,
            back: back?,
            networks,
        };
        console.show(&report, text)?;
        let gap = report.api.longest_gap;
        ensure!(gap <= self.limit, "the API gave no answer for {gap:.1} s; the limit is {} s", self.limit);
        let Some(Offered { unanswered, longest_wait, .. }) = report.dhcp else { return Ok(()) };
        ensure!(unanswered == 0, "{unanswered} clients were offered no address");
        ensure!(
            longest_wait <= OFFER,
            "a client waited {longest_wait:.1} s for an address; the limit is {OFFER} s"
        );
        Ok(())
    }

    /// Stops it, and waits for all that moves away from it; Ctrl-C ends the wait.
    async fn stop(&self, client: &Client, control: &Control) -> Result<(f64, Option<f64>, Option<f64>)> {
        let began = Instant::now();
        control.stop().await?;
        let watching = async {
            let gone =
                self.until(client, began, GONE, "to be seen gone", |status| !self.is_alive(status)).await?;
            let rest = Duration::from_secs(self.seconds).saturating_sub(began.elapsed());
            let streams = self.until(client, began, rest, "", |status| self.has_no_stream(status)).await.ok();
            let rest = Duration::from_secs(self.seconds).saturating_sub(began.elapsed());
            let work = self.until(client, began, rest, "", |status| self.owns_nothing(status)).await.ok();
            tokio::time::sleep(Duration::from_secs(self.seconds).saturating_sub(began.elapsed())).await;
            Ok((gone, streams, work))
        };
        tokio::select! {
            seen = watching => seen,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        }
    }

    /// Seconds since `began` until the site looks so.
    async fn until(
        &self,
        client: &Client,
        began: Instant,
        limit: Duration,
        what: &str,
        is: impl Fn(&SiteStatus) -> bool,
    ) -> Result<f64> {
        let deadline = Instant::now() + limit;
        loop {
            let request = client.request(Method::GET, "/status").timeout(Duration::from_secs(5));
            let seen = client.send::<SiteStatus>(request).await;
            if seen.as_ref().is_ok_and(&is) {
                return Ok(began.elapsed().as_secs_f64());
            }
            let last = seen.map_or_else(|error| error.to_string(), |_| "it is not so".to_owned());
            let name = &self.name;
            ensure!(Instant::now() < deadline, "{name} {what}: not within {} s; {last}", limit.as_secs());
            tokio::time::sleep(LOOK).await;
        }
    }

    fn is_alive(&self, status: &SiteStatus) -> bool {
        match self.kind {
            Kind::Region => status.regions.iter().any(|r| r.name == self.name && r.connected),
            Kind::Rack => status.racks.iter().any(|r| r.name == self.name && !r.regions.is_empty()),
        }
    }

    fn has_no_stream(&self, status: &SiteStatus) -> bool {
        match self.kind {
            Kind::Region => {
                let away = |rack: &&rackwright_region::model::controller::Rack| rack.connected;
                status.racks.iter().filter(away).all(|rack| !rack.regions.contains(&self.name))
            }
            Kind::Rack => !self.is_alive(status),
        }
    }

    fn owns_nothing(&self, status: &SiteStatus) -> bool {
        !status.operations_by_region.contains_key(&self.name)
    }

    /// Does what it did before.
    fn works(&self, status: &SiteStatus, before: &SiteStatus) -> bool {
        match self.kind {
            Kind::Region => {
                let had = before.regions.iter().any(|r| r.name == self.name && !r.racks.is_empty());
                let has = |r: &rackwright_region::model::controller::Region| !had || !r.racks.is_empty();
                status.regions.iter().any(|r| r.name == self.name && r.connected && has(r))
            }
            Kind::Rack => {
                let newest = |r: &rackwright_region::model::controller::Rack| r.running == r.generation;
                status.racks.iter().any(|r| r.name == self.name && !r.regions.is_empty() && newest(r))
            }
        }
    }
}

fn text(report: &Report) -> String {
    let after = |seconds: Option<f64>| seconds.map_or_else(|| "not seen".to_owned(), |s| format!("{s:.1} s"));
    let Noticed { asked, failed, longest_gap } = &report.api;
    let mut text = format!("{} was stopped and is back.\n", report.name);
    let mut line = |name: &str, value: String| {
        writeln!(text, "  {name:<34} {value}").expect("text takes text");
    };
    line("longest time without an answer", format!("{longest_gap:.2} s"));
    line("requests that failed", format!("{failed} of {asked}"));
    if let Some(Offered { clients, unanswered, longest_wait }) = &report.dhcp {
        line("longest wait for an address", format!("{longest_wait:.2} s"));
        line("clients that were offered none", format!("{unanswered} of {clients}"));
    }
    line("seen gone after", after(Some(report.seen_gone)));
    line("its streams moved after", after(report.streams_moved));
    line("its operations moved after", after(report.work_moved));
    line("at work again, once started, after", after(Some(report.back)));
    for network in &report.networks {
        line("went on being served", network.clone());
    }
    text
}
