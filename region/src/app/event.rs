//! Events: look back, and follow.

use super::{App, Result};
use crate::auth::Actor;
use crate::db;
use crate::db::event_query::Beginning;
use crate::db::wakeups;
use crate::model::event::{Event, EventQuery};
use crate::model::page::MAX_LIMIT;
use crate::model::{Page, Role};
use futures_util::Stream;
use sqlx::PgConnection;
use std::collections::VecDeque;
use std::time::Duration;
use time::OffsetDateTime;

/// Events: with `after` oldest first, otherwise newest first.
pub async fn list(app: &App, actor: &Actor, query: &EventQuery) -> Result<Page<Event>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::event_query::list(&mut *app.read().await?, query, actor.sight().as_deref()).await?))
}

/// Events that are looked at in one go.
const AT_ONCE: i64 = 500;
/// Between two looks at a gap.
const GAP: Duration = Duration::from_millis(50);

struct Follow {
    app: App,
    query: EventQuery,
    /// Pools whose machines' events are shown; none: all of them.
    pools: Option<Vec<String>>,
    /// All up to here were handed out, or are not asked for.
    after: i64,
    /// Of somebody who wants all from now on: what may still come below the newest number.
    beginning: Option<Beginning>,
    /// The event behind a number that is missing, and when that was seen: whoever took the number may still commit.
    gap: Option<(i64, OffsetDateTime)>,
    wakeup: wakeups::Wakeup,
    ready: VecDeque<Event>,
}

/// What a look found.
enum Look {
    /// Something new, be it asked for or not.
    Further,
    /// Nothing.
    Nothing,
    /// A number is missing that may still come.
    Waits,
}

/// Events from `query.after` on (from now on when absent), without end. A region that dies ends the stream; whoever
/// reads it goes on at another one after the last number it has seen, so nothing is lost and nothing comes twice.
pub async fn follow(
    app: &App,
    actor: &Actor,
    query: EventQuery,
) -> Result<impl Stream<Item = Event> + Send + use<>> {
    actor.require(Role::Viewer)?;
    let (after, beginning) = match query.after {
        Some(after) => (after, None),
        None => {
            let beginning = db::event_query::beginning(&mut *app.read().await?).await?;
            (beginning.last, Some(beginning).filter(|beginning| !beginning.missing.is_empty()))
        }
    };
    let query = EventQuery { limit: Some(AT_ONCE), ..query };
    let (app, pools, wakeup) = (app.clone(), actor.sight(), app.wakeups().events());
    let start = Follow { app, query, pools, after, beginning, gap: None, wakeup, ready: VecDeque::new() };
    Ok(futures_util::stream::unfold(start, |mut follow| async move {
        let event = follow.next().await;
        Some((event, follow))
    }))
}

impl Follow {
    async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            match self.look().await {
                Ok(Look::Further) => {}
                Ok(Look::Nothing) => wakeups::wait(&mut self.wakeup, Duration::from_secs(1)).await,
                Ok(Look::Waits) => tokio::time::sleep(GAP).await,
                Err(error) => {
                    tracing::debug!(%error, "an event stream waits for the database");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Numbers are taken in one order and become visible in another. What lies behind a missing number waits until nobody
    /// can commit it any more: then it was rolled back.
    async fn look(&mut self) -> Result<Look> {
        let mut conn = self.app.read().await?;
        if let Some(beginning) = &self.beginning {
            return self.begin(&mut conn, beginning.clone()).await;
        }
        let (numbers, now) = db::event_query::numbers(&mut conn, self.after, AT_ONCE).await?;
        let mut upto = self.after;
        let mut waits = false;
        for number in numbers {
            if number > upto + 1 {
                let seen = self.gap.filter(|(behind, _)| *behind == number).map_or(now, |(_, seen)| seen);
                self.gap = Some((number, seen));
                waits = db::event_query::has_older_writers(&mut conn, seen).await?;
                if waits || upto > self.after {
                    // What filled the gap meanwhile is seen by the next look.
                    break;
                }
                upto = self.settled(&mut conn, number).await?;
                break;
            }
            upto = number;
        }
        if upto == self.after {
            return Ok(if waits { Look::Waits } else { Look::Nothing });
        }
        let query = EventQuery { after: Some(self.after), before: Some(upto + 1), ..self.query.clone() };
        self.ready.extend(db::event_query::list(&mut conn, &query, self.pools.as_deref()).await?);
        self.after = upto;
        Ok(Look::Further)
    }

    /// Whoever had taken a number when this began, and commits it now, comes first.
    async fn begin(&mut self, conn: &mut PgConnection, beginning: Beginning) -> Result<Look> {
        if db::event_query::has_older_writers(conn, beginning.seen).await? {
            return Ok(Look::Waits);
        }
        let Beginning { last, missing, .. } = beginning;
        let first = missing.first().copied().unwrap_or(last);
        let query = EventQuery {
            after: Some(first - 1),
            before: Some(last),
            limit: Some(MAX_LIMIT),
            ..self.query.clone()
        };
        let there = db::event_query::list(conn, &query, self.pools.as_deref()).await?;
        self.ready.extend(there.into_iter().filter(|event| missing.binary_search(&event.id).is_ok()));
        self.beginning = None;
        Ok(Look::Further)
    }

    /// The first number after all that were handed out, now that nobody can commit a lower one: `known`, unless somebody has.
    async fn settled(&self, conn: &mut PgConnection, known: i64) -> Result<i64> {
        let (numbers, _) = db::event_query::numbers(conn, self.after, 1).await?;
        Ok(numbers.first().copied().unwrap_or(known))
    }
}
