//! What has to hold all along, and what was seen of it.

use crate::cluster::Cluster;
use crate::simulated::chassis::Act;
use crate::simulated::{Happened, Story};
use anyhow::{Context, Result, ensure};
use rackwright_lab::{Lab, forward, ns, poll, process};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

/// Between two changes.
const EVERY: Duration = Duration::from_millis(400);

/// Somebody who changes something all the time, and remembers what was acknowledged.
pub struct Writer {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Begins; names begin with `name`.
    pub fn start(cluster: &Cluster<'_>, name: &str) -> Result<Self> {
        let (stop, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<String>>>::default());
        let api = cluster.api()?.with_patience(Duration::from_secs(20));
        let (namespace, name) = (cluster.client_namespace(), name.to_owned());
        let (stopped, kept) = (stop.clone(), acknowledged.clone());
        let thread = thread::spawn(move || {
            if forward::enter(&namespace).is_err() {
                return;
            }
            for number in 0.. {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let name = format!("{name}-{number}");
                let answer = api.request("POST", "/api/v1/fabrics", Some(&json!({ "name": name })));
                if answer.is_ok_and(|answer| (200..300).contains(&answer.status)) {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(name);
                }
                thread::sleep(EVERY);
            }
        });
        Ok(Self { stop, acknowledged, thread: Some(thread) })
    }

    /// Ends. How many changes were acknowledged, and which of them are not there.
    pub fn end(mut self, cluster: &Cluster<'_>) -> Result<(usize, Vec<String>)> {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        }
        let listed = poll::until(Duration::from_secs(60), "the list of fabrics", || {
            cluster.ask(|api| api.get("/api/v1/fabrics")).map(Some)
        })?;
        let items = listed["items"].as_array().context("a list of fabrics")?;
        let there: BTreeSet<_> = items.iter().filter_map(|item| item["name"].as_str()).collect();
        let acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lost = acknowledged.iter().filter(|name| !there.contains(name.as_str())).cloned().collect();
        Ok((acknowledged.len(), lost))
    }
}

/// The host of strangers, who want an address and nothing else.
pub const STRANGERS: &str = "strangers";

/// Somebody with this MAC asks for an address, and may be given none.
pub fn stranger(lab: &Lab, mac: &str) -> Result<()> {
    let lines = ["link set eth0 down".to_owned(), format!("link set eth0 address {mac} up")];
    ns::batch(&lab.namespace(STRANGERS), &lines)?;
    let mut udhcpc = lab.exec(STRANGERS, "busybox");
    udhcpc.args(["udhcpc", "-f", "-n", "-q", "-i", "eth0", "-t", "4", "-T", "1", "-s", "/bin/true"]);
    udhcpc.output().map(drop).context("udhcpc")
}

/// Listens to what racks acknowledge.
pub fn listen(lab: &Lab) -> Result<()> {
    let mut command = lab.exec("site", "tcpdump");
    command.args(["-i", "br-boot", "-n", "-v", "-l", "udp", "src", "port", "67"]);
    lab.spawn("dhcp", &command)?;
    poll::until(Duration::from_secs(10), "tcpdump to listen", || {
        let said = process::tail(&lab.process_log("dhcp"), 3);
        ensure!(said.contains("listening on"), "{said}");
        Ok(Some(()))
    })
}

/// Who was acknowledged each address.
pub fn holders(lab: &Lab) -> BTreeMap<String, BTreeSet<String>> {
    let bytes = std::fs::read(lab.process_log("dhcp")).unwrap_or_default();
    holders_in(&String::from_utf8_lossy(&bytes))
}

fn holders_in(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut holders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    // Each message begins with a line that is not indented.
    for message in text.replace("\n\t", "\t").replace("\n ", " ").lines() {
        let after = |what: &str| {
            let value = message.split_once(what)?.1;
            value.split_whitespace().next().map(str::to_owned)
        };
        let is_ack = message.contains("DHCP-Message (53), length 1: ACK");
        let both = (after("Your-IP "), after("Client-Ethernet-Address "));
        if let (true, (Some(address), Some(mac))) = (is_ack, both) {
            holders.entry(address).or_default().insert(mac);
        }
    }
    holders
}

/// A deploy as it was seen.
#[derive(Debug, Clone)]
pub struct Deploy {
    /// Its operation.
    pub operation: i64,
    /// From then on.
    pub began: SystemTime,
    /// What its events told of further tries with the power: restarts, cycles.
    pub tries_told: usize,
}

/// What was done to a machine in a deploy that should not have been: a power-on that nothing told of, an image that was written in
/// vain or is damaged.
pub fn wrong_effects(deploy: &Deploy, acts: &[Act], story: &Story) -> Vec<String> {
    let since = deploy.began.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |at| at.as_secs_f64());
    let ons = acts.iter().filter(|act| act.at >= since && act.what != "off").count();
    let mut wrong = Vec::new();
    if ons > 1 + deploy.tries_told {
        let told = deploy.tries_told;
        wrong.push(format!(
            "operation {}: {ons} power-ons, {told} of them told as further tries",
            deploy.operation
        ));
    }
    let lost = story.iter().filter(|(_, what)| *what == Happened::PowerLost(deploy.operation)).count();
    if lost > deploy.tries_told {
        wrong
            .push(format!("operation {}: the power went away while the image was written", deploy.operation));
    }
    let damaged =
        story.iter().filter(|(at, what)| *at >= deploy.began && matches!(what, Happened::Damaged(_)));
    wrong.extend(damaged.map(|(_, what)| format!("operation {}: {what:?}", deploy.operation)));
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_two_were_given_is_seen() {
        let ack = |ip: &str, mac: &str| {
            format!(
                "12:00:00.1 IP (tos 0x0)\n    10.77.0.1.67 > {ip}.68: BOOTP/DHCP\n\t  Your-IP {ip}\n\t  Client-Ethernet-Address {mac}\n\t    DHCP-Message (53), length 1: ACK\n"
            )
        };
        let text = ack("10.77.0.130", "aa")
            + &ack("10.77.0.130", "aa")
            + &ack("10.77.0.131", "aa")
            + &ack("10.77.0.131", "bb");
        let holders = holders_in(&text);
        assert_eq!((holders["10.77.0.130"].len(), holders["10.77.0.131"].len()), (1, 2));
    }

    #[test]
    fn a_power_on_that_nothing_told_of_is_seen() {
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let act = |at: f64, what: &str| Act { at, what: what.to_owned() };
        let acts = [act(50.0, "on"), act(101.0, "off"), act(102.0, "on"), act(103.0, "reset")];
        let deploy = Deploy { operation: 7, began, tries_told: 0 };
        assert_eq!(wrong_effects(&deploy, &acts, &Vec::new()).len(), 1);
        assert_eq!(wrong_effects(&Deploy { tries_told: 1, ..deploy }, &acts, &Vec::new()).len(), 0);
        let story = vec![(began, Happened::PowerLost(7)), (began, Happened::Damaged("aa".to_owned()))];
        assert_eq!(wrong_effects(&deploy, &acts[..3], &story).len(), 2);
    }
}
