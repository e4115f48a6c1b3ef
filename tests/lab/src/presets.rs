//! Ready-made parts of plans: the usual machines, BMCs and hosts, and the plan of the demo.
//!
//! What holds: identities that are not given are derived from the machine's name.

use crate::plan::{
    BMC_VLAN, BOOT_VLAN, Bmc, BmcKind, Bus, Disk, Firmware, Host, HostNic, LabPlan, Machine, Nic, NicModel,
    OFFICE_VLAN, Password, Rom,
};
use std::net::Ipv4Addr;
use std::path::Path;

impl Machine {
    /// A BIOS machine with one CPU, 1 GiB of memory, one virtio disk of 8 GiB, one virtio interface on `boot`.
    #[must_use]
    pub fn bios(name: &str) -> Self {
        Self::new(name, Firmware::Bios)
    }

    /// The same with UEFI.
    #[must_use]
    pub fn uefi(name: &str) -> Self {
        Self::new(name, Firmware::Uefi)
    }

    /// The same with the firmware of choice; with Secure Boot the firmware's own network boot is used, since
    /// the packaged iPXE is not signed.
    #[must_use]
    pub fn new(name: &str, firmware: Firmware) -> Self {
        let hash = fingerprint(name);
        Self {
            name: name.to_owned(),
            firmware,
            rom: if firmware == Firmware::UefiSecureBoot { Rom::None } else { Rom::Ipxe },
            cpus: 1,
            memory_mib: 1024,
            disks: vec![Disk { gib: 8, serial: format!("DISK-{:08X}", hash >> 32), bus: Bus::Virtio }],
            nics: vec![Nic {
                mac: derived_mac(hash),
                model: NicModel::VirtioNet,
                vlan: BOOT_VLAN.to_owned(),
            }],
            bmc: None,
            uuid: derived_uuid(hash),
            serial: format!("LAB-{:08X}", hash & 0xffff_ffff),
        }
    }

    /// The machine with an `ipmi_sim` BMC at `10.78.0.<last>`, user `admin`, serial over LAN, nothing in band.
    #[must_use]
    pub fn with_ipmi_sim(mut self, last: u8) -> Self {
        self.bmc = Some(Bmc { kind: BmcKind::IpmiSim { sol: true, in_band: false }, ..Bmc::at(last) });
        self
    }

    /// The machine with a `rackwright-bmc-sim` BMC (its executable is `program`) at `10.78.0.<last>`: cipher
    /// suites 3 and 17, serial over LAN, faults on demand.
    #[must_use]
    pub fn with_rackwright_sim(mut self, last: u8, program: &Path) -> Self {
        let args = "--listen {address}:623 --user {user} --level administrator --password-file {password_file} \
                    --guid {uuid} --sol {console} --faults {faults} -- {chassis_program} chassis {chassis_state}";
        self.bmc = Some(Bmc {
            kind: BmcKind::Program {
                program: program.to_owned(),
                args: args.split_whitespace().map(str::to_owned).collect(),
            },
            ..Bmc::at(last)
        });
        self
    }
}

impl Machine {
    /// The machine with a `rackwright-amt-sim` as its Intel AMT device at `10.78.0.<last>`, port 16992.
    #[must_use]
    pub fn with_amt_sim(mut self, last: u8, program: &Path) -> Self {
        let args = "--listen {address}:16992 --user {user} --password-file {password_file} \
                    -- {chassis_program} chassis {chassis_state}";
        let args = args.split_whitespace().map(str::to_owned).collect();
        self.bmc =
            Some(Bmc { kind: BmcKind::Program { program: program.to_owned(), args }, ..Bmc::at(last) });
        self
    }
}

impl Bmc {
    /// An `ipmi_sim` at `10.78.0.<last>` with user `admin`.
    fn at(last: u8) -> Self {
        Self {
            kind: BmcKind::IpmiSim { sol: false, in_band: false },
            address: Ipv4Addr::new(10, 78, 0, last),
            user: "admin".to_owned(),
            password: Password("lab-secret".to_owned()),
        }
    }
}

impl Host {
    /// The controller: `eth1` on `boot` with 10.77.0.1/24 and fd77::1/64, `bmc0` on `bmc` with 10.78.0.1/24.
    #[must_use]
    pub fn controller() -> Self {
        Self {
            name: "ctl".to_owned(),
            nics: vec![
                HostNic {
                    name: "eth1".to_owned(),
                    vlan: BOOT_VLAN.to_owned(),
                    addresses: vec!["10.77.0.1/24".to_owned(), "fd77::1/64".to_owned()],
                },
                HostNic {
                    name: "bmc0".to_owned(),
                    vlan: BMC_VLAN.to_owned(),
                    addresses: vec!["10.78.0.1/24".to_owned()],
                },
            ],
        }
    }
}

