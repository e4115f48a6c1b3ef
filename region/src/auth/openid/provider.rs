//! Speaks with the provider: what it says of itself, its keys, and the code for a token. What it publishes is kept for
//! ten minutes; keys are read anew at once when a token names one that is not among them. One that does not answer is not asked
//! again for a while: each time somebody would wait for it.

use super::id_token::{self, Identity};
use super::{OpenIdError, Pending};
use crate::model::login_provider::LoginProvider;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use rackwright_common::Secret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The provider has to answer within this.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long is kept what it publishes.
const KEPT: Duration = Duration::from_secs(600);
/// How long one that did not answer is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(10);
/// The largest answer that is read, bytes.
const LARGEST: usize = 1 << 20;

/// What the provider says of itself (OpenID Connect Discovery 1.0 section 3).
#[derive(Debug, Clone, Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    /// OpenID Connect RP-Initiated Logout 1.0.
    #[serde(default)]
    end_session_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: String,
}

#[derive(Debug, Clone)]
struct Published {
    by: LoginProvider,
    discovery: Discovery,
    keys: Arc<Vec<Jwk>>,
    at: Instant,
}

/// A provider that did not answer, where, why and when.
#[derive(Debug, Clone)]
struct Silent {
    by: LoginProvider,
    address: String,
    source: Arc<reqwest::Error>,
    at: Instant,
}

#[derive(Debug, Default)]
struct Kept {
    published: Option<Published>,
    silent: Option<Silent>,
}

/// What the provider published lately, or that it did not answer. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Cache(Arc<Mutex<Kept>>);

impl Cache {
    /// What to go by instead of asking it.
    fn find(&self, provider: &LoginProvider) -> Option<Result<Published, OpenIdError>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.published.as_ref().filter(|p| p.by == *provider && p.at.elapsed() < KEPT) {
            return Some(Ok(known.clone()));
        }
        let silent = kept.silent.as_ref().filter(|s| s.by == *provider && s.at.elapsed() < LEFT_ALONE)?;
        Some(Err(OpenIdError::Unreachable { address: silent.address.clone(), source: silent.source.clone() }))
    }

    fn keep(&self, provider: &LoginProvider, outcome: &Result<Published, OpenIdError>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(published) => *kept = Kept { published: Some(published.clone()), silent: None },
            Err(OpenIdError::Unreachable { address, source }) => {
                let (address, source) = (address.clone(), source.clone());
                kept.silent = Some(Silent { by: provider.clone(), address, source, at: Instant::now() });
            }
            Err(_) => {}
        }
    }
}

/// Speaks with a provider.
#[derive(Debug, Clone)]
pub struct Client<'a> {
    provider: &'a LoginProvider,
    secret: Option<Secret<String>>,
    http: reqwest::Client,
    cache: &'a Cache,
}

impl<'a> Client<'a> {
    /// With the client's secret, where it has one.
    pub fn new(
        provider: &'a LoginProvider,
        secret: Option<Secret<String>>,
        cache: &'a Cache,
    ) -> Result<Self, OpenIdError> {
        // One of the tests' processes may not have chosen one; a second choice changes nothing.
        drop(rustls::crypto::ring::default_provider().install_default());
        let redirect = reqwest::redirect::Policy::none();
        let mut http = reqwest::Client::builder().timeout(PATIENCE).redirect(redirect);
        if let Some(pem) = &provider.ca {
            let found = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(OpenIdError::Setup)?;
            http = http.tls_certs_merge(found);
        }
        Ok(Self { provider, secret, http: http.build().map_err(OpenIdError::Setup)?, cache })
    }

