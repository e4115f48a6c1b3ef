//! Passwords: argon2id, away from the threads that answer requests, two at a time (each takes 19 MiB).

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use rackwright_common::Secret;
use std::sync::LazyLock;
use tokio::sync::Semaphore;

/// Shortest password, characters.
pub const MIN_LENGTH: usize = 12;

static AT_WORK: Semaphore = Semaphore::const_new(2);

/// Compared with when there is no such user, so that the answer takes as long.
static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| hash_now("nobody has this password"));

fn hash_now(password: &str) -> Option<String> {
    Argon2::default().hash_password(password.as_bytes()).ok().map(|hash| hash.to_string())
}

/// The hash to store, in PHC notation; `None` when the system gives no randomness.
pub async fn hash(password: Secret<String>) -> Option<String> {
    let _permit = AT_WORK.acquire().await.ok()?;
    tokio::task::spawn_blocking(move || hash_now(password.expose())).await.ok().flatten()
}

/// Whether the password is the one of the stored hash. Takes its time also where there is no hash.
pub async fn verify(password: Secret<String>, stored: Option<String>) -> bool {
    let Ok(_permit) = AT_WORK.acquire().await else { return false };
    let check = move || {
        let known = stored.is_some();
        let text = stored.or_else(|| NOBODY.clone()).unwrap_or_default();
        let Ok(hash) = PasswordHash::new(&text) else { return false };
        let fits = Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok();
        fits && known
    };
    tokio::task::spawn_blocking(check).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let stored = hash(secret("correct horse battery")).await;
        assert!(stored.as_ref().unwrap().starts_with("$argon2id$"));
        assert!(verify(secret("correct horse battery"), stored.clone()).await);
        assert!(!verify(secret("correct horse batterz"), stored).await);
        assert!(!verify(secret("nobody has this password"), None).await);
    }
}
