//! Names that are not the site's: asked of the site's upstream servers, or of those that this box uses itself.

use super::cache::{Cache, Question};
use super::upstream;
use rackwright_dns::{Name, Query, UsableReply, rcode};
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

const RESOLV_CONF: &str = "/etc/resolv.conf";
const PORT: u16 = 53;

#[derive(Debug, Default)]
struct State {
    cache: Cache,
    /// As set for the site.
    upstreams: Vec<IpAddr>,
    /// Addresses at which this rack answers itself.
    own: BTreeSet<IpAddr>,
    /// The upstream that answered last.
    first: usize,
    /// Questions that were asked and are not answered yet.
    asked: HashMap<Question, watch::Receiver<()>>,
}

/// Asks others, and remembers.
#[derive(Debug, Default)]
pub(super) struct Forwarder(Mutex<State>);

impl Forwarder {
    pub(super) fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses these servers; those of this box when there are none.
    pub(super) fn set_upstreams(&self, upstreams: &[IpAddr]) {
        self.state().upstreams = upstreams.to_vec();
    }

    /// An address is this rack's own, or no longer: it is not asked, whoever names it.
    pub(super) fn own(&self, address: IpAddr, is: bool) {
        let own = &mut self.state().own;
        if is {
            own.insert(address)
        } else {
            own.remove(&address)
        };
    }

    /// An answer that is there, and its age in seconds.
    pub(super) fn kept(&self, name: &Name, query: &Query<'_>) -> Option<(Arc<UsableReply>, u32)> {
        self.state().cache.find(&question(name, query), Instant::now())
    }

    /// Asks; afterwards the answer is there, or nobody had one. A question is asked once at a time: many ask for one name,
    /// and servers that ask each other in a circle would never come to an end.
    pub(super) async fn fetch(&self, name: &Name, query: &Query<'_>) -> bool {
        let question = question(name, query);
        let (done, waits) = watch::channel(());
        let before = {
            let asked = &mut self.state().asked;
            let before = asked.get(&question).filter(|waits| waits.has_changed().is_ok()).cloned();
            if before.is_none() {
                asked.insert(question.clone(), waits);
            }
            before
        };
        if let Some(mut before) = before {
            // Ends when the one who asked is done, and drops its end.
            while before.changed().await.is_ok() {}
            return self.state().cache.find(&question, Instant::now()).is_some();
        }
        let answered = self.ask(&question).await;
        self.state().asked.remove(&question);
        drop(done);
        answered
    }

    async fn ask(&self, question: &Question) -> bool {
        let servers = self.servers();
        for (number, server) in servers.iter().enumerate() {
            match upstream::ask(*server, question).await {
                Ok(reply) if matches!(reply.code, rcode::NO_ERROR | rcode::NO_SUCH_NAME) => {
                    let mut state = self.state();
                    state.first += number;
                    state.cache.keep(question.clone(), reply, Instant::now());
                    return true;
                }
                Ok(reply) => tracing::debug!(%server, code = reply.code, "an upstream name server refuses"),
                Err(error) => tracing::debug!(%server, %error, "an upstream name server does not answer"),
            }
        }
        false
    }

    /// Whom to ask, beginning with the one that answered last.
    fn servers(&self) -> Vec<SocketAddr> {
        let (mut servers, own, first) = {
            let state = self.state();
            (state.upstreams.clone(), state.own.clone(), state.first)
        };
        if servers.is_empty() {
            let text = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
            servers = nameservers(&text);
        }
        servers.retain(|server| !own.contains(server));
        if !servers.is_empty() {
            let count = servers.len();
            servers.rotate_left(first % count);
        }
        servers.into_iter().map(|server| SocketAddr::from((server, PORT))).collect()
    }
}

fn question(name: &Name, query: &Query<'_>) -> Question {
    Question {
        name: name.clone(),
        kind: query.kind,
        dnssec: query.edns.is_some_and(|edns| edns.dnssec),
        unchecked: query.flags & rackwright_dns::flag::CD != 0,
    }
}

/// The `nameserver` lines of resolv.conf(5).
fn nameservers(text: &str) -> Vec<IpAddr> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    lines.filter_map(|rest| rest.split_whitespace().next()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boxs_own_servers_are_read_from_its_configuration() {
        let text =
            "# comment\nsearch lab\nnameserver 192.0.2.1\n nameserver fd00::1 # second\nnameserver x\n";
        assert_eq!(nameservers(text), ["192.0.2.1".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
    }

    #[test]
    fn a_rack_does_not_ask_itself() {
        let forwarder = Forwarder::new();
        forwarder.set_upstreams(&["10.77.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap()]);
        forwarder.own("10.77.0.1".parse().unwrap(), true);
        assert_eq!(forwarder.servers(), ["192.0.2.1:53".parse().unwrap()]);
    }
}
