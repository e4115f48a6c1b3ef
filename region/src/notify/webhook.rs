//! Webhooks: a POST of JSON, signed by HMAC-SHA256 over time and body. Redirects are not followed: what is sent goes where an
//! administrator said, and nowhere else.

use super::{PATIENCE, SendError};
use crate::db::notification::Claimed;
use hmac::{Hmac, Mac};
use rackwright_common::Secret;
use serde_json::json;
use sha2::Sha256;

/// Whether something can be posted there.
pub fn is_url(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Posts a notification.
pub(super) async fn post(
    claimed: &Claimed,
    (url, ca): (&str, Option<&str>),
    secret: Option<&Secret<Vec<u8>>>,
) -> Result<(), SendError> {
    let delivery = claimed.id.to_string();
    let body =
        json!({ "delivery": delivery, "rule": claimed.rule.0.name, "event": claimed.event }).to_string();
    let at = time::OffsetDateTime::now_utc().unix_timestamp();
    let mut http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE);
    if let Some(pem) = ca {
        http = http.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem.as_bytes())?);
    }
    let mut request = http
        .build()?
        .post(url)
        .header("content-type", "application/json")
        .header("user-agent", concat!("rackwright/", env!("CARGO_PKG_VERSION")))
        .header("rackwright-delivery", delivery);
    if let Some(secret) = secret {
        request = request.header("rackwright-signature", signature(secret.expose(), at, &body));
    }
    // Whoever knows the address may often post there: it gets neither into the log nor beside the notification.
    let status = request.body(body).send().await.map_err(reqwest::Error::without_url)?.status();
    if status.is_success() { Ok(()) } else { Err(SendError::Status(status.as_u16())) }
}

/// `t=SECONDS,v1=HEX`: HMAC-SHA256 (RFC 2104) of `SECONDS.BODY`, so that neither the body nor the time can be another's.
pub fn signature(key: &[u8], at: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(format!("{at}.{body}").as_bytes());
    format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_hmac_sha256_of_time_and_body() {
        // `printf '1700000000.{}' | openssl dgst -sha256 -hmac key`
        let expected = "9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae";
        assert_eq!(signature(b"key", 1_700_000_000, "{}"), format!("t=1700000000,v1={expected}"));
    }

    #[test]
    fn only_http_goes_to_a_host() {
        assert!(is_url("https://chat.example/hook") && is_url("http://127.0.0.1:8080/"));
        assert!(!is_url("file:///etc/passwd") && !is_url("chat.example/hook") && !is_url("https://"));
    }
}
