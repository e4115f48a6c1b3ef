//! Wake-ups from the database: one listener for the process, one counter per channel.
//!
//! A wake-up says "look again", nothing more; whoever waits on one also looks after a slow timeout, so that a
//! lost notification costs time and never work.

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The channels that triggers in the migrations notify, and the code of consoles.
const CHANNELS: [&str; 7] = [
    "rackwright_event",
    "rackwright_operation",
    "rackwright_task",
    "rackwright_item",
    "rackwright_world",
    "rackwright_console",
    "rackwright_input",
];

/// A counter that moves when something may have changed.
pub type Wakeup = watch::Receiver<u64>;

/// All wake-ups of this process.
#[derive(Debug, Clone)]
pub struct Wakeups(Arc<[watch::Sender<u64>; 7]>);

impl Default for Wakeups {
    fn default() -> Self {
        Self(Arc::new(std::array::from_fn(|_| watch::Sender::new(0))))
    }
}

impl Wakeups {
    /// An event was appended.
    pub fn events(&self) -> Wakeup {
        self.0[0].subscribe()
    }

    /// An operation is due.
    pub fn operations(&self) -> Wakeup {
        self.0[1].subscribe()
    }

    /// A task waits for a rack.
    pub fn tasks(&self) -> Wakeup {
        self.0[2].subscribe()
    }

    /// An item waits for an agent.
    pub fn items(&self) -> Wakeup {
        self.0[3].subscribe()
    }

    /// The racks' picture of the world has changed.
    pub fn world(&self) -> Wakeup {
        self.0[4].subscribe()
    }

    /// A console at which somebody looks has written something, or somebody else types.
    pub fn consoles(&self) -> Wakeup {
        self.0[5].subscribe()
    }

    /// Somebody has typed into a console.
    pub fn inputs(&self) -> Wakeup {
        self.0[6].subscribe()
    }

    fn bump(&self, channel: usize) {
        self.0[channel].send_modify(|n| *n += 1);
    }

    fn bump_all(&self) {
        (0..CHANNELS.len()).for_each(|channel| self.bump(channel));
    }

    /// Listens until cancelled; connects again after a loss and wakes everybody then.
    pub async fn run(self, pool: PgPool, cancel: CancellationToken) {
        while !cancel.is_cancelled() {
            tokio::select! {
                () = cancel.cancelled() => return,
                result = self.listen(&pool) => if let Err(error) = result {
                    tracing::warn!(%error, "lost the database's notifications; connecting again");
                },
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
        }
    }

    async fn listen(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen_all(CHANNELS).await?;
        self.bump_all();
        while let Some(notification) = listener.try_recv().await? {
            if let Some(channel) = CHANNELS.iter().position(|c| *c == notification.channel()) {
                self.bump(channel);
            }
        }
        Ok(())
    }
}

/// Waits for a wake-up, but no longer than `at_most`.
pub async fn wait(wakeup: &mut Wakeup, at_most: Duration) {
    // Both a timeout and a closed channel mean: look again.
    if let Ok(Err(_)) = tokio::time::timeout(at_most, wakeup.changed()).await {
        tokio::time::sleep(at_most).await;
    }
}
