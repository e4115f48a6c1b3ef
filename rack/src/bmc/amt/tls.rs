//! TLS to a device whose certificate nobody signed: either exactly the pinned one, or any.
//!
//! What holds: the handshake's signatures are always checked, so a pinned certificate's key is really there. Without a pin an
//! attacker in the path can read along, as an operator accepts who leaves the setting empty.

use std::sync::Arc;

use rackwright_common::bmc::BmcError;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest, Sha256};

#[derive(Debug)]
struct Pinned {
    /// SHA-256 of the certificate; `None` takes any.
    fingerprint: Option<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let seen: [u8; 32] = Sha256::digest(certificate).into();
        match self.fingerprint {
            Some(wanted) if wanted != seen => Err(Error::General(format!(
                "the certificate's fingerprint is {}, not the one that was set",
                hex::encode(seen)
            ))),
            Some(_) | None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A TLS configuration that takes the certificate with this fingerprint (hexadecimal, colons allowed), or any.
pub(super) fn config(fingerprint: Option<&str>) -> Result<ClientConfig, BmcError> {
    let fingerprint = fingerprint.filter(|text| !text.is_empty()).map(parse).transpose()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Pinned { fingerprint, provider: provider.clone() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BmcError::Protocol(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(config)
}

fn parse(text: &str) -> Result<[u8; 32], BmcError> {
    let digits: String = text.chars().filter(|digit| *digit != ':').collect();
    let mut fingerprint = [0; 32];
    hex::decode_to_slice(digits.trim(), &mut fingerprint)
        .map_err(|_| BmcError::Login("the certificate's fingerprint is not 64 hexadecimal digits".into()))?;
    Ok(fingerprint)
}
