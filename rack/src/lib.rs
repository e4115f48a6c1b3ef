//! The rack controller: serves the machines of its networks from one [`state::World`], and tells regions what it
//! sees through one [`state::Journal`].
//!
//! Everything machines need works from the last snapshot, with every region dead: [`dhcp`], [`boot`] (TFTP, HTTP,
//! boot scripts), [`cache`], names ([`dns`]), time ([`ntp`]). [`discovery`] says who else is there, [`switch`] what is
//! plugged in where. The [`link`] to the regions brings
//! snapshots and tasks, and carries the journal and machines' requests away. [`daemon::run`] starts it all.

pub mod addresses;
pub mod bmc;
pub mod boot;
pub mod cache;
pub mod config;
pub mod console;
pub mod daemon;
pub mod dhcp;
pub mod dhcp6;
pub mod discovery;
pub mod dns;
pub mod link;
pub mod ntp;
pub mod probe;
pub mod ra;
pub mod served;
pub mod state;
pub mod switch;

pub use config::RackConfig;
pub use daemon::{RackError, run};

/// An error and its causes in one line, for the log.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}
