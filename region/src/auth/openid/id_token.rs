//! The ID token: what has to hold of it, and who it says somebody is (OpenID Connect Core 1.0 section 3.1.3.7). Pure: keys
//! and time are given.

use super::{OpenIdError, Pending};
use crate::model::login_provider::LoginProvider;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

/// How much the clocks of provider and region may differ, seconds.
const SKEW: i64 = 60;
/// Signatures by a key that only the provider has. An algorithm with a shared secret, or none, would let others sign.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Who logged in, by the provider's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Issuer and subject, a blank between them: what somebody is known by.
    pub subject: String,
    /// What they call themselves, as users here are called.
    pub name: String,
    /// Their groups.
    pub groups: Vec<String>,
}

fn refused(why: impl Into<String>) -> OpenIdError {
    OpenIdError::Claim(why.into())
}

/// The keys of a provider's set that can be read: one of a newer kind does not lose the others (RFC 7517 section 5).
pub(super) fn keys(set: &Value) -> Vec<Jwk> {
    let all = set["keys"].as_array().into_iter().flatten();
    let found = all.filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok());
    found.filter(|key| key.common.public_key_use != Some(PublicKeyUse::Encryption)).collect()
}

/// The key that a token says it is signed with.
pub(super) fn key<'a>(token: &str, keys: &'a [Jwk]) -> Result<Option<&'a Jwk>, OpenIdError> {
    let header = decode_header(token)?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(refused(
            "it is not signed with a key that only the provider has; have it sign with RS256 or ES256",
        ));
    }
    Ok(match &header.kid {
        Some(kid) => keys.iter().find(|key| key.common.key_id.as_ref() == Some(kid)),
        None => keys.first().filter(|_| keys.len() == 1),
    })
}

/// The claims of a token that is signed by the provider, for this client, and in force.
pub(super) fn check(
    token: &str,
    keys: &[Jwk],
    (client, issuer): (&str, &str),
    now: i64,
) -> Result<Map<String, Value>, OpenIdError> {
    let key = key(token, keys)?
        .ok_or_else(|| refused("it is signed with a key that the provider does not publish"))?;
    let mut validation = Validation::new(decode_header(token)?.alg);
    validation.set_audience(&[client]);
    validation.set_issuer(&[issuer]);
    validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    // Against the time that was given, below.
    validation.validate_exp = false;
    let claims: Map<String, Value> = decode(token, &DecodingKey::from_jwk(key)?, &validation)?.claims;
    let time = |name: &str| claims.get(name).and_then(Value::as_f64).map(|t| t as i64);
    let clocks = "compare the clocks of provider and region";
    match time("exp") {
        Some(exp) if exp + SKEW >= now => {}
        Some(exp) => return Err(refused(format!("it expired {} s ago; {clocks}", now - exp))),
        None => return Err(refused("it does not say when it expires")),
    }
    if let Some(early) = ["nbf", "iat"].into_iter().filter_map(time).find(|t| *t > now + SKEW) {
        return Err(refused(format!("it is from {} s ahead; {clocks}", early - now)));
    }
    let several = claims.get("aud").and_then(Value::as_array).is_some_and(|aud| aud.len() > 1);
    if claims.get("azp").map_or(several, |azp| azp != client) {
        return Err(refused("it was made for another program"));
    }
    Ok(claims)
}

/// Who the claims are about, when they are of this login.
pub(super) fn identity(
    provider: &LoginProvider,
    pending: &Pending,
    claims: &Map<String, Value>,
) -> Result<Identity, OpenIdError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    if !bool::from(text("nonce").as_bytes().ct_eq(pending.nonce.as_bytes())) {
        return Err(refused("it is of another login; try again"));
    }
    if text("sub").is_empty() {
        return Err(refused("it names nobody"));
    }
    let names = [
        text("preferred_username"),
        text("email").split('@').next().unwrap_or_default(),
        text("name"),
        text("sub"),
    ];
    let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    let groups = match claims.get(&provider.groups_claim) {
        Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(group)) => vec![group.clone()],
        _ => Vec::new(),
    };
    let subject = format!("{} {}", text("iss"), text("sub"));
    Ok(Identity { subject, name: login_name(name), groups })
}