    /// The address to send the browser to.
    pub async fn begin(&self, pending: &Pending) -> Result<String, OpenIdError> {
        let found = self.published().await?.discovery;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&pending.verifier));
        let mut scope = "openid".to_owned();
        for more in self.provider.scopes.iter().filter(|scope| *scope != "openid") {
            scope = format!("{scope} {more}");
        }
        address(
            &found.authorization_endpoint,
            &[
                ("response_type", "code"),
                ("client_id", &self.provider.client_id),
                ("redirect_uri", &redirect_uri(self.provider)),
                ("scope", &scope),
                ("state", &pending.state),
                ("nonce", &pending.nonce),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
            ],
        )
    }

    /// Exchanges the code for who it is.
    pub async fn finish(&self, pending: &Pending, code: &str, now: i64) -> Result<Identity, OpenIdError> {
        let mut published = self.published().await?;
        let token = self.exchange(&published.discovery, pending, code).await?;
        if id_token::key(&token, &published.keys)?.is_none() {
            // The provider has changed its keys. It sent this token itself, so nobody else can have us ask often.
            published = self.read_anew().await?;
        }
        let whom = (self.provider.client_id.as_str(), published.discovery.issuer.as_str());
        let claims = id_token::check(&token, &published.keys, whom, now)?;
        id_token::identity(self.provider, pending, &claims)
    }

    /// Where somebody ends their session at the provider, if that is possible there.
    pub async fn end_session(&self) -> Result<Option<String>, OpenIdError> {
        let Some(endpoint) = self.published().await?.discovery.end_session_endpoint else { return Ok(None) };
        let back = format!("{}/login", self.provider.base_url.trim_end_matches('/'));
        let parameters =
            [("client_id", self.provider.client_id.as_str()), ("post_logout_redirect_uri", &back)];
        address(&endpoint, &parameters).map(Some)
    }

    async fn exchange(
        &self,
        known: &Discovery,
        pending: &Pending,
        code: &str,
    ) -> Result<String, OpenIdError> {
        let redirect = redirect_uri(self.provider);
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &redirect),
            ("code_verifier", &pending.verifier),
        ];
        let methods = &known.token_endpoint_auth_methods_supported;
        let posts = !methods.is_empty() && !methods.iter().any(|method| method == "client_secret_basic");
        let mut request = self.http.post(&known.token_endpoint);
        match &self.secret {
            // RFC 6749 section 2.3.1: both are encoded as in a form first.
            Some(secret) if !posts => {
                request = request.basic_auth(encode(&self.provider.client_id), Some(encode(secret.expose())));
            }
            Some(secret) => form.extend([
                ("client_id", self.provider.client_id.as_str()),
                ("client_secret", secret.expose()),
            ]),
            None => form.push(("client_id", &self.provider.client_id)),
        }
        let answer: TokenAnswer = read(&known.token_endpoint, request.form(&form)).await?;
        Ok(answer.id_token)
    }

    async fn published(&self) -> Result<Published, OpenIdError> {
        match self.cache.find(self.provider) {
            Some(kept) => kept,
            None => self.read_anew().await,
        }
    }

    async fn read_anew(&self) -> Result<Published, OpenIdError> {
        let outcome = self.ask().await;
        self.cache.keep(self.provider, &outcome);
        outcome
    }

    async fn ask(&self) -> Result<Published, OpenIdError> {
        let issuer = &self.provider.issuer;
        let at = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let discovery: Discovery = read(&at, self.http.get(&at)).await?;
        // Discovery section 4.3: else one provider could speak for another.
        if discovery.issuer.trim_end_matches('/') != issuer.trim_end_matches('/') {
            return Err(OpenIdError::Answer(format!(
                "it calls itself {}, and `issuer` says {issuer}",
                discovery.issuer
            )));
        }
        let set: Value = read(&discovery.jwks_uri, self.http.get(&discovery.jwks_uri)).await?;
        let keys = Arc::new(id_token::keys(&set));
        Ok(Published { by: self.provider.clone(), discovery, keys, at: Instant::now() })
    }
}

/// Where the provider sends people back to.
fn redirect_uri(provider: &LoginProvider) -> String {
    format!("{}/login/return", provider.base_url.trim_end_matches('/'))
}

fn address(endpoint: &str, parameters: &[(&str, &str)]) -> Result<String, OpenIdError> {
    let wrong = |_| OpenIdError::Answer(format!("`{endpoint}` is no address"));
    Ok(reqwest::Url::parse_with_params(endpoint, parameters).map_err(wrong)?.into())
}

/// `application/x-www-form-urlencoded`, one value.
fn encode(text: &str) -> String {
    let byte = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

async fn read<T: DeserializeOwned>(at: &str, request: reqwest::RequestBuilder) -> Result<T, OpenIdError> {
    let unreachable = |source| OpenIdError::Unreachable { address: at.to_owned(), source: Arc::new(source) };
    let mut answer = request.send().await.map_err(unreachable)?;
    let status = answer.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LARGEST {
            return Err(OpenIdError::Answer(format!("{at} says more than 1 MiB")));
        }
    }
    let value: Option<Value> = serde_json::from_slice(&bytes).ok();
    if !status.is_success() {
        // RFC 6749 section 5.2.
        let error = value.as_ref().and_then(|v| v["error"].as_str());
        return Err(match error {
            Some(error) => {
                OpenIdError::Refused(error.chars().filter(|c| c.is_ascii_graphic()).take(60).collect())
            }
            None => OpenIdError::Answer(format!("{at} answers with the status {}", status.as_u16())),
        });
    }
    let found = value.and_then(|value| serde_json::from_value(value).ok());
    found.ok_or_else(|| OpenIdError::Answer(format!("{at} says something else than OpenID Connect expects")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::net::TcpListener;

    /// A port that hangs up; how many have come.
    async fn deaf() -> (u16, Arc<AtomicUsize>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let (port, came) = (listener.local_addr().expect("an address").port(), Arc::<AtomicUsize>::default());
        let count = came.clone();
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        (port, came)
    }

    #[tokio::test]
    async fn one_that_does_not_answer_is_left_alone_until_the_setting_changes() {
        let (port, came) = deaf().await;
        let mut provider: LoginProvider = serde_json::from_value(serde_json::json!({
            "issuer": format!("http://127.0.0.1:{port}"), "client_id": "site", "label": "It", "base_url": "http://127.0.0.1",
        }))
        .expect("a setting");
        let cache = Cache::default();
        let mut first = 0;
        for asked in 0..4 {
            if asked == 2 {
                provider.client_id = "another".to_owned();
            }
            let answer = Client::new(&provider, None, &cache).expect("a client").end_session().await;
            assert!(matches!(answer, Err(OpenIdError::Unreachable { .. })), "{answer:?}");
            let came = came.load(Ordering::SeqCst);
            match asked {
                0 => first = came,
                1 => assert_eq!(came, first, "it was asked again at once"),
                2 => assert!(came > first, "another setting may work"),
                _ => assert_eq!(came, 2 * first),
            }
        }
    }
}
