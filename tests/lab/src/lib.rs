//! The lab: a small data centre on one box, for tests and for the demo.
//!
//! Why: provisioning is only proven on machines that start from nothing. Here hosts are network
//! namespaces, machines are QEMU under software emulation with real firmware, and BMCs are simulators that
//! switch those machines on and off. A lab is described as data ([`LabPlan`]), made by [`Lab::create`] and
//! removed by [`Lab::destroy`].
//!
//! What holds:
//! * nothing is placed in the network of the host itself: every bridge, tap and veth end lives in a namespace
//!   named `<prefix>-…`;
//! * everything a lab made is found again from its prefix alone, so a fresh process can remove what a killed
//!   one left behind;
//! * processes are ended by pid, and only when their start time shows that they are still the same process,
//!   or when they live in a namespace of this lab.
//!
//! Left out: several boxes, KVM, VLAN tags (a VLAN is a bridge of its own).

pub mod bmc;
pub mod chassis;
pub mod forward;
pub mod interrupt;
pub mod lab;
pub mod lan_config;
pub mod machine;
pub mod ns;
pub mod plan;
pub mod poll;
mod presets;
pub mod process;
pub mod qemu;
pub mod qmp;
pub mod state;
pub mod status;

pub use lab::Lab;
pub use machine::MachineHandle;
pub use nix::sys::signal::Signal;
pub use plan::{
    Bmc, BmcKind, Bus, Disk, Firmware, Host, HostNic, LabPlan, Machine, Nic, NicModel, Password, Rom,
};
