//! Asking whoever has the port for the time, as a client does (SNTP, RFC 5905 §14): another program on this box may serve
//! it already, and then nothing is missing.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::UdpSocket;

const PATIENCE: Duration = Duration::from_secs(1);
/// Seconds from 1900 to 1970.
const ERA: u64 = 2_208_988_800;
/// Version 4, client (§7.3).
const CLIENT: u8 = 4 << 3 | 3;
const SERVER: u8 = 4;

/// An answer that knows the time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// Distance from a reference clock.
    pub stratum: u8,
    /// Seconds by which the asking box's clock is ahead.
    pub offset: f64,
}

/// Whether something at this address of the box has the port.
pub(super) fn is_taken(port: u16) -> io::Result<bool> {
    // chronyd itself would take the port beside another one (SO_REUSEADDR), and each would get some of the questions.
    match std::net::UdpSocket::bind(("0.0.0.0", port)) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(true),
        Err(error) => Err(error),
    }
}

/// What the server there says; nothing when it does not answer or has no time.
pub(super) async fn ask(server: IpAddr, port: u16) -> io::Result<Option<Answer>> {
    let socket = UdpSocket::bind((server, 0)).await?;
    socket.connect((server, port)).await?;
    let sent = now();
    let mut question = [0; 48];
    question[0] = CLIENT;
    // The answer repeats it.
    question[40..].copy_from_slice(&sent.to_be_bytes());
    socket.send(&question).await?;
    let mut buffer = [0; 512];
    match tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await {
        Ok(received) => Ok(read(&buffer[..received?], sent, now())),
        Err(_) => Ok(None),
    }
}

/// Reads an answer to the question of that moment, which arrived then; both in the packet's form: 2^-32 s since 1900.
pub fn read(answer: &[u8], sent: u64, arrived: u64) -> Option<Answer> {
    let time = |at: usize| Some(u64::from_be_bytes(answer.get(at..at + 8)?.try_into().ok()?));
    let (first, stratum) = (*answer.first()?, *answer.get(1)?);
    let (origin, received, transmitted) = (time(24)?, time(32)?, time(40)?);
    let knows = first >> 6 != 3 && (1..16).contains(&stratum);
    if first & 7 != SERVER || origin != sent || !knows || transmitted == 0 {
        return None;
    }
    // Differences wrap, so that the era of the two clocks does not matter (§6).
    #[expect(clippy::cast_possible_wrap, clippy::cast_precision_loss, reason = "a difference, in 2^-32 s")]
    let seconds = |a: u64, b: u64| a.wrapping_sub(b) as i64 as f64 / 4_294_967_296.0;
    Some(Answer { stratum, offset: (seconds(sent, received) + seconds(arrived, transmitted)) / 2.0 })
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    since.as_secs().wrapping_add(ERA) << 32 | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(first: u8, stratum: u8, origin: u64, at: u64) -> Vec<u8> {
        let mut packet = vec![0; 48];
        (packet[0], packet[1]) = (first, stratum);
        for (place, value) in [(24, origin), (32, at), (40, at)] {
            packet[place..place + 8].copy_from_slice(&value.to_be_bytes());
        }
        packet
    }

    #[test]
    fn an_answer_that_knows_the_time_is_read_and_no_other() {
        const SECOND: u64 = 1 << 32;
        let sent = 5 * SECOND;
        let good = read(&answer(0x24, 3, sent, 4 * SECOND), sent, sent).unwrap();
        assert_eq!(good, Answer { stratum: 3, offset: 1.0 });
        let across_the_era = read(&answer(0x24, 3, 0, u64::MAX - SECOND + 1), 0, 0).unwrap();
        assert!((across_the_era.offset - 1.0).abs() < 1e-6);
        for (first, stratum, origin) in
            [(0xe4, 3, sent), (0x24, 0, sent), (0x24, 16, sent), (0x24, 3, 1), (0x23, 3, sent)]
        {
            assert_eq!(
                read(&answer(first, stratum, origin, sent), sent, sent),
                None,
                "{first:x} {stratum} {origin}"
            );
        }
        assert_eq!(read(&[0x24, 3], sent, sent), None);
    }
}
