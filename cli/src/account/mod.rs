//! `rackwright user …`, `session …`, `token …` and `ssh-key …`

mod session;
mod ssh_key;
mod token;
mod user;

pub use session::SessionCommand;
pub use ssh_key::SshKeyCommand;
pub use token::TokenCommand;
pub use user::UserCommand;