/// A name as users here have them: lower case, and a letter first.
fn login_name(text: &str) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let name: String = text.to_lowercase().chars().map(|c| if fits(c) { c } else { '-' }).take(60).collect();
    if name.starts_with(|c: char| c.is_ascii_lowercase()) { name } else { format!("u-{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{EncodingKey, Header, encode as sign};
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    /// A provider's key, and what it publishes of it, among keys that nobody here can read.
    fn provider_key() -> (EncodingKey, Vec<Jwk>) {
        use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
        let random = ring::rand::SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..65]));
        let set = json!({ "keys": [{ "kty": "AKP", "alg": "ML-DSA-65", "kid": "k0" },
                                   { "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "k1", "alg": "ES256" }] });
        (EncodingKey::from_ec_der(pkcs8.as_ref()), keys(&set))
    }

    fn token(key: &EncodingKey, changes: Value) -> String {
        let mut claims = json!({ "iss": "https://id.example", "sub": "17", "aud": "rackwright", "exp": NOW + 300,
                                 "iat": NOW, "nonce": "n" });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        sign(&Header { kid: Some("k1".into()), ..Header::new(Algorithm::ES256) }, &claims, key).unwrap()
    }

    fn checked(token: &str, keys: &[Jwk]) -> Result<Map<String, Value>, OpenIdError> {
        check(token, keys, ("rackwright", "https://id.example"), NOW)
    }

    #[test]
    fn only_the_providers_token_for_this_site_and_now_is_good() {
        let (key, keys) = provider_key();
        for good in [
            json!({}),
            json!({ "exp": NOW - SKEW }),
            json!({ "iat": NOW + SKEW }),
            json!({ "azp": "rackwright" }),
        ] {
            assert!(checked(&token(&key, good.clone()), &keys).is_ok(), "{good}");
        }
        for wrong in [
            json!({ "iss": "https://other.example" }),
            json!({ "aud": "another-site" }),
            json!({ "aud": ["rackwright", "another-site"] }),
            json!({ "exp": NOW - SKEW - 1 }),
            json!({ "exp": null }),
            json!({ "nbf": NOW + SKEW + 1 }),
            json!({ "iat": NOW + SKEW + 1 }),
            json!({ "azp": "another-program" }),
        ] {
            assert!(checked(&token(&key, wrong.clone()), &keys).is_err(), "{wrong}");
        }
        let late = checked(&token(&key, json!({ "exp": NOW - 75 })), &keys).unwrap_err().to_string();
        assert!(late.contains("expired 75 s ago; compare the clocks"), "{late}");
    }

    #[test]
    fn a_signature_that_others_could_make_is_none() {
        let (key, keys) = provider_key();
        let (stranger, _) = provider_key();
        assert!(checked(&token(&stranger, json!({})), &keys).is_err(), "another's signature");
        let genuine = token(&key, json!({}));
        let (signed, signature) = genuine.rsplit_once('.').unwrap();
        assert!(checked(&format!("{signed}."), &keys).is_err(), "no signature");
        let forged = URL_SAFE_NO_PAD.encode(
            json!({ "iss": "https://id.example", "sub": "1", "aud": "rackwright", "exp": NOW }).to_string(),
        );
        let head = signed.split('.').next().unwrap();
        assert!(checked(&format!("{head}.{forged}.{signature}"), &keys).is_err(), "another's claims");
        let none = format!("{}.{forged}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"k1"}"#));
        // The public key as a shared secret: what a check by the token's own word would take.
        let public = serde_json::to_vec(&keys[0]).unwrap();
        let header = Header { kid: Some("k1".into()), ..Header::new(Algorithm::HS256) };
        let shared = sign(&header, &json!({ "sub": "1" }), &EncodingKey::from_secret(&public)).unwrap();
        for unsigned in [none, shared, String::new(), "a.b.c".into()] {
            assert!(checked(&unsigned, &keys).is_err(), "{unsigned}");
        }
    }

    #[test]
    fn a_token_of_another_login_is_refused_and_names_become_login_names() {
        let provider: LoginProvider = serde_json::from_value(json!({
            "issuer": "https://id.example", "client_id": "rackwright", "base_url": "https://rw.example/", "label": "x"
        }))
        .unwrap();
        let pending = |nonce: &str| Pending {
            state: "s".into(),
            nonce: nonce.into(),
            verifier: "v".into(),
            next: "/".into(),
            began: NOW,
        };
        let claims = json!({ "iss": "https://id.example", "sub": "17", "nonce": "n", "email": "Ann.Lee+x@example.org",
                             "groups": ["ops", 5] });
        let claims = claims.as_object().unwrap();
        let found = identity(&provider, &pending("n"), claims).unwrap();
        let expected = Identity {
            subject: "https://id.example 17".into(),
            name: "ann.lee-x".into(),
            groups: vec!["ops".into()],
        };
        assert_eq!(found, expected);
        assert!(identity(&provider, &pending("m"), claims).is_err());
        assert!(identity(&provider, &pending(""), claims).is_err());
        assert_eq!(login_name("17 Zoë"), "u-17-zo-");
    }
}
