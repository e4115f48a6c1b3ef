//! The interface's address in the kernel, and who is told of it: `/init` by `/run/net`, programs by `/etc/resolv.conf`.

use super::{host, talk::Lease};
use crate::command;
use crate::error::{Result, io};
use std::fs;
use std::io::Write;
use std::net::Ipv6Addr;
use std::path::Path;
use std::time::{Duration, Instant};

/// Flags of `/proc/net/if_inet6`: the kernel still looks whether anybody has it, and somebody has.
pub(super) const TENTATIVE: u32 = 0x40;
const TAKEN: u32 = 0x08;
/// The kernel asks the link once and waits a second (RFC 4862 §5.4).
const LOOKING: Duration = Duration::from_secs(5);
const STATE: &str = "/run/net";
const RESOLVER: &str = "/etc/resolv.conf";

/// Whether this interface is the one that is configured: the first to be answered, by either family.
pub(super) fn is_ours(interface: &str) -> bool {
    let claimed = Path::new(STATE).join("claimed");
    let line = format!("{interface}\n");
    match fs::File::create_new(&claimed).and_then(|mut file| file.write_all(line.as_bytes())) {
        Ok(()) => true,
        Err(_) => fs::read_to_string(&claimed).is_ok_and(|text| text == line),
    }
}

pub(super) fn add(interface: &str, address: Ipv6Addr) -> Result<()> {
    // One of a client before this one is as good.
    command::run("ip", &["-6", "address", "replace", &host(address), "dev", interface]).map(drop)
}

pub(super) fn remove(interface: &str, address: Ipv6Addr) -> Result<()> {
    command::run("ip", &["-6", "address", "del", &host(address), "dev", interface]).map(drop)
}

/// Waits for the kernel's word.
pub(super) fn is_somebody_elses(interface: &str, address: Ipv6Addr) -> bool {
    let deadline = Instant::now() + LOOKING;
    loop {
        let all = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
        let flags = addresses(&all, interface).find(|(a, _)| *a == address).map(|(_, flags)| flags);
        if flags.is_some_and(|f| f & TAKEN != 0) {
            return true;
        }
        if flags.is_some_and(|f| f & TENTATIVE == 0) || Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The interface has an address.
pub(super) fn tell(interface: &str, lease: &Lease) -> Result<()> {
    let resolver = Path::new(RESOLVER);
    if !resolver.exists() {
        let lines: String = lease.name_servers.iter().map(|a| format!("nameserver {a}\n")).collect();
        fs::write(resolver, lines).map_err(io("write", resolver))?;
    }
    // Never half a file: `/init` looks for it all the time.
    let (part, whole) = (Path::new(STATE).join("bound.six"), Path::new(STATE).join("bound"));
    fs::write(&part, format!("{interface}\n")).map_err(io("write", &part))?;
    fs::rename(&part, &whole).map_err(io("write", &whole))
}

/// The addresses of an interface with their flags, from the text of `/proc/net/if_inet6`: address, index, prefix length,
/// scope, flags, name.
pub(super) fn addresses<'a>(all: &'a str, interface: &'a str) -> impl Iterator<Item = (Ipv6Addr, u32)> + 'a {
    all.lines().filter_map(move |line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [address, _, _, _, flags, name] = fields.as_slice() else { return None };
        let address = u128::from_str_radix(address, 16).ok()?;
        (*name == interface).then_some((address.into(), u32::from_str_radix(flags, 16).ok()?))
    })
}
