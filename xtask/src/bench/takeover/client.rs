//! People who ask every 50 ms, and what became of each question.
//!
//! What holds: a question that hangs does not hold up the next; each change makes a thing of its own name, so that what
//! was acknowledged can be looked for afterwards.

use crate::http::Client;
use anyhow::{Context, Result};
use rackwright_lab::forward;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two questions.
const EVERY: Duration = Duration::from_millis(50);
/// A person does not wait longer for a page.
const READ_PATIENCE: Duration = Duration::from_secs(5);
/// A change may wait for the next primary at the region.
const WRITE_PATIENCE: Duration = Duration::from_secs(40);

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A list.
    Read,
    /// A new thing.
    Write,
}

/// One question.
#[derive(Debug, Clone)]
pub struct Sample {
    /// When it was sent.
    pub began: Instant,
    /// When it was answered or given up.
    pub ended: Instant,
    /// Whether it was answered with success.
    pub ok: bool,
    /// The name of what it makes.
    pub name: Option<String>,
    /// Why not.
    pub error: String,
}

/// Asks in the background until it is stopped.
pub struct Asking {
    stop: Arc<AtomicBool>,
    samples: Arc<Mutex<Vec<Sample>>>,
    asking: JoinHandle<Result<()>>,
}

impl Asking {
    /// Starts to ask `api` from inside a namespace. `name` begins the names of what is made.
    pub fn start(namespace: &str, api: &Client, kind: Kind, name: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let samples = Arc::new(Mutex::new(Vec::new()));
        let patience = if kind == Kind::Read { READ_PATIENCE } else { WRITE_PATIENCE };
        let (api, namespace, name) =
            (api.clone().with_patience(patience), namespace.to_owned(), name.to_owned());
        let (stopped, kept) = (stop.clone(), samples.clone());
        let asking = thread::spawn(move || ask(&namespace, &api, kind, &name, &stopped, &kept));
        Self { stop, samples, asking }
    }

    /// What has been answered so far.
    pub fn so_far(&self) -> Vec<Sample> {
        self.samples.lock().map(|samples| samples.clone()).unwrap_or_default()
    }

    /// Ends, and waits for what is still asked.
    pub fn stop(self) -> Result<Vec<Sample>> {
        self.stop.store(true, Ordering::SeqCst);
        self.asking.join().map_err(|_| anyhow::anyhow!("the asking thread panicked"))??;
        let mut samples = self.samples.lock().map_err(|_| anyhow::anyhow!("a question panicked"))?.clone();
        samples.sort_by_key(|sample| sample.ended);
        Ok(samples)
    }
}

fn ask(
    namespace: &str,
    api: &Client,
    kind: Kind,
    name: &str,
    stop: &AtomicBool,
    samples: &Arc<Mutex<Vec<Sample>>>,
) -> Result<()> {
    forward::enter(namespace)?;
    let mut next = Instant::now();
    let mut questions = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let (api, samples, name) = (api.clone(), samples.clone(), format!("{name}-{number}"));
        // A thread is in the namespace of the one that starts it.
        questions.push(thread::spawn(move || {
            let sample = once(&api, kind, name);
            if let Ok(mut samples) = samples.lock() {
                samples.push(sample);
            }
        }));
        questions.retain(|question| !question.is_finished());
        next += EVERY;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    for question in questions {
        drop(question.join());
    }
    Ok(())
}

fn once(api: &Client, kind: Kind, name: String) -> Sample {
    let began = Instant::now();
    let (answer, name) = match kind {
        Kind::Read => (api.request("GET", "/api/v1/pools", None), None),
        Kind::Write => {
            let body = json!({ "name": name });
            (api.request("POST", "/api/v1/fabrics", Some(&body)), Some(name))
        }
    };
    let ended = Instant::now();
    let (ok, error) = match answer {
        Ok(answer) => {
            ((200..300).contains(&answer.status), format!("{} {}", answer.status, answer.body["code"]))
        }
        Err(error) => (false, format!("{error:#}")),
    };
    Sample { began, ended, ok, name, error }
}

/// The longest time after `from` in which nothing was answered with success, seconds: from the last success before.
pub fn longest_gap(samples: &[Sample], from: Instant) -> f64 {
    let mut ends: Vec<_> = samples.iter().filter(|sample| sample.ok).map(|sample| sample.ended).collect();
    ends.sort();
    let before = ends.iter().rev().find(|end| **end <= from).copied().unwrap_or(from);
    let mut last = before;
    let mut longest = Duration::ZERO;
    for end in ends.into_iter().filter(|end| *end > from) {
        longest = longest.max(end - last);
        last = end;
    }
    longest.as_secs_f64()
}

