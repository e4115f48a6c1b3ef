//! `rackwright user …`, `login-provider …`, `session …`, `token …` and `ssh-key …`

mod login_provider;
mod session;
mod ssh_key;
mod token;
mod user;

pub use login_provider::LoginProviderCommand;
pub use session::SessionCommand;
pub use ssh_key::SshKeyCommand;
pub use token::TokenCommand;
pub use user::UserCommand;
