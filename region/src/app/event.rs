//! Events: look back, and follow.

use super::{App, Result};
use crate::auth::Actor;
use crate::db;
use crate::db::wakeups;
use crate::model::event::{Event, EventQuery};
use crate::model::{Page, Role};
use futures_util::Stream;
use sqlx::PgConnection;
use std::collections::VecDeque;
use std::time::Duration;
use time::OffsetDateTime;

/// Events: with `after` oldest first, otherwise newest first.
pub async fn list(app: &App, actor: &Actor, query: &EventQuery) -> Result<Page<Event>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::event_query::list(&mut *app.read().await?, query).await?))
}

/// Events that are looked at in one go.
const AT_ONCE: i64 = 500;
/// Between two looks at a gap.
const GAP: Duration = Duration::from_millis(50);

struct Follow {
    app: App,
    query: EventQuery,
    /// All up to here were handed out, or are not asked for.
    after: i64,
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
    let after = match query.after {
        Some(after) => after,
        None => db::event_query::last_id(&mut *app.read().await?).await?,
    };
    let query = EventQuery { limit: Some(AT_ONCE), ..query };
    let (app, wakeup) = (app.clone(), app.wakeups().events());
    let start = Follow { app, query, after, gap: None, wakeup, ready: VecDeque::new() };
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
        self.ready.extend(db::event_query::list(&mut conn, &query).await?);
        self.after = upto;
        Ok(Look::Further)
    }

    /// The first number after all that were handed out, now that nobody can commit a lower one: `known`, unless somebody has.
    async fn settled(&self, conn: &mut PgConnection, known: i64) -> Result<i64> {
        let (numbers, _) = db::event_query::numbers(conn, self.after, 1).await?;
        Ok(numbers.first().copied().unwrap_or(known))
    }
}
