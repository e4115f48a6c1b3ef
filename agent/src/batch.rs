//! Scripts that are under way at the same time, a thread each. Each reports for itself; this only knows which there
//! are, and which ends next.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// Threads by item number.
pub struct Batch<T> {
    running: BTreeMap<i64, JoinHandle<T>>,
    ended: Receiver<i64>,
    says: Sender<i64>,
}

/// Says that a thread ends, however it does.
struct Bell(i64, Sender<i64>);

impl Drop for Bell {
    fn drop(&mut self) {
        // Nobody listens when the agent ends.
        self.1.send(self.0).ok();
    }
}

impl<T: Send + 'static> Batch<T> {
    /// Nothing under way.
    pub fn new() -> Self {
        let (says, ended) = channel();
        Self { running: BTreeMap::new(), ended, says }
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// None is.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Whether this item is.
    pub fn has(&self, item: i64) -> bool {
        self.running.contains_key(&item)
    }

    /// Begins.
    pub fn start(&mut self, item: i64, work: impl FnOnce() -> T + Send + 'static) {
        let bell = Bell(item, self.says.clone());
        let thread = std::thread::spawn(move || {
            let _bell = bell;
            work()
        });
        self.running.insert(item, thread);
    }

    /// Waits for the next to end; nothing when none is under way. A thread that broke breaks the agent, which is
    /// started again and given the same items.
    pub fn wait(&mut self) -> Option<T> {
        while !self.running.is_empty() {
            let ended = self.ended.recv().ok()?;
            if let Some(thread) = self.running.remove(&ended) {
                match thread.join() {
                    Ok(done) => return Some(done),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        }
        None
    }
}

impl<T: Send + 'static> Default for Batch<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whichever_ends_first_comes_first() {
        let mut batch = Batch::new();
        let (go, wait) = channel::<()>();
        batch.start(1, move || wait.recv().map(|()| 1));
        batch.start(2, || Ok(2));
        assert_eq!(batch.wait(), Some(Ok(2)));
        assert!(batch.has(1) && !batch.has(2) && batch.len() == 1);
        go.send(()).unwrap();
        assert_eq!(batch.wait(), Some(Ok(1)));
        assert_eq!(batch.wait(), None);
    }
}