impl Host {
    /// A host with one interface per VLAN and address, `eth0` and so on.
    #[must_use]
    pub fn on(name: &str, addresses: &[(&str, String)]) -> Self {
        let nic = |(number, (vlan, address)): (usize, &(&str, String))| HostNic {
            name: format!("eth{number}"),
            vlan: (*vlan).to_owned(),
            addresses: vec![address.clone()],
        };
        Self { name: name.to_owned(), nics: addresses.iter().enumerate().map(nic).collect() }
    }
}

impl LabPlan {
    /// Controllers on boxes of their own, and the given machines. Everybody is on `office`: `ctl`, from which people work
    /// (10.79.0.2), `db-1` and so on (10.79.0.31), `region-1` and so on (10.79.0.11), `rack-1` and so on (10.79.0.21).
    /// The racks' `eth1` is on `boot` (10.77.0.1), their `eth2` and `ctl`'s `eth1` are on `bmc`.
    #[must_use]
    pub fn with_controllers(databases: u8, regions: u8, racks: u8, machines: Vec<Machine>) -> Self {
        let office = |last: u8| (OFFICE_VLAN, format!("10.79.0.{last}/24"));
        let guest = (BOOT_VLAN, "10.77.0.100/24".to_owned());
        let mut hosts = vec![Host::on("ctl", &[office(2), (BMC_VLAN, "10.78.0.200/24".to_owned()), guest])];
        hosts.extend((1..=databases).map(|n| Host::on(&format!("db-{n}"), &[office(30 + n)])));
        hosts.extend((1..=regions).map(|n| Host::on(&format!("region-{n}"), &[office(10 + n)])));
        hosts.extend((1..=racks).map(|n| {
            let boot = (BOOT_VLAN, format!("10.77.0.{n}/24"));
            let bmc = (BMC_VLAN, format!("10.78.0.{n}/24"));
            let mut rack = Host::on(&format!("rack-{n}"), &[office(20 + n), boot, bmc]);
            // Machines' firmware waits for a router otherwise.
            rack.nics[1].addresses.push(format!("fd77::{n}/64"));
            rack
        }));
        let vlans = [BOOT_VLAN, BMC_VLAN, OFFICE_VLAN].map(str::to_owned).to_vec();
        Self { vlans, hosts, machines }
    }

    /// One controller and the given machines.
    #[must_use]
    pub fn with_machines(machines: Vec<Machine>) -> Self {
        Self {
            vlans: vec![BOOT_VLAN.to_owned(), BMC_VLAN.to_owned()],
            hosts: vec![Host::controller()],
            machines,
        }
    }

    /// One controller, `bios-1` (BMC 10.78.0.11) and `uefi-1` (BMC 10.78.0.12).
    #[must_use]
    pub fn demo() -> Self {
        Self::with_machines(vec![
            Machine::bios("bios-1").with_ipmi_sim(11),
            Machine::uefi("uefi-1").with_ipmi_sim(12),
        ])
    }
}

/// FNV-1a, 64 bits: the same name gives the same identity on every run.
fn fingerprint(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn derived_mac(hash: u64) -> String {
    let [a, b, c, ..] = hash.to_le_bytes();
    format!("52:54:00:{a:02x}:{b:02x}:{c:02x}")
}

fn derived_uuid(hash: u64) -> String {
    let [a, b, c, d, e, f, g, h] = hash.to_be_bytes();
    format!("{a:02x}{b:02x}{c:02x}{d:02x}-{e:02x}{f:02x}-4{:03x}-a000-{:012x}", hash & 0xfff, {
        u64::from_be_bytes([0, 0, h, g, f, e, d, c]) ^ u64::from(a ^ b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_many_controllers_is_sound() {
        let plan = LabPlan::with_controllers(3, 3, 2, vec![Machine::bios("m1").with_ipmi_sim(11)]);
        plan.check().unwrap();
        assert_eq!(plan.hosts.len(), 9);
    }

    #[test]
    fn identities_follow_the_name() {
        assert_eq!(Machine::bios("a").nics[0].mac, Machine::uefi("a").nics[0].mac);
        assert_ne!(Machine::bios("a").nics[0].mac, Machine::bios("b").nics[0].mac);
        assert_eq!(Machine::bios("a").uuid.len(), 36);
    }
}
