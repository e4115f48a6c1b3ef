//! Who asks, and what they may do.
//!
//! A caller shows an API token (`Authorization: Bearer rwt_…`) or a session cookie. Of both, and of passwords, only
//! hashes are stored. Every function of `app` takes an [`Actor`] and asks it first.

pub mod actor;
pub mod bootstrap;
pub mod limit;
pub mod openid;
pub mod password;
pub mod token;

pub use actor::Actor;
pub use bootstrap::bootstrap;
