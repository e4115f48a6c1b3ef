//! A region's API over a real database, without sockets: one template of the schema, a database per test.
//!
//! The server is the one of `DATABASE_URL` where that is set, else a private one in a temporary folder that ends with
//! this process, however that ends: it waits on a pipe that only this process holds.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

pub mod machine;
mod postgres;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use rackwright_common::MachineId;
use rackwright_region::app::App;
use rackwright_region::auth::{password, token};
use rackwright_region::images::Store;
use rackwright_region::model::Role;
use rackwright_region::secrets::MasterKey;
use rackwright_region::{api, db, scripts};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::HashMap;
use tower::ServiceExt;

/// The password of every user with a password.
pub const PASSWORD: &str = "correct horse battery";

/// One site: database, store, router, and a token for a user of each role.
pub struct Site {
    /// The API.
    pub router: Router,
    /// The use cases.
    pub app: App,
    /// The database.
    pub pool: PgPool,
    tokens: HashMap<Role, String>,
    _database: postgres::Database,
    _folder: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.text))
    }

    /// The body, after a look at the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// The `detail` of a problem with this status and code.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        problem["detail"].as_str().unwrap().to_owned()
    }
}

impl Site {
    /// A new site with the users viewer, user, operator and administrator.
    pub async fn new() -> Self {
        let database = postgres::Database::create().await;
        let pool = db::connect(&database.url, 5).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        scripts::install_builtin(&pool).await.unwrap();
        let mut conn = pool.acquire().await.unwrap();
        let mut tokens = HashMap::new();
        for role in Role::ALL {
            let user = db::user::insert(&mut conn, role.as_str(), role, None).await.unwrap();
            let secret = token::new_token();
            let hash = token::hash(secret.expose());
            db::token::insert(&mut conn, user, "test", &hash, None, None).await.unwrap();
            tokens.insert(role, secret.expose().clone());
        }
        drop(conn);
        let app = App::new(pool.clone(), MasterKey::from_bytes([7; 32]), store);
        Self { router: api::router(app.clone()), app, pool, tokens, _database: database, _folder: folder }
    }

    /// The token of the user with this role.
    pub fn token(&self, role: Role) -> &str {
        &self.tokens[&role]
    }

    /// Where the database is.
    pub fn database_url(&self) -> &str {
        &self._database.url
    }

    /// Gives a user the password [`PASSWORD`].
    pub async fn set_password(&self, role: Role) {
        let mut conn = self.pool.acquire().await.unwrap();
        let mut row = db::user::find(&mut conn, role.as_str()).await.unwrap().unwrap();
        row.password_hash = password::hash(PASSWORD.to_owned().into()).await;
        db::user::update(&mut conn, &row).await.unwrap();
    }

    /// Sends a request as it is.
    pub async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 64 << 20).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Reply { status: parts.status, headers: parts.headers, text }
    }

    /// Sends a request with a role's token, further headers and a JSON body.
    pub async fn request(
        &self,
        role: Option<Role>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Reply {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(format!("/api/v1{path}"));
        if let Some(role) = role {
            request = request.header("authorization", format!("Bearer {}", self.token(role)));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).unwrap()).await
    }

    /// `GET` as a viewer.
    pub async fn get(&self, path: &str) -> Reply {
        self.request(Some(Role::Viewer), "GET", path, &[], None).await
    }

    /// `POST` as an administrator.
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.request(Some(Role::Administrator), "POST", path, &[], Some(&body)).await
    }

    /// Enters a machine.
    pub async fn machine(&self, hostname: &str, mac_end: u8) -> MachineId {
        let body = json!({ "hostname": hostname, "macs": [format!("52:54:00:00:00:{mac_end:02x}")] });
        let made = self.post("/machines", body).await.expect(201);
        made["id"].as_str().unwrap().parse().unwrap()
    }

    /// Puts a machine where a test needs it.
    pub async fn set_status(&self, machine: &MachineId, status: &str) {
        sqlx::query("UPDATE machine SET status = $2, commissioned_at = now() WHERE id = $1")
            .bind(machine.as_str())
            .bind(status)
            .execute(&self.pool)
            .await
            .unwrap();
    }
}
