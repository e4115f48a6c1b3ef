//! Which consoles racks are to record, and what they have recorded.

use super::tasks;
use crate::db::DbError;
use crate::db::console::{self, Head, NewChunk, Wished};
use crate::db::console_seat::{self, Input};
use crate::secrets::MasterKey;
use rackwright_common::MachineId;
use rackwright_common::bmc::BmcEndpoint;
use rackwright_common::link::{ConsoleChunk, ToRack};
use sqlx::{Connection, PgConnection};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A rack forgets wishes that are not repeated for ten minutes.
const REPEAT: Duration = Duration::from_secs(60);
/// Bytes of the end of a console among which the memory that a BMC replays is looked for.
const MEMORY: i64 = 64 * 1024;
/// What is shorter may agree by chance.
const LEAST_REPLAY: usize = 16;

/// What a rack was told last, with secrets sealed.
#[derive(Debug, Default)]
pub struct Wishes {
    told: Option<(Instant, Vec<Wished>)>,
}

impl Wishes {
    /// The consoles to record, when the rack has to be told (again).
    pub async fn news(
        &mut self,
        conn: &mut PgConnection,
        keys: &MasterKey,
    ) -> Result<Option<Vec<BmcEndpoint>>, DbError> {
        let wished = console::wished(conn).await?;
        if self.told.as_ref().is_some_and(|(at, told)| *told == wished && at.elapsed() < REPEAT) {
            return Ok(None);
        }
        // A BMC whose secret cannot be opened is reported by the first command to it.
        let open = |wished: &Wished| tasks::open(keys, &wished.machine, wished.bmc.clone()).ok();
        let consoles = wished.iter().filter_map(open).collect();
        self.told = Some((Instant::now(), wished));
        Ok(Some(consoles))
    }

    /// Of those that were told last, the ones at which somebody looks.
    pub fn live(&self) -> Vec<MachineId> {
        let told = self.told.iter().flat_map(|(_, told)| told);
        told.filter(|wished| wished.live).map(|wished| wished.machine.clone()).collect()
    }
}

/// What a rack was told of what people typed.
#[derive(Debug, Default)]
pub struct Typed {
    /// Those of the inputs that were fresh the last time.
    told: BTreeSet<i64>,
}

impl Typed {
    /// Of the inputs that no rack has taken yet, those that this one was not told.
    pub fn news(&mut self, keys: &MasterKey, fresh: Vec<Input>) -> Vec<ToRack> {
        let before = std::mem::replace(&mut self.told, fresh.iter().map(|input| input.id).collect());
        let news = fresh.into_iter().filter(|input| !before.contains(&input.id));
        news.filter_map(|input| {
            // Under another master key nobody could have typed it here.
            let text = String::from_utf8(keys.open(&input.sealed).ok()?.expose().clone()).ok()?;
            let machine = input.machine.parse().ok()?;
            Some(ToRack::ConsoleInput { machine, seq: input.id, text: text.into() })
        })
        .collect()
    }
}

