//! The command line of a machine.
//!
//! What holds: the order of boot devices is set by `bootindex`. A one-shot device given by the BMC counts for
//! the first boot only: [`indexes`] of the usual order are set over QMP right after the start, and QEMU hands
//! the new order to the firmware at the guest's next reset.
//!
//! Left out: KVM. Times are those of software emulation.

use crate::plan::{Bus, Disk, Firmware, Machine, Nic, NicModel, Rom};
use std::path::{Path, PathBuf};

/// The program.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// Which kind of device is tried first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootOrder {
    /// Interfaces, then disks: what a machine under a provisioning system is set to.
    NetworkFirst,
    /// Disks, then interfaces.
    DiskFirst,
}

/// Files, sockets and ports of one machine.
#[derive(Clone, Debug)]
pub struct Wiring {
    /// One image per disk, qcow2.
    pub disks: Vec<PathBuf>,
    /// One tap per interface.
    pub taps: Vec<String>,
    /// This machine's copy of the firmware variables (UEFI).
    pub nvram: PathBuf,
    /// QMP socket.
    pub qmp: PathBuf,
    /// Where the console is served.
    pub console: Console,
    /// What the console wrote.
    pub serial_log: PathBuf,
    /// TCP port on 127.0.0.1 on which the BMC waits for the KCS interface.
    pub kcs_port: Option<u16>,
}

/// Where the serial console is served; one client at a time. A client that does not read stops the guest as
/// soon as the socket is full, which for single bytes is after some hundred.
#[derive(Clone, Debug)]
pub enum Console {
    /// A unix socket.
    Unix(PathBuf),
    /// A port of 127.0.0.1 in the site namespace, for a BMC's serial over LAN.
    Tcp(u16),
}

