//! A machine's serial console: look back, and follow.

use super::{App, Describe, Error, Result, access};
use crate::auth::Actor;
use crate::db;
use crate::db::console::Chunk;
use crate::model::Role;
use crate::model::console::{ConsolePiece, ConsoleTail, Recording};
use futures_util::Stream;
use rackwright_common::MachineId;
use rackwright_common::console::PlainText;
use std::collections::VecDeque;
use std::time::Duration;

/// Bytes of a console's end when nobody says how many.
const USUAL: i64 = 64 * 1024;
/// A follower looks this often. Consoles wake nobody: few are watched, and many write.
const LOOK: Duration = Duration::from_millis(500);
/// Chunks that a follower reads at a time.
const AT_ONCE: i64 = 200;

/// The end of a console, at most `bytes` of what the machine wrote.
pub async fn tail(app: &App, actor: &Actor, machine: &MachineId, bytes: Option<i64>) -> Result<ConsoleTail> {
    actor.require(Role::Viewer)?;
    let bytes = bytes.unwrap_or(USUAL);
    if !(1..=db::console::KEEP).contains(&bytes) {
        return Err(Error::invalid("bytes", format!("`bytes` is 1 to {}", db::console::KEEP)));
    }
    let mut conn = app.read().await?;
    access::see(&mut conn, actor, machine).await?;
    let end = db::console::position(&mut conn, machine).await.or_not_found("machine", machine)?;
    let chunks = db::console::after(&mut conn, machine, end - bytes, i64::MAX).await?;
    let pieces = pieces(chunks, end - bytes, &mut PlainText::default());
    Ok(ConsoleTail { position: pieces.last().map_or(end, |piece| piece.position), pieces })
}

/// What a machine wrote after a position, as far as it is there.
pub async fn since(app: &App, actor: &Actor, machine: &MachineId, after: i64) -> Result<ConsoleTail> {
    actor.require(Role::Viewer)?;
    let mut conn = app.read().await?;
    access::see(&mut conn, actor, machine).await?;
    db::console::position(&mut conn, machine).await.or_not_found("machine", machine)?;
    let chunks = db::console::after(&mut conn, machine, after, AT_ONCE).await?;
    let pieces = pieces(chunks, after, &mut PlainText::default());
    Ok(ConsoleTail { position: pieces.last().map_or(after, |piece| piece.position), pieces })
}

/// Chunks as pieces: what follows without a break becomes one. Nothing before `from`.
fn pieces(chunks: Vec<Chunk>, from: i64, filter: &mut PlainText) -> Vec<ConsolePiece> {
    let mut pieces: Vec<ConsolePiece> = Vec::new();
    let mut bytes = Vec::new();
    for chunk in chunks {
        let known = usize::try_from(from - chunk.position).unwrap_or(0).min(chunk.bytes.len());
        let is_whole = known == 0;
        let recording =
            chunk.began_at.filter(|_| is_whole).map(|at| Recording { began: at.into(), rack: chunk.rack });
        let lost = if is_whole { chunk.lost } else { 0 };
        let position = chunk.position + i64::try_from(chunk.bytes.len()).unwrap_or(0);
        bytes.clear();
        bytes.extend_from_slice(chunk.bytes.get(known..).unwrap_or_default());
        if recording.is_some() {
            // The line of the recording before has lost its end.
            *filter = PlainText::default();
        }
        let text = filter.push(&String::from_utf8_lossy(&bytes));
        match pieces.last_mut().filter(|_| recording.is_none() && lost == 0) {
            Some(last) => {
                last.text.push_str(&text);
                last.position = position;
            }
            None => pieces.push(ConsolePiece { position, at: chunk.at.into(), recording, lost, text }),
        }
    }
    pieces
}

struct Follow {
    app: App,
    machine: MachineId,
    after: i64,
    filter: PlainText,
    ready: VecDeque<ConsolePiece>,
}

/// What the machine writes from `after` on (from now on when absent), without end. A reader whose region died goes on
/// at another one after the last position that it has seen.
pub async fn follow(
    app: &App,
    actor: &Actor,
    machine: &MachineId,
    after: Option<i64>,
) -> Result<impl Stream<Item = ConsolePiece> + Send + use<>> {
    actor.require(Role::Viewer)?;
    let mut conn = app.read().await?;
    access::see(&mut conn, actor, machine).await?;
    let end = db::console::position(&mut conn, machine).await.or_not_found("machine", machine)?;
    drop(conn);
    let start = Follow {
        app: app.clone(),
        machine: machine.clone(),
        after: after.unwrap_or(end),
        filter: PlainText::default(),
        ready: VecDeque::new(),
    };
    Ok(futures_util::stream::unfold(start, |mut follow| async move {
        let piece = follow.next().await;
        Some((piece, follow))
    }))
}

impl Follow {
    async fn next(&mut self) -> ConsolePiece {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return piece;
            }
            match self.look().await {
                Ok(chunks) if !chunks.is_empty() => {
                    let pieces = pieces(chunks, self.after, &mut self.filter);
                    self.after = pieces.last().map_or(self.after, |piece| piece.position);
                    self.ready.extend(pieces);
                }
                Ok(_) => tokio::time::sleep(LOOK).await,
                Err(error) => {
                    tracing::debug!(%error, "a console's stream waits for the database");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn look(&self) -> Result<Vec<Chunk>> {
        let mut conn = self.app.read().await?;
        Ok(db::console::after(&mut conn, &self.machine, self.after, AT_ONCE).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;

    fn chunk(position: i64, text: &str) -> Chunk {
        Chunk {
            position,
            at: OffsetDateTime::UNIX_EPOCH,
            began_at: None,
            rack: "rack-1".into(),
            lost: 0,
            bytes: text.into(),
        }
    }

    #[test]
    fn chunks_without_a_break_between_them_are_one_piece() {
        let began = Chunk { began_at: Some(OffsetDateTime::UNIX_EPOCH), ..chunk(10, "three") };
        let lost = Chunk { lost: 7, ..chunk(15, "four") };
        let chunks = vec![chunk(0, "one\u{1b}["), chunk(5, "1mtwo"), began, lost];
        let shown = pieces(chunks, 0, &mut PlainText::default());
        let texts: Vec<_> = shown.iter().map(|p| (p.position, p.text.as_str(), p.notes())).collect();
        let recorded = vec!["recorded by rack-1 from 1970-01-01T00:00:00Z".to_owned()];
        assert_eq!(
            texts,
            [
                (10, "onetwo", Vec::new()),
                (15, "three", recorded),
                (19, "four", vec!["7 bytes were lost".to_owned()])
            ]
        );
    }

    #[test]
    fn nothing_is_told_twice() {
        let began = Chunk { began_at: Some(OffsetDateTime::UNIX_EPOCH), lost: 3, ..chunk(0, "abcdef") };
        let shown = pieces(vec![began], 4, &mut PlainText::default());
        assert_eq!((shown[0].text.as_str(), shown[0].notes()), ("ef", Vec::new()));
    }
}
