//! An interactive console: what a machine writes as it writes it, and what people type, one at a time.
//!
//! What holds: only whoever has the seat types, and whoever takes it is written into the audit; what was typed goes into the serial line
//! within five seconds, once and in its order, or not at all, and then they are told. It reaches the rack that has the console open
//! through any region, so a reader whose region died goes on at another. Rights are looked at again with each [`Terminal::renew`].
//! Left out: consoles of machines whose BMC does not speak IPMI, and what a machine wrote before a rack had its console open.

use super::{App, Change, Describe, Error, Result, access, audit};
use crate::auth::Actor;
use crate::db;
use crate::db::console::Chunk;
use crate::db::console_seat::Seat;
use crate::db::wakeups::Wakeup;
use crate::model::Role;
use crate::model::console::{ConsolePiece, Recording};
use crate::model::terminal::{FromTerminal, ToTerminal};
use rackwright_common::MachineId;
use rackwright_common::link::CONSOLE_INPUT_BYTES;
use std::time::Duration;
use uuid::Uuid;

/// Bytes of a console's end that a reader is shown at first.
const FIRST: i64 = 16 * 1024;
/// Chunks that are read at a time.
const AT_ONCE: i64 = 100;
/// Inputs of a machine on their way to its rack; more are refused.
const ON_THE_WAY: i64 = 32;
/// Seats and wishes end unless they are renewed this often, at least.
pub const RENEW: Duration = Duration::from_secs(4);

/// Somebody who looks at a console.
pub struct Terminal {
    app: App,
    actor: Actor,
    machine: MachineId,
    /// What was shown ends here.
    after: i64,
    seat: Option<Uuid>,
    told: Option<Option<Seat>>,
    wakeup: Wakeup,
}

impl Terminal {
    /// Opens the console of a machine with an IPMI BMC; goes on after a position, if there is one.
    pub async fn open(app: &App, actor: &Actor, machine: &MachineId, after: Option<i64>) -> Result<Self> {
        actor.require(Role::Viewer)?;
        let mut conn = app.read().await?;
        access::see(&mut conn, actor, machine).await?;
        let found = db::machine::get(&mut conn, machine).await.or_not_found("machine", machine)?;
        if found.bmc_driver.as_deref() != Some("ipmi") {
            return Err(Error::conflict(format!(
                "machine {machine} has no IPMI BMC, so its serial console cannot be opened; set one with `rackwright machine bmc`"
            )));
        }
        let end = db::console::position(&mut conn, machine).await.or_not_found("machine", machine)?;
        drop(conn);
        let after = after.unwrap_or((end - FIRST).max(0)).min(end);
        let (app, actor, machine) = (app.clone(), actor.clone(), machine.clone());
        let wakeup = app.wakeups().consoles();
        let mut conn = app.pool().acquire().await.map_err(db::DbError::from)?;
        db::console_seat::want(&mut conn, &machine).await?;
        drop(conn);
        Ok(Self { app, actor, machine, after, seat: None, told: None, wakeup })
    }

    /// Waits until there may be something new.
    pub async fn changed(&mut self) {
        db::wakeups::wait(&mut self.wakeup, Duration::from_secs(1)).await;
    }

    /// What is new: who types, and what the machine has written.
    pub async fn news(&mut self) -> Result<Vec<ToTerminal>> {
        let mut conn = self.app.read().await?;
        let mut news = Vec::new();
        let holder = db::console_seat::find(&mut conn, &self.machine).await?;
        if self.told.as_ref() != Some(&holder) {
            let you = self.seat.is_some() && holder.as_ref().map(|seat| seat.seat) == self.seat;
            news.push(ToTerminal::Writer { name: holder.as_ref().map(|seat| seat.name.clone()), you });
            if !you {
                self.seat = None;
            }
            self.told = Some(holder);
        }
        let chunks = db::console::after(&mut conn, &self.machine, self.after, AT_ONCE).await?;
        for chunk in chunks {
            let output = output(chunk, self.after);
            if let ToTerminal::Output { position, .. } = &output {
                self.after = *position;
            }
            news.push(output);
        }
        Ok(news)
    }

    /// Keeps the console open and the seat held, as somebody who may still look; says what did not arrive.
    pub async fn renew(&mut self, actor: Actor) -> Result<Vec<ToTerminal>> {
        let mut conn = self.app.pool().acquire().await.map_err(db::DbError::from)?;
        access::see(&mut conn, &actor, &self.machine).await?;
        self.actor = actor;
        db::console_seat::want(&mut conn, &self.machine).await?;
        let mut news = Vec::new();
        if let Some(seat) = self.seat {
            if self.may_type(&mut conn).await.is_err() {
                db::console_seat::leave(&mut conn, &self.machine, seat).await?;
                self.seat = None;
                news.push(trouble("you may not type any more"));
            } else {
                // Somebody else's seat is told with the next news.
                db::console_seat::hold(&mut conn, &self.machine, seat).await?;
            }
            if db::console_seat::forget(&mut conn, &self.machine).await? > 0 {
                news.push(trouble(
                    "what you typed did not arrive: no rack has this console open; somebody else may have it, or the BMC does not answer",
                ));
            }
        }
        Ok(news)
    }

