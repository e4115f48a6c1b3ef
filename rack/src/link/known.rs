//! Which regions there are: those of the settings, and those that a region told of last. The latter are kept on
//! disk, so that a rack finds its regions when all that its settings name are gone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

const FILE: &str = "regions.json";

#[derive(Debug)]
pub(super) struct KnownRegions {
    path: PathBuf,
    configured: Vec<String>,
    told: Mutex<Vec<String>>,
    changed: watch::Sender<()>,
}

impl KnownRegions {
    pub(super) fn load(data: &Path, configured: &[String]) -> Self {
        let path = data.join(FILE);
        let told = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let (changed, _) = watch::channel(());
        Self { path, configured: configured.to_vec(), told: Mutex::new(told.unwrap_or_default()), changed }
    }

    /// All addresses, each once.
    pub(super) fn list(&self) -> Vec<String> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.configured.iter().cloned().chain(told).collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// A region told which there are. An empty list is no news.
    pub(super) fn tell(&self, regions: Vec<String>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if regions.is_empty() || *told == regions {
            return;
        }
        let stored = serde_json::to_vec(&regions).map_err(std::io::Error::from);
        if let Err(error) = stored.and_then(|bytes| crate::state::write_atomically(&self.path, &bytes)) {
            tracing::warn!(%error, "the list of regions cannot be stored");
        }
        *told = regions;
        drop(told);
        self.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_that_were_told_of_are_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let configured = ["a:5241".to_owned()];
        let known = KnownRegions::load(dir.path(), &configured);
        known.tell(vec!["b:5241".to_owned(), "a:5241".to_owned()]);
        known.tell(vec![]);
        assert_eq!(KnownRegions::load(dir.path(), &configured).list(), ["a:5241", "b:5241"]);
    }
}
