//! Passwords and keys, and where random bytes come from. Both are injected, so that a test can replay a session.

use std::fmt;

/// Bytes that must not be seen: `Debug` prints nothing of them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps a password or key as the bytes that go into the key derivation.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes themselves, for the one computation that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A source of random bytes for session ids, nonces and initialisation vectors.
pub trait Entropy: Send {
    /// Fills `out` with bytes an observer cannot predict.
    fn fill(&mut self, out: &mut [u8]);
}

/// The operating system's generator.
#[derive(Debug, Default, Clone, Copy)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        getrandom::fill(out).expect("the kernel's random generator does not fail once the system is up");
    }
}

impl dyn Entropy + '_ {
    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A session id: random and not zero, since zero means "no session".
    pub(crate) fn session_id(&mut self) -> u32 {
        loop {
            let id = u32::from_le_bytes(self.array());
            if id != 0 {
                return id;
            }
        }
    }
}
