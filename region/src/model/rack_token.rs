//! How a new box becomes a rack: the token it is given, what it asks a region, and what it gets.
//!
//! The API may be plain HTTP, so the token is made for that. The secret in it never travels: the box proves to hold it by
//! a keyed hash over its name and its request (RFC 2104), which is of no use with another request. So whoever listens, or
//! holds the box's request back, can have certified only the key that the box made, which stays in the box. What the box
//! gets is safe too: it takes a certificate of the authority only if that has the fingerprint in the token, which came by
//! another way. Left out: that somebody in between answers in the region's place and so keeps the box from enrolling.
//!
//! The token itself: [`super::controller_token`].

use super::Timestamp;
use super::controller_token::{mac, stored};
use hmac::Mac;
use rackwright_common::Secret;
use rackwright_common::secret::exposed;
use serde::{Deserialize, Serialize};

/// For which rack a token is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRackToken {
    /// The name the rack will have: 1 to 64 letters, digits, dots, hyphens, underscores.
    pub name: String,
    /// Seconds until the token expires, 60 to 604800; an hour when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_seconds: Option<u32>,
}

/// What `rackwright rack enroll` takes; good for a short time and for one rack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RackToken {
    /// Region addresses, fingerprint of the CA, and a one-time secret.
    #[serde(with = "exposed")]
    #[schema(value_type = String)]
    pub token: Secret<String>,
    /// Until when.
    pub expires_at: Timestamp,
}

/// A box asks to become a rack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RackEnrolment {
    /// Shows that it holds the token's secret: [`proof`].
    pub proof: String,
    /// The name in its token.
    pub name: String,
    /// Certificate signing request (PKCS #10), PEM. What it asks for is ignored.
    pub csr_pem: String,
}

/// What makes a box a rack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RackCertificate {
    /// Its certificate, PEM.
    pub certificate_pem: String,
    /// The authority's certificate, PEM; to be trusted only with the token's fingerprint.
    pub ca_pem: String,
    /// `host:port` of the regions' stream services.
    pub regions: Vec<String>,
}

/// HMAC-SHA-256 (RFC 2104) with the SHA-256 of the secret as key, over the line `rackwright-enrol-1`, the rack's name in
/// a line, and the certificate signing request as it is sent; lower-case hexadecimal.
pub fn proof(secret: &Secret<String>, name: &str, csr_pem: &str) -> String {
    hex::encode(mac(&stored(secret), &enrolment(name, csr_pem)).finalize().into_bytes())
}

/// Whether a request was made by a holder of the secret of which `stored` is kept. Takes the same time for each answer.
pub fn is_proven(stored: &[u8], asked: &RackEnrolment) -> bool {
    let shown = hex::decode(&asked.proof).unwrap_or_default();
    mac(stored, &enrolment(&asked.name, &asked.csr_pem)).verify_slice(&shown).is_ok()
}

fn enrolment<'a>(name: &'a str, csr_pem: &'a str) -> [&'a [u8]; 4] {
    [b"rackwright-enrol-1\n", name.as_bytes(), b"\n", csr_pem.as_bytes()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_one_secret_one_name_and_one_request() {
        let secret = Secret::new("geheim".to_owned());
        let proof = proof(&secret, "rack-1", "CSR");
        // printf 'rackwright-enrol-1\nrack-1\nCSR' | openssl dgst -sha256 -mac HMAC -macopt hexkey:$(printf geheim | sha256sum | cut -c-64)
        assert_eq!(proof, "0f5fef915c223e55b63d4b8a08a50a3a971d112b2abd381f2e8ad1101bdb485a");
        let ask = |name: &str, csr: &str, proof: &str| RackEnrolment {
            proof: proof.to_owned(),
            name: name.to_owned(),
            csr_pem: csr.to_owned(),
        };
        let stored = stored(&secret);
        assert!(is_proven(&stored, &ask("rack-1", "CSR", &proof)));
        assert!(!is_proven(&stored, &ask("rack-2", "CSR", &proof)));
        assert!(!is_proven(&stored, &ask("rack-1", "another", &proof)));
        assert!(!is_proven(&super::stored(&Secret::new("other".into())), &ask("rack-1", "CSR", &proof)));
        for wrong in ["", "zz", &proof[..62], &format!("{proof}00")] {
            assert!(!is_proven(&stored, &ask("rack-1", "CSR", wrong)), "{wrong:?}");
        }
    }
}
