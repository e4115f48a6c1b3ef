//! Somebody who asks the API ten times a second, whatever became of the question before.

use crate::client::Client;
use reqwest::Method;
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const EVERY: Duration = Duration::from_millis(100);
/// A person does not wait longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// When a question was answered, and whether with success.
type Answers = Arc<Mutex<Vec<(Instant, bool)>>>;

/// What people noticed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Noticed {
    /// How many times they asked.
    pub asked: usize,
    /// How many were told an error, or nothing for five seconds.
    pub failed: usize,
    /// Longest time without a success, seconds.
    pub longest_gap: f64,
}

/// Asks until it is ended.
pub struct Probe {
    answers: Answers,
    asking: JoinHandle<()>,
}

impl Probe {
    /// Begins.
    pub fn start(client: Client) -> Self {
        let answers = Answers::default();
        let kept = answers.clone();
        let asking = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            loop {
                ticks.tick().await;
                let (client, kept) = (client.clone(), kept.clone());
                tokio::spawn(async move {
                    let request = client.request(Method::GET, "/pools").timeout(PATIENCE);
                    let ok = client.open(request).await.is_ok();
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), ok));
                });
            }
        });
        Self { answers, asking }
    }

    /// Ends, and tells.
    pub fn end(self) -> Noticed {
        self.asking.abort();
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        noticed(answers)
    }
}

fn noticed(mut answers: Vec<(Instant, bool)>) -> Noticed {
    answers.sort_by_key(|(at, _)| *at);
    let failed = answers.iter().filter(|(_, ok)| !ok).count();
    // From the first answer to the last, whatever they were: a site that never answers has one long gap.
    let ends = answers.first().into_iter().chain(answers.iter().filter(|(_, ok)| *ok)).chain(answers.last());
    let ends: Vec<_> = ends.map(|(at, _)| *at).collect();
    let longest = ends.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    Noticed { asked: answers.len(), failed, longest_gap: longest.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_between_two_successes_or_lasts_to_the_end() {
        let start = Instant::now();
        let at = |ms: u64, ok: bool| (start + Duration::from_millis(ms), ok);
        let seen = noticed(vec![at(0, true), at(100, true), at(900, false), at(1600, true), at(1700, true)]);
        assert_eq!(seen, Noticed { asked: 5, failed: 1, longest_gap: 1.5 });
        assert!((noticed(vec![at(0, true), at(4000, false)]).longest_gap - 4.0).abs() < 1e-9);
    }
}
