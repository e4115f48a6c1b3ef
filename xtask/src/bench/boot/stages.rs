//! The stages of a network boot, read from what the machine said on the wire.

use super::capture::{Packet, What};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// A stage, in the order in which a boot goes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The first DHCPDISCOVER.
    Discover,
    /// The first DHCPACK.
    Ack,
    /// The boot script is asked for.
    Script,
    /// The kernel is asked for.
    Kernel,
    /// The initial RAM disk is asked for, so the kernel is there.
    Initrd,
    /// The environment asks for an address, so the initial RAM disk is there and the kernel has started.
    Environment,
    /// The agent's hello arrives.
    Hello,
    /// The hardware that the agent has read is stored; Rackwright only.
    Inventory,
}

/// When each stage was reached, seconds after power-on.
pub type Times = BTreeMap<Stage, f64>;

impl Stage {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Discover,
        Self::Ack,
        Self::Script,
        Self::Kernel,
        Self::Initrd,
        Self::Environment,
        Self::Hello,
        Self::Inventory,
    ];
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discover => "DHCP: first DISCOVER",
            Self::Ack => "DHCP: first ACK",
            Self::Script => "boot script asked for",
            Self::Kernel => "kernel asked for",
            Self::Initrd => "kernel fetched, initrd asked for",
            Self::Environment => "environment asks for an address",
            Self::Hello => "agent's hello",
            Self::Inventory => "inventory stored",
        })
    }
}

/// Paths by which the files of the environment are known.
#[derive(Clone, Debug)]
pub struct Files {
    /// Path of the kernel, `/blob/<sha256>`.
    pub kernel: String,
    /// Path of the initial RAM disk.
    pub initrd: String,
}

/// The stages of the boot that began with power-on at `on`; what was before it does not count.
pub fn times(packets: &[Packet], on: f64, files: &Files) -> Times {
    let mut times = Times::new();
    for packet in packets.iter().filter(|packet| packet.at >= on) {
        if let Some(stage) = stage(&packet.what, &times, files) {
            times.entry(stage).or_insert(packet.at - on);
        }
    }
    times
}

fn stage(what: &What, so_far: &Times, files: &Files) -> Option<Stage> {
    const DISCOVER: u8 = 1;
    const ACK: u8 = 5;
    match what {
        // Firmware asks for an address, then the environment does.
        What::Dhcp(DISCOVER) if so_far.contains_key(&Stage::Initrd) => Some(Stage::Environment),
        What::Dhcp(DISCOVER) => Some(Stage::Discover),
        What::Dhcp(ACK) => Some(Stage::Ack),
        What::Dhcp(_) => None,
        What::Request(line) if line.starts_with("GET /boot/ipxe") => Some(Stage::Script),
        What::Request(line) if line == "POST /agent/v1/hello" => Some(Stage::Hello),
        What::Request(line) => match line.strip_prefix("GET ") {
            Some(path) if path == files.kernel => Some(Stage::Kernel),
            Some(path) if path == files.initrd => Some(Stage::Initrd),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_told_by_the_first_of_each_kind() {
        let files = Files { kernel: "/blob/k".to_owned(), initrd: "/blob/i".to_owned() };
        let request = |line: &str| What::Request(line.to_owned());
        let said = [
            (99.0, What::Dhcp(1)),
            (102.0, What::Dhcp(1)),
            (102.5, What::Dhcp(1)),
            (103.0, What::Dhcp(5)),
            (103.5, request("GET /boot/ipxe?mac=m")),
            (104.0, request("GET /blob/k")),
            (105.0, request("GET /blob/i")),
            (109.0, What::Dhcp(1)),
            (109.1, What::Dhcp(5)),
            (110.0, request("POST /agent/v1/hello")),
            (111.0, request("POST /agent/v1/hello")),
        ];
        let packets: Vec<_> = said.into_iter().map(|(at, what)| Packet { at, what }).collect();
        let times = times(&packets, 100.0, &files);
        let expected = [
            (Stage::Discover, 2.0),
            (Stage::Ack, 3.0),
            (Stage::Script, 3.5),
            (Stage::Kernel, 4.0),
            (Stage::Initrd, 5.0),
            (Stage::Environment, 9.0),
            (Stage::Hello, 10.0),
        ];
        assert_eq!(times, expected.into_iter().collect());
    }
}
