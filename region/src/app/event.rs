//! Events: look back, and follow.

use super::{App, Result};
use crate::auth::Actor;
use crate::db;
use crate::db::wakeups;
use crate::model::event::{Event, EventQuery};
use crate::model::{Page, Role};
use futures_util::Stream;
use std::collections::VecDeque;
use std::time::Duration;

/// Events: with `after` oldest first, otherwise newest first.
pub async fn list(app: &App, actor: &Actor, query: &EventQuery) -> Result<Page<Event>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::event_query::list(&mut *app.read().await?, query, actor.sight().as_deref()).await?))
}

struct Follow {
    app: App,
    query: EventQuery,
    pools: Option<Vec<String>>,
    wakeup: wakeups::Wakeup,
    ready: VecDeque<Event>,
}

/// Events from `query.after` on (from now on when absent), without end. A region that dies ends the stream; whoever
/// reads it goes on at another one after the last number it has seen, so nothing is lost and nothing comes twice.
pub async fn follow(
    app: &App,
    actor: &Actor,
    query: EventQuery,
) -> Result<impl Stream<Item = Event> + Send + use<>> {
    actor.require(Role::Viewer)?;
    let after = match query.after {
        Some(after) => after,
        None => db::event_query::last_id(&mut *app.read().await?).await?,
    };
    let query = EventQuery { after: Some(after), before: None, limit: Some(500), ..query };
    let (pools, wakeup) = (actor.sight(), app.wakeups().events());
    let start = Follow { app: app.clone(), query, pools, wakeup, ready: VecDeque::new() };
    Ok(futures_util::stream::unfold(start, |mut follow| async move {
        let event = follow.next().await;
        Some((event, follow))
    }))
}

impl Follow {
    async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.query.after = Some(event.id);
                return event;
            }
            match self.look().await {
                Ok(events) if !events.is_empty() => self.ready.extend(events),
                Ok(_) => wakeups::wait(&mut self.wakeup, Duration::from_secs(1)).await,
                Err(error) => {
                    tracing::debug!(%error, "an event stream waits for the database");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn look(&self) -> Result<Vec<Event>> {
        Ok(db::event_query::list(&mut *self.app.read().await?, &self.query, self.pools.as_deref()).await?)
    }
}