    async fn may_type(&self, conn: &mut sqlx::PgConnection) -> Result<()> {
        let pool =
            db::machine_query::pool(conn, &self.machine).await.or_not_found("machine", &self.machine)?;
        self.actor.require_in(Role::Operator, &pool)
    }

    /// Does what the reader asks for; a refusal is told, and ends nothing.
    pub async fn take_in(&mut self, message: FromTerminal) -> Result<Vec<ToTerminal>> {
        let done = match message {
            FromTerminal::Take { if_free } => self.take_seat(if_free).await,
            FromTerminal::Leave => self.leave().await,
            FromTerminal::Type { text } => self.type_in(text.expose()).await,
        };
        match done {
            Ok(()) => self.news().await,
            Err(error @ (Error::Forbidden(_) | Error::Conflict { .. } | Error::Invalid { .. })) => {
                Ok(vec![trouble(&error.to_string())])
            }
            Err(error) => Err(error),
        }
    }

    async fn take_seat(&mut self, if_free: bool) -> Result<()> {
        let mut tx = self.app.begin().await?;
        self.may_type(&mut tx).await?;
        let before = db::console_seat::find(&mut tx, &self.machine).await?;
        if before.as_ref().is_some_and(|seat| if_free || Some(seat.seat) == self.seat) {
            return Ok(());
        }
        db::console_seat::want(&mut tx, &self.machine).await?;
        let seat =
            db::console_seat::take(&mut tx, &self.machine, self.actor.user_id, &self.actor.name).await?;
        let over = before.map(|seat| format!(", in place of {}", seat.name)).unwrap_or_default();
        let message = format!("{} types into the console{over}", self.actor.name);
        let change =
            Change { kind: "console.taken", machine: Some(&self.machine), message, ..Change::default() };
        audit(&mut tx, &self.actor, change).await?;
        tx.commit().await?;
        (self.seat, self.told) = (Some(seat), None);
        Ok(())
    }

    async fn leave(&mut self) -> Result<()> {
        if let Some(seat) = self.seat.take() {
            let mut conn = self.app.pool().acquire().await.map_err(db::DbError::from)?;
            db::console_seat::leave(&mut conn, &self.machine, seat).await?;
        }
        Ok(())
    }

    async fn type_in(&self, text: &str) -> Result<()> {
        if text.len() > CONSOLE_INPUT_BYTES {
            return Err(Error::invalid(
                "text",
                format!("type at most {CONSOLE_INPUT_BYTES} bytes at a time"),
            ));
        }
        let not_yours = || Error::conflict("it is not your turn to type; take over first");
        let seat = self.seat.ok_or_else(not_yours)?;
        let mut conn = self.app.pool().acquire().await.map_err(db::DbError::from)?;
        if db::console_seat::waiting(&mut conn, &self.machine).await? >= ON_THE_WAY {
            return Err(Error::conflict(
                "the console does not take what you type so fast; this was left out",
            ));
        }
        let sealed = self.app.keys().seal(text.as_bytes());
        if db::console_seat::put(&mut conn, &self.machine, seat, &sealed).await? {
            Ok(())
        } else {
            Err(not_yours())
        }
    }

    /// Gives the seat back.
    pub async fn close(mut self) {
        if let Err(error) = self.leave().await {
            tracing::debug!(%error, "a console's seat is not given back; it ends by itself");
        }
    }
}

fn trouble(message: &str) -> ToTerminal {
    ToTerminal::Trouble { message: message.to_owned() }
}

/// A chunk without what was shown before.
fn output(chunk: Chunk, after: i64) -> ToTerminal {
    let known = usize::try_from(after - chunk.position).unwrap_or(0).min(chunk.bytes.len());
    let position = chunk.position + i64::try_from(chunk.bytes.len()).unwrap_or(0);
    let recording = chunk.began_at.map(|at| Recording { began: at.into(), rack: chunk.rack });
    let text = String::from_utf8_lossy(&chunk.bytes[known..]).into_owned();
    let piece = ConsolePiece { position, at: chunk.at.into(), recording, lost: chunk.lost, text };
    let notes = if known == 0 { piece.notes() } else { Vec::new() };
    ToTerminal::Output { position, notes, text: piece.text }
}
