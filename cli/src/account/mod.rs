//! `rackwright user …`, `token …` and `ssh-key …`

mod ssh_key;
mod token;
mod user;

pub use ssh_key::SshKeyCommand;
pub use token::TokenCommand;
pub use user::UserCommand;
