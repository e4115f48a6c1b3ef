//! Restarting and switching off, after everything written is on the disks.

use nix::sys::reboot::{RebootMode, reboot};

/// How the agent's life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Restart; the boot decision says from what.
    Reboot,
    /// Switch off.
    PowerOff,
}

/// Does it; comes back only when the kernel refuses, or in a test.
pub fn end(ending: Ending, simulate: bool) {
    let (word, mode) = match ending {
        Ending::Reboot => ("reboot", RebootMode::RB_AUTOBOOT),
        Ending::PowerOff => ("poweroff", RebootMode::RB_POWER_OFF),
    };
    println!("rackwright-agent: {word}");
    nix::unistd::sync();
    if !simulate && let Err(error) = reboot(mode) {
        eprintln!("rackwright-agent: the kernel refuses to {word}: {error}");
    }
}