/// The longest time without a success between `from` and `until`, seconds.
pub fn longest_stall(samples: &[Sample], from: Instant, until: Instant) -> f64 {
    let ends = samples.iter().filter(|sample| sample.ok).map(|sample| sample.ended);
    let mut ends: Vec<_> = ends.filter(|end| *end > from && *end < until).collect();
    ends.extend([from, until]);
    ends.sort();
    ends.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).fold(0.0, f64::max)
}

/// Whether there were only successes in the last while before `now`, and enough of them.
pub fn is_well(samples: &[Sample], now: Instant, during: Duration) -> bool {
    let Some(since) = now.checked_sub(during) else { return false };
    let lately: Vec<_> = samples.iter().filter(|sample| sample.began >= since).collect();
    let wanted = during.as_millis() / EVERY.as_millis() / 2;
    lately.iter().all(|sample| sample.ok) && lately.len() as u128 >= wanted
}

/// How many acknowledged changes are not there.
pub fn lost(samples: &[Sample], there: &Value) -> Result<usize> {
    let items = there["items"].as_array().context("a list of fabrics")?;
    let names: BTreeSet<_> = items.iter().filter_map(|item| item["name"].as_str()).collect();
    let acknowledged = samples.iter().filter(|sample| sample.ok).filter_map(|sample| sample.name.as_deref());
    Ok(acknowledged.filter(|name| !names.contains(name)).count())
}

/// Asks as fast as it can with several threads, until dropped.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU32>,
    refused: Arc<AtomicU32>,
}

impl Load {
    /// With this many threads.
    pub fn start(namespace: &str, api: &Client, threads: usize) -> Self {
        let load = Self { stop: Arc::default(), answered: Arc::default(), refused: Arc::default() };
        for _ in 0..threads {
            let (stop, answered, refused) = (load.stop.clone(), load.answered.clone(), load.refused.clone());
            let (namespace, api) = (namespace.to_owned(), api.clone().with_patience(READ_PATIENCE));
            thread::spawn(move || {
                while forward::enter(&namespace).is_ok() && !stop.load(Ordering::SeqCst) {
                    match api.request("GET", "/api/v1/machines", None) {
                        Ok(answer) if answer.status == 200 => {
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        other => {
                            if refused.fetch_add(1, Ordering::Relaxed) == 0 {
                                eprintln!("  load: the first that failed: {other:?}");
                            }
                        }
                    }
                }
            });
        }
        load
    }

    /// Requests that were answered with success, and those that were not.
    pub fn counts(&self) -> (u32, u32) {
        (self.answered.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    /// Says how much it was.
    pub fn tell(&self) {
        let (answered, refused) = self.counts();
        if answered + refused > 0 {
            eprintln!("  load: {answered} further requests answered meanwhile, {refused} not");
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(start: Instant, began: u64, took: u64, ok: bool, name: Option<&str>) -> Sample {
        let began = start + Duration::from_millis(began);
        let ended = began + Duration::from_millis(took);
        Sample { began, ended, ok, name: name.map(str::to_owned), error: String::new() }
    }

    #[test]
    fn a_gap_lasts_from_the_last_success_before_the_fault_to_the_next_one() {
        let start = Instant::now();
        let samples = [
            sample(start, 0, 10, true, None),
            sample(start, 900, 100, true, None),
            sample(start, 1500, 10, false, None),
            sample(start, 2900, 100, true, None),
            sample(start, 3000, 50, true, None),
        ];
        let gap = longest_gap(&samples, start + Duration::from_millis(1100));
        assert!((gap - 2.0).abs() < 1e-6, "{gap}");
    }

    #[test]
    fn a_stall_that_has_not_ended_counts_as_well() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let samples = [sample(start, 0, 500, true, None), sample(start, 2000, 100, false, None)];
        assert!((longest_stall(&samples, at(0), at(4000)) - 3.5).abs() < 1e-6);
        assert!((longest_stall(&[], at(0), at(4000)) - 4.0).abs() < 1e-6);
    }

    #[test]
    fn what_was_acknowledged_has_to_be_there() {
        let start = Instant::now();
        let samples = [
            sample(start, 0, 1, true, Some("a")),
            sample(start, 0, 1, true, Some("b")),
            sample(start, 0, 1, false, Some("c")),
        ];
        assert_eq!(lost(&samples, &json!({ "items": [{ "name": "a" }] })).unwrap(), 1);
    }

    #[test]
    fn well_means_many_and_all_of_them() {
        let start = Instant::now();
        let many: Vec<_> = (0..40).map(|at| sample(start, at * 50, 5, true, None)).collect();
        let now = start + Duration::from_secs(2);
        assert!(is_well(&many, now, Duration::from_secs(1)));
        assert!(!is_well(&many[..5], now, Duration::from_secs(1)));
    }
}