/// Firmware code and the template of its variables; `None` for SeaBIOS, which QEMU brings along.
#[must_use]
pub fn firmware_files(firmware: Firmware) -> Option<(&'static Path, &'static Path)> {
    match firmware {
        Firmware::Bios => None,
        Firmware::Uefi => {
            Some((Path::new("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path::new("/usr/share/OVMF/OVMF_VARS_4M.fd")))
        }
        Firmware::UefiSecureBoot => Some((
            Path::new("/usr/share/OVMF/OVMF_CODE_4M.ms.fd"),
            Path::new("/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
        )),
    }
}

/// QOM ids of the bootable devices with their `bootindex`, all of them at or above `base`.
#[must_use]
pub fn indexes(machine: &Machine, order: BootOrder, base: usize) -> Vec<(String, usize)> {
    let nics = (0..machine.nics.len()).map(|at| format!("nic{at}"));
    let disks = (0..machine.disks.len()).map(|at| format!("disk{at}"));
    let ids: Vec<String> = match order {
        BootOrder::NetworkFirst => nics.chain(disks).collect(),
        BootOrder::DiskFirst => disks.chain(nics).collect(),
    };
    ids.into_iter().enumerate().map(|(at, id)| (id, base + at)).collect()
}

/// The arguments after [`PROGRAM`].
#[must_use]
pub fn arguments(machine: &Machine, wiring: &Wiring, order: BootOrder) -> Vec<String> {
    let order = indexes(machine, order, 1);
    let index = |id: &str| order.iter().find(|(known, _)| known == id).map_or(99, |(_, index)| *index);
    let mut line = Line::default();
    line.words(&["-accel", "tcg", "-nodefaults", "-no-user-config", "-display", "none"]);
    line.pair("-name", &machine.name);
    line.pair("-smp", &machine.cpus.to_string());
    line.pair("-m", &machine.memory_mib.to_string());
    line.pair("-uuid", &machine.uuid);
    line.pair(
        "-smbios",
        &format!("type=1,manufacturer=Rackwright,product=Lab Machine,serial={}", escaped(&machine.serial)),
    );
    line.words(&["-device", "virtio-rng-pci", "-rtc", "base=utc"]);
    line.firmware(machine, wiring);
    line.console(wiring);
    for (at, (nic, tap)) in machine.nics.iter().zip(&wiring.taps).enumerate() {
        line.nic(at, nic, tap, machine.rom, index(&format!("nic{at}")));
    }
    for (at, (disk, image)) in machine.disks.iter().zip(&wiring.disks).enumerate() {
        let port = machine.disks[..at].iter().filter(|other| other.bus == Bus::Sata).count();
        line.disk(at, disk, image, port, index(&format!("disk{at}")));
    }
    line.0
}

#[derive(Default)]
struct Line(Vec<String>);

impl Line {
    fn words(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(|word| (*word).to_owned()));
    }

    fn pair(&mut self, option: &str, value: &str) {
        self.words(&[option, value]);
    }

    fn firmware(&mut self, machine: &Machine, wiring: &Wiring) {
        let secure = machine.firmware == Firmware::UefiSecureBoot;
        // Without graphics SeaBIOS, and iPXE by way of it, speaks on the serial port.
        self.pair("-machine", if secure { "q35,graphics=off,smm=on" } else { "q35,graphics=off" });
        let Some((code, _)) = firmware_files(machine.firmware) else { return };
        if secure {
            self.pair("-global", "driver=cfi.pflash01,property=secure,value=on");
        }
        self.pair("-drive", &format!("if=pflash,format=raw,readonly=on,file={}", path(code)));
        self.pair("-drive", &format!("if=pflash,format=raw,file={}", path(&wiring.nvram)));
        let without: &[&str] = match machine.rom {
            // Otherwise the firmware walks through its own PXE and HTTP boot before it comes to the disk.
            Rom::Ipxe => &["IPv4Support", "IPv6Support"],
            Rom::None => &[],
            Rom::Ipv6 => &["IPv4Support"],
        };
        for entry in without {
            self.pair("-fw_cfg", &format!("name=opt/org.tianocore/{entry},string=n"));
        }
    }

    fn console(&mut self, wiring: &Wiring) {
        let log = path(&wiring.serial_log);
        let server = match &wiring.console {
            Console::Unix(socket) => format!("path={}", path(socket)),
            Console::Tcp(port) => format!("host=127.0.0.1,port={port}"),
        };
        let console = format!("socket,id=console,{server},server=on,wait=off,logfile={log},logappend=on");
        self.pair("-chardev", &console);
        self.pair("-serial", "chardev:console");
        self.pair("-qmp", &format!("unix:{},server=on,wait=off", path(&wiring.qmp)));
        if let Some(port) = wiring.kcs_port {
            self.pair("-chardev", &format!("socket,id=kcs,host=127.0.0.1,port={port},reconnect=5"));
            self.words(&["-device", "ipmi-bmc-extern,chardev=kcs,id=bmc0"]);
            self.words(&["-device", "isa-ipmi-kcs,bmc=bmc0"]);
        }
    }

    fn nic(&mut self, at: usize, nic: &Nic, tap: &str, rom: Rom, index: usize) {
        let model = match nic.model {
            NicModel::VirtioNet => "virtio-net-pci",
            NicModel::E1000e => "e1000e",
        };
        let rom = match rom {
            Rom::Ipxe => "",
            Rom::None | Rom::Ipv6 => ",romfile=",
        };
        self.pair("-netdev", &format!("tap,id=net{at},ifname={tap},script=no,downscript=no"));
        let device = format!("{model},id=nic{at},netdev=net{at},mac={},bootindex={index}{rom}", nic.mac);
        self.pair("-device", &device);
    }

    fn disk(&mut self, at: usize, disk: &Disk, image: &Path, port: usize, index: usize) {
        let model = match disk.bus {
            Bus::Virtio => "virtio-blk-pci".to_owned(),
            Bus::Nvme => "nvme".to_owned(),
            Bus::Sata => format!("ide-hd,bus=ide.{port}"),
        };
        let image = path(image);
        self.pair(
            "-drive",
            &format!("if=none,id=image{at},file={image},format=qcow2,cache=unsafe,discard=unmap"),
        );
        let serial = escaped(&disk.serial);
        self.pair(
            "-device",
            &format!("{model},id=disk{at},drive=image{at},serial={serial},bootindex={index}"),
        );
    }
}

fn path(path: &Path) -> String {
    escaped(&path.to_string_lossy())
}

/// A comma separates options; a doubled one is a comma.
fn escaped(text: &str) -> String {
    text.replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wiring() -> Wiring {
        Wiring {
            disks: vec!["/l/disk0.qcow2".into()],
            taps: vec!["tap0n0".to_owned()],
            nvram: "/l/nvram.fd".into(),
            qmp: "/r/a.qmp".into(),
            console: Console::Unix("/r/a.con".into()),
            serial_log: "/l/serial/a.log".into(),
            kcs_port: None,
        }
    }

    #[test]
    fn the_network_comes_first_unless_the_bmc_says_otherwise() {
        let machine = Machine::bios("a");
        let usual = arguments(&machine, &wiring(), BootOrder::NetworkFirst).join(" ");
        assert!(usual.contains(&format!("id=nic0,netdev=net0,mac={},bootindex=1", machine.nics[0].mac)));
        assert!(usual.contains("bootindex=2"), "{usual}");
        let disk = arguments(&machine, &wiring(), BootOrder::DiskFirst).join(" ");
        assert!(disk.contains(&format!("serial={},bootindex=1", machine.disks[0].serial)), "{disk}");
    }

    #[test]
    fn uefi_with_an_ipxe_rom_has_no_other_network_boot() {
        let mut machine = Machine::uefi("a");
        let with_rom = arguments(&machine, &wiring(), BootOrder::NetworkFirst).join(" ");
        assert!(with_rom.contains("opt/org.tianocore/IPv4Support,string=n"));
        machine.rom = Rom::None;
        let without = arguments(&machine, &wiring(), BootOrder::NetworkFirst).join(" ");
        assert!(!without.contains("tianocore") && without.contains("romfile="), "{without}");
        machine.rom = Rom::Ipv6;
        let six = arguments(&machine, &wiring(), BootOrder::NetworkFirst).join(" ");
        assert!(six.contains("IPv4Support,string=n") && !six.contains("IPv6Support"), "{six}");
    }

    #[test]
    fn sata_disks_get_a_port_each() {
        let mut machine = Machine::bios("a");
        let sata = |serial: &str| Disk { gib: 1, serial: serial.to_owned(), bus: Bus::Sata };
        machine.disks = vec![sata("one"), Disk { bus: Bus::Nvme, ..sata("two") }, sata("three")];
        let wiring = Wiring { disks: vec!["/1".into(), "/2".into(), "/3".into()], ..wiring() };
        let line = arguments(&machine, &wiring, BootOrder::NetworkFirst).join(" ");
        assert!(line.contains("ide-hd,bus=ide.0,id=disk0,drive=image0,serial=one,bootindex=2"), "{line}");
        assert!(line.contains("nvme,id=disk1,drive=image1,serial=two,bootindex=3"), "{line}");
        assert!(line.contains("ide-hd,bus=ide.1,id=disk2,drive=image2,serial=three,bootindex=4"), "{line}");
    }
}