/// Stores what a rack has recorded; what is stored already changes nothing.
pub async fn store(conn: &mut PgConnection, rack: &str, chunks: &[ConsoleChunk]) -> Result<(), DbError> {
    for of_machine in chunks.chunk_by(|a, b| a.machine == b.machine) {
        let mut tx = conn.begin().await?;
        for chunk in of_machine {
            store_one(&mut tx, rack, chunk).await?;
        }
        if let Some(chunk) = of_machine.first() {
            console_seat::has_written(&mut tx, &chunk.machine).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

async fn store_one(conn: &mut PgConnection, rack: &str, chunk: &ConsoleChunk) -> Result<(), DbError> {
    let Some(mut head) = console::lock(conn, &chunk.machine).await? else { return Ok(()) };
    if head.session != Some(chunk.session) {
        head = Head { session: Some(chunk.session), session_bytes: 0, session_told: false, ..head };
    }
    let (lost, mut fresh) = continued(&head, chunk);
    if head.session_bytes == 0 && lost == 0 && !fresh.is_empty() {
        let before = console::after(conn, &chunk.machine, head.total - MEMORY, i64::MAX).await?;
        let before: Vec<u8> = before.into_iter().flat_map(|chunk| chunk.bytes).collect();
        fresh = after_replay(&before, fresh);
    }
    if !chunk.text.is_empty() {
        let end = chunk.offset.saturating_add(chunk.text.len() as u64);
        head.session_bytes = i64::try_from(end).unwrap_or(i64::MAX).max(head.session_bytes);
    }
    let new = NewChunk { began_at: (!head.session_told).then_some(chunk.began), rack, lost, bytes: fresh };
    let new = Some(new).filter(|new| !new.bytes.is_empty());
    head.session_told |= new.is_some();
    console::append(conn, &chunk.machine, &head, new.as_ref()).await
}

/// How many bytes of the recording are missing before the chunk, and what of it has not come before.
fn continued<'a>(head: &Head, chunk: &'a ConsoleChunk) -> (i64, &'a [u8]) {
    let offset = i64::try_from(chunk.offset).unwrap_or(i64::MAX);
    let known = usize::try_from(head.session_bytes - offset).unwrap_or(0);
    let fresh = chunk.text.as_bytes().get(known..).unwrap_or_default();
    ((offset - head.session_bytes).max(0), fresh)
}

/// What is new in `opening`, the first that a recording gave. Some BMCs keep the last of what went over the line, and
/// replay it to whoever connects: then it begins with how `before` ends. The longest such beginning is left out.
fn after_replay<'a>(before: &[u8], opening: &'a [u8]) -> &'a [u8] {
    // Knuth, Morris and Pratt: for each length of a beginning, the longest shorter one that it ends with.
    let mut shorter = vec![0; opening.len() + 1];
    let mut matched = 0;
    for at in 1..opening.len() {
        while matched > 0 && opening[at] != opening[matched] {
            matched = shorter[matched];
        }
        matched += usize::from(opening[at] == opening[matched]);
        shorter[at + 1] = matched;
    }
    matched = 0;
    for &byte in before {
        while matched > 0 && opening.get(matched) != Some(&byte) {
            matched = shorter[matched];
        }
        matched += usize::from(opening.get(matched) == Some(&byte));
    }
    if matched >= LEAST_REPLAY { &opening[matched..] } else { opening }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;
    use uuid::Uuid;

    fn chunk(offset: u64, text: &str) -> ConsoleChunk {
        ConsoleChunk {
            machine: MachineId::random(),
            session: Uuid::nil(),
            began: OffsetDateTime::UNIX_EPOCH,
            offset,
            text: text.to_owned(),
        }
    }

    #[test]
    fn pieces_that_come_twice_are_taken_once_and_missing_ones_are_counted() {
        let head = Head { session_bytes: 10, ..Head::default() };
        assert_eq!(continued(&head, &chunk(10, "next")), (0, b"next".as_slice()));
        assert_eq!(continued(&head, &chunk(6, "old")), (0, b"".as_slice()));
        assert_eq!(continued(&head, &chunk(8, "oldnew")), (0, b"dnew".as_slice()));
        assert_eq!(continued(&head, &chunk(15, "later")), (5, b"later".as_slice()));
        assert_eq!(continued(&head, &chunk(u64::MAX, "x")).1, b"x", "whatever a rack says");
    }

    #[test]
    fn what_a_bmc_replays_is_not_new() {
        let line = |n: u32| format!("[{n:>5}] line of the kernel\r\n");
        let lines = |from, to| (from..to).map(line).collect::<String>().into_bytes();
        let stored = lines(0, 100);
        assert_eq!(after_replay(&stored, &lines(50, 103)), lines(100, 103), "the end again, and more");
        assert_eq!(after_replay(&stored, &lines(50, 100)), b"", "nothing new");
        assert_eq!(after_replay(&stored, &lines(100, 103)), lines(100, 103), "no replay");
        assert_eq!(after_replay(&stored, &lines(0, 101)), lines(100, 101), "all of it");
        assert_eq!(after_replay(b"", b"first"), b"first");
        assert_eq!(after_replay(b"login: ", b"login: "), b"login: ", "too short to tell");
        let same = "login: \r\n".repeat(50).into_bytes();
        assert_eq!(after_replay(&same, &same), b"");
    }
}
