//! A rack's box loses its power: new clients that it would have answered.

use super::dhcp::{DhcpClient, Manner, mac_of, racks};
use super::report::Figure;
use super::site::Site;
use super::traffic::{NEW, rack_address};
use anyhow::{Context, Result};
use rackwright_lab::poll;
use std::thread;
use std::time::{Duration, Instant};

/// By then the others know that it is dead.
const KNOWN: Duration = Duration::from_secs(6);

/// Each run takes another rack, and clients that nobody has seen.
pub fn dies(site: &Site<'_>, run: &str) -> Result<Vec<Figure>> {
    let racks = racks(site)?;
    let family = run.bytes().fold(16_u8, u8::wrapping_add);
    let at = usize::from(family) % racks.len();
    let dead = site.cluster.rack_name(at);
    let client = |member| DhcpClient::new(site, NEW, mac_of(racks[at], &racks, family, member)?);
    let first = client(1)?;
    // They are that rack's while it lives, or the row would show nothing. A rack that has just started answers for one that
    // it has not heard yet.
    let mut member = 2;
    poll::until(KNOWN, &format!("{dead} to answer its clients itself"), || {
        member += 1;
        let told = client(member)?.exchange(Manner::Stock)?;
        Ok((told.server == rack_address(at)).then_some(()))
    })?;
    first.take_over()?;
    site.cluster.kill_host(&dead, true)?;
    let killed = Instant::now();
    let outcome = timed(&first).with_context(|| format!("{dead} is dead, a new client"));
    thread::sleep(KNOWN.saturating_sub(killed.elapsed()));
    let later = client(2).and_then(|client| timed(&client));
    site.cluster.revive_rack(at)?;
    Ok(vec![
        Figure::at_most(4.0, "asked at once: until it has an address, s", outcome?),
        Figure::at_most(4.0, "asked 6 s later: until it has an address, s", later?),
    ])
}

/// How long a whole exchange takes, seconds.
fn timed(client: &DhcpClient) -> Result<f64> {
    let began = Instant::now();
    client.exchange(Manner::Stock)?;
    Ok(began.elapsed().as_secs_f64())
}
