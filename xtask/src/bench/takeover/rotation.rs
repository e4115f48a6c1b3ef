//! When HAProxy takes a region out of rotation, and when it takes it back.
//!
//! What holds: the moments are HAProxy's own, read from the socket of the one that has the people's address; a region is
//! back when both of its shares, of reading and of changes, are up, and the clock starts when it says itself that it is ready.

use super::report::Figure;
use super::site::Site;
use anyhow::{Context, Result, ensure};
use rackwright_lab::process::SIGKILL;
use rackwright_lab::{forward, poll};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
/// The shares of each region.
const SHARES: [&str; 2] = ["regions", "writing"];

/// A region is killed and started; another node is cut off and plugged in again.
pub fn out_and_back(site: &Site<'_>, run: &str) -> Result<Vec<Figure>> {
    let holder = site.cluster.holder()?;
    let leader = site.cluster.leader()?;
    let turn = run.bytes().map(usize::from).sum::<usize>();
    let others: Vec<_> = (0..site.cluster.nodes()).filter(|at| ![holder, leader].contains(at)).collect();
    let cut = *others.get(turn % others.len()).context("a node that is neither")?;
    let killed = turn % site.cluster.nodes();
    let watch = Watch { site, socket: site.cluster.haproxy_socket(holder), region: killed };
    let region = site.cluster.region(killed)?;
    region.signal(SIGKILL);
    let out = watch.until(Share::Out)?;
    region.wait(Duration::from_secs(10))?;
    site.cluster.start_region(killed)?;
    let back = watch.back()?;
    site.settle()?;

    let watch = Watch { region: cut, ..watch };
    site.cluster.set_link(cut, false)?;
    let gone = watch.until(Share::Out);
    site.cluster.set_link(cut, true)?;
    let (gone, returned) = (gone?, watch.back()?);
    Ok(vec![
        Figure::at_most(2.0, "5 killed: out of rotation, s", out),
        Figure::at_most(2.0, "5 started: back after it is ready, s", back),
        Figure::at_most(2.0, "6 cut off: out of rotation, s", gone),
        Figure::at_most(2.0, "6 plugged in: back after it is ready, s", returned),
    ])
}

/// What a region's shares are waited to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    Up,
    Out,
}

/// One region as one HAProxy sees it.
struct Watch<'a> {
    site: &'a Site<'a>,
    socket: std::path::PathBuf,
    region: usize,
}

impl Watch<'_> {
    /// Seconds from now until all its shares are so.
    fn until(&self, wanted: Share) -> Result<f64> {
        let began = Instant::now();
        let name = self.site.cluster.node_name(self.region);
        loop {
            let told = stat(&self.socket)?;
            let shares = statuses(&told, &name);
            ensure!(shares.len() == SHARES.len(), "HAProxy does not know {name}: {told}");
            let so = match wanted {
                Share::Up => shares.iter().all(|status| status.starts_with("UP")),
                Share::Out => shares.iter().all(|status| status.starts_with("DOWN")),
            };
            if so {
                return Ok(began.elapsed().as_secs_f64());
            }
            ensure!(began.elapsed() < LIMIT, "{name} is not {wanted:?} within {LIMIT:?}: {shares:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Seconds from the moment in which it says that it is ready until it is back.
    fn back(&self) -> Result<f64> {
        let (namespace, address) =
            (self.site.cluster.client_namespace(), self.site.cluster.region_address(self.region)?);
        let asking = thread::spawn(move || {
            forward::enter(&namespace)?;
            let region = crate::http::Client::new(address).with_patience(Duration::from_millis(500));
            poll::until(LIMIT, "the region to be ready", || {
                let answer = region.request("GET", "/readyz", None)?;
                ensure!(answer.status == 200, "{}", answer.status);
                Ok(Some(Instant::now()))
            })
        });
        let until = self.until(Share::Up).map(|_| Instant::now());
        let ready = asking.join().map_err(|_| anyhow::anyhow!("the asking thread panicked"))??;
        Ok(until?.saturating_duration_since(ready).as_secs_f64())
    }
}

fn stat(socket: &Path) -> Result<String> {
    let mut stream = UnixStream::connect(socket).with_context(|| socket.display().to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"show stat\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// How the shares of a server are.
fn statuses(told: &str, server: &str) -> Vec<String> {
    let head: Vec<_> = told.lines().next().unwrap_or_default().split(',').collect();
    let Some(column) = head.iter().position(|name| *name == "status") else { return Vec::new() };
    let rows = told.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let ours = rows.filter(|row| row.get(1) == Some(&server) && SHARES.contains(&row[0]));
    ours.filter_map(|row| row.get(column).map(|status| (*status).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::statuses;

    #[test]
    fn shares_are_found_by_backend_and_server() {
        let told = "# pxname,svname,qcur,status,weight\npeople,FRONTEND,,OPEN,\nregions,one,0,UP,1\n\
                    regions,two,0,UP 1/2,1\nwriting,one,0,DOWN,1\nwriting,BACKEND,0,UP,1\n";
        assert_eq!(statuses(told, "one"), ["UP", "DOWN"]);
        assert_eq!(statuses(told, "two"), ["UP 1/2"]);
        assert!(statuses("", "one").is_empty());
    }
}
