//! Databases for tests.

use sqlx::{Connection, Executor, PgConnection};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

static SERVER: OnceLock<String> = OnceLock::new();
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// A database of one's own; dropped at the end.
pub struct Database {
    pub url: String,
    name: String,
}

impl Database {
    /// A copy of the template, which has the schema.
    pub async fn create() -> Self {
        let template = TEMPLATE.get_or_init(make_template).await;
        let name = format!("rwtest_{:016x}", rand::random::<u64>());
        let mut admin = PgConnection::connect(&url_of("postgres")).await.unwrap();
        // A template that is being copied cannot be copied again at the same time.
        execute(&mut admin, "SELECT pg_advisory_lock(7421)").await;
        execute(&mut admin, &format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        execute(&mut admin, "SELECT pg_advisory_unlock(7421)").await;
        Self { url: url_of(&name), name }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        // The test's own runtime is about to end.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut admin = PgConnection::connect(&url_of("postgres")).await.unwrap();
                execute(&mut admin, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
            });
        });
        if dropping.join().is_err() {
            eprintln!("a test database is left over");
        }
    }
}

async fn execute(conn: &mut PgConnection, sql: &str) {
    conn.execute(sqlx::AssertSqlSafe(sql.to_owned())).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
}

/// One template per set of migrations.
async fn make_template() -> String {
    let mut hash = std::hash::DefaultHasher::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for file in files {
        std::hash::Hash::hash(&std::fs::read(file).unwrap(), &mut hash);
    }
    let name = format!("rwtemplate_{:016x}", std::hash::Hasher::finish(&hash));
    let mut admin = PgConnection::connect(&url_of("postgres")).await.unwrap();
    execute(&mut admin, "SELECT pg_advisory_lock(7421)").await;
    let found: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname = $1")
        .bind(&name)
        .fetch_one(&mut admin)
        .await
        .unwrap();
    if found == 0 {
        execute(&mut admin, &format!("DROP DATABASE IF EXISTS {name}_new")).await;
        execute(&mut admin, &format!("CREATE DATABASE {name}_new")).await;
        let pool = rackwright_region::db::connect(&url_of(&format!("{name}_new")), 1).await.unwrap();
        pool.close().await;
        execute(&mut admin, &format!("ALTER DATABASE {name}_new RENAME TO {name}")).await;
    }
    execute(&mut admin, "SELECT pg_advisory_unlock(7421)").await;
    name
}

/// The address of a database on the server.
fn url_of(database: &str) -> String {
    let url = SERVER.get_or_init(|| std::env::var("DATABASE_URL").unwrap_or_else(|_| private_server()));
    let (base, query) =
        url.split_once('?').map_or((url.as_str(), String::new()), |(b, q)| (b, format!("?{q}")));
    let (host, _) = base.rsplit_once('/').expect("a database URL names a database");
    format!("{host}/{database}{query}")
}

/// Starts a server on a socket in a temporary folder. A shell watches over it: when our end of its pipe closes, it
/// stops the server and removes the folder.
#[allow(clippy::zombie_processes, reason = "the shell outlives this process: it waits for its end")]
fn private_server() -> String {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("install the package postgresql");
    let mut bins: Vec<PathBuf> = versions.map(|v| v.unwrap().path().join("bin")).collect();
    bins.sort();
    let bin = bins.pop().expect("install the package postgresql");
    let folder = tempfile::Builder::new().prefix("rwpg").tempdir().unwrap().keep();
    let script = r#"
        set -e
        run=
        if [ "$(id -u)" = 0 ]; then
            chown nobody "$1"
            run="setpriv --reuid=nobody --regid=nogroup --clear-groups"
        fi
        $run "$2/initdb" -D "$1/data" -U rackwright -A trust --no-sync >"$1/log" 2>&1
        $run "$2/postgres" -D "$1/data" -c listen_addresses= -c unix_socket_directories="$1" -c fsync=off \
            -c max_connections=200 >>"$1/log" 2>&1 &
        server=$!
        cat >/dev/null
        kill -QUIT $server
        wait $server || true
        rm -rf "$1"
    "#;
    let mut shell = Command::new("sh")
        .args(["-c", script, "sh"])
        .args([&folder, &bin])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // Held until the process ends.
    std::mem::forget(shell.stdin.take());
    let until = Instant::now() + Duration::from_secs(60);
    // A socket that listens is not enough: a server that is starting up turns clients away.
    let ready = || Command::new(bin.join("pg_isready")).arg("-q").arg("-h").arg(&folder).status();
    while !ready().is_ok_and(|status| status.success()) {
        if Instant::now() > until || shell.try_wait().unwrap().is_some() {
            let mut log = String::new();
            if let Ok(mut file) = std::fs::File::open(folder.join("log")) {
                file.read_to_string(&mut log).unwrap();
            }
            panic!("PostgreSQL did not start: {log}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    format!("postgres://rackwright@localhost/postgres?host={}", folder.display())
}
