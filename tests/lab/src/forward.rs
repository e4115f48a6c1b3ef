//! A port of this host's loopback that leads into a namespace, so that a browser reaches a page in the lab.
//!
//! What holds: it listens on 127.0.0.1 only. Each connection gets a thread that enters the namespace, connects
//! and carries bytes; the rest of the process stays where it is.

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::copy;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Listens on 127.0.0.1:`port` (0: a free one) and carries every connection to `target` as seen from inside
/// `namespace`. Yields the address it listens on; it does so as long as the process lives.
pub fn spawn(port: u16, namespace: &str, target: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .with_context(|| format!("127.0.0.1:{port} cannot be listened on; is something else using it?"))?;
    let address = listener.local_addr()?;
    let namespace = namespace.to_owned();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let namespace = namespace.clone();
            // A connection that fails is closed, which is all that its client can be told.
            thread::spawn(move || drop(carry(client, &namespace, target)));
        }
    });
    Ok(address)
}

/// Connects to `target` from inside `namespace`. The calling thread returns to its own namespace.
pub fn connect(namespace: &str, target: SocketAddr) -> Result<TcpStream> {
    let namespace = namespace.to_owned();
    let connecting = thread::spawn(move || {
        enter(&namespace)?;
        Ok(TcpStream::connect_timeout(&target, Duration::from_secs(5))?)
    });
    connecting.join().map_err(|_| anyhow::anyhow!("the connecting thread panicked"))?
}

/// Moves the calling thread into the namespace, for good.
pub fn enter(namespace: &str) -> Result<()> {
    let file = File::open(crate::ns::path(namespace)).with_context(|| format!("no namespace {namespace}"))?;
    setns(file, CloneFlags::CLONE_NEWNET).with_context(|| format!("entering {namespace}"))
}

fn carry(client: TcpStream, namespace: &str, target: SocketAddr) -> Result<()> {
    let server = connect(namespace, target)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let upwards = thread::spawn(move || {
        let outcome = copy(&mut from_client, &mut to_server);
        // The other side may have closed already.
        drop(to_server.shutdown(Shutdown::Write));
        outcome
    });
    let (mut from_server, mut to_client) = (server, client);
    let outcome = copy(&mut from_server, &mut to_client);
    drop(to_client.shutdown(Shutdown::Both));
    drop(upwards.join());
    outcome.map(drop).context("carrying bytes")
}
