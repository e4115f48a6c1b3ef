//! A primary and a streaming standby of PostgreSQL, each behind a relay that can break its network.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What a network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Up,
    /// Whatever is sent vanishes, as when a box has lost its power.
    Hole,
    /// Connections break and are refused, as when a process was killed.
    Refuses,
}

/// Two servers; they end with this process, however it ends.
pub struct Servers {
    pub primary: Server,
    pub standby: Server,
    shell: Child,
}

/// One server.
pub struct Server {
    /// Where it really is.
    pub direct: String,
    /// Its address behind the relay.
    pub address: String,
    data: PathBuf,
    network: watch::Sender<Network>,
}

/// Initialises, starts, clones, starts the clone, then waits for its input to end. `$1` folder, `$2` programs, `$3`, `$4` ports.
const SCRIPT: &str = r#"
    set -e
    run= ssl=
    if [ -f "$1/key.pem" ]; then
        ssl="-c ssl=on -c ssl_cert_file=$1/certificate.pem -c ssl_key_file=$1/key.pem"
    fi
    if [ "$(id -u)" = 0 ]; then
        chown -R nobody "$1"
        run="setpriv --reuid=nobody --regid=nogroup --clear-groups"
    fi
    start() {
        $run "$2/postgres" -D "$1/$3" -p "$4" -c listen_addresses=127.0.0.1 -c unix_socket_directories="$1" \
            -c fsync=off -c cluster_name="$3" $ssl >>"$1/log" 2>&1 &
    }
    ready() { until "$1/pg_isready" -q -h 127.0.0.1 -p "$2"; do sleep 0.05; done; }
    cd "$1"
    $run "$2/initdb" -D "$1/primary" -U rackwright -A trust --no-sync >"$1/log" 2>&1
    start "$1" "$2" primary "$3"
    first=$!
    ready "$2" "$3"
    $run "$2/pg_basebackup" -h 127.0.0.1 -p "$3" -U rackwright -D "$1/standby" -R -X stream -c fast --no-sync >>"$1/log" 2>&1
    start "$1" "$2" standby "$4"
    second=$!
    ready "$2" "$4"
    $run "$2/psql" -q -h 127.0.0.1 -p "$3" -U rackwright -d postgres -c "ALTER SYSTEM SET synchronous_standby_names = '*'" \
        -c "ALTER SYSTEM SET synchronous_commit = remote_apply" -c "SELECT pg_reload_conf()" >>"$1/log" 2>&1
    touch "$1/ready"
    cat >/dev/null
    kill -QUIT $first $second
    wait $first $second || true
    rm -rf "$1"
"#;

impl Servers {
    /// Makes both; what is acknowledged is on both.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// The same with certificate and key, PEM.
    #[allow(clippy::zombie_processes, reason = "the shell outlives the test: it waits for its end")]
    pub async fn start_with(tls: Option<(&str, &str)>) -> Self {
        let versions = std::fs::read_dir("/usr/lib/postgresql").expect("install the package postgresql");
        let mut bins: Vec<PathBuf> = versions.map(|v| v.unwrap().path().join("bin")).collect();
        bins.sort();
        let bin = bins.pop().expect("install the package postgresql");
        let folder = tempfile::Builder::new().prefix("rwpg").tempdir().unwrap().keep();
        if let Some((certificate, key)) = tls {
            std::fs::write(folder.join("certificate.pem"), certificate).unwrap();
            let mut private = std::fs::File::options();
            private.write(true).create_new(true).mode(0o600);
            let mut file = private.open(folder.join("key.pem")).unwrap();
            std::io::Write::write_all(&mut file, key.as_bytes()).unwrap();
        }
        let ports = [free_port(), free_port()];
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .args([&folder, &bin])
            .args(ports.map(|port| port.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while !folder.join("ready").exists() {
            let ended = shell.try_wait().unwrap();
            if Instant::now() > until || ended.is_some() {
                let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
                panic!("PostgreSQL did not start ({ended:?}): {log}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let primary = Server::behind_relay(ports[0], folder.join("primary")).await;
        let standby = Server::behind_relay(ports[1], folder.join("standby")).await;
        Self { primary, standby, shell }
    }

    /// A URL that names both.
    pub fn url(&self) -> String {
        format!("postgres://rackwright@{},{}/postgres", self.primary.address, self.standby.address)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
    }
}

impl Server {
    async fn behind_relay(port: u16, data: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (network, state) = watch::channel(Network::Up);
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(relay(listener, port, state));
        Self { direct: format!("postgres://rackwright@127.0.0.1:{port}/postgres"), address, data, network }
    }

    /// Changes what its network does.
    pub fn set_network(&self, network: Network) {
        self.network.send_replace(network);
    }

    /// Makes a standby a primary.
    pub fn promote(&self) {
        std::fs::write(self.data.join("promote"), "").unwrap();
        let pid = first_line(&self.data.join("postmaster.pid"));
        // SIGUSR1 tells the server to look for the file.
        let told = Command::new("kill").args(["-USR1", &pid]).status().unwrap();
        assert!(told.success());
    }
}

fn first_line(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap().lines().next().unwrap().to_owned()
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn relay(listener: TcpListener, port: u16, state: watch::Receiver<Network>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(carry(client, port, state.clone()));
    }
}

async fn carry(mut client: TcpStream, port: u16, mut state: watch::Receiver<Network>) {
    if *state.borrow_and_update() == Network::Hole {
        drop(state.wait_for(|now| *now != Network::Hole).await);
    }
    if *state.borrow_and_update() == Network::Refuses {
        return;
    }
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    loop {
        let changed = tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => return,
            changed = state.changed() => changed,
        };
        let now = *state.borrow_and_update();
        if changed.is_err() || now == Network::Refuses {
            return;
        }
        if now == Network::Hole {
            drop(state.wait_for(|now| *now != Network::Hole).await);
        }
    }
}
