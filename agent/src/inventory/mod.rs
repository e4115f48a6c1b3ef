//! Reading the hardware. Every part may be missing and none stops the others: what cannot be read is left out.

pub mod cpu;
pub mod disks;
pub mod ipmi;
pub mod lldp;
pub mod nics;
pub mod pci;
pub mod smbios;

use rackwright_common::Mac;
use rackwright_common::inventory::{FirmwareInfo, InBandBmc, Inventory};
use smbios::Smbios;
use std::fs;
use std::path::Path;

/// A file of sysfs or procfs as trimmed text; none when it is missing, unreadable or empty.
pub(crate) fn text(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text =
        String::from_utf8_lossy(&bytes).trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned();
    (!text.is_empty()).then_some(text)
}

/// A file of sysfs as a number.
pub(crate) fn number<T: std::str::FromStr>(path: &Path) -> Option<T> {
    text(path)?.parse().ok()
}

/// The last part of where a link of sysfs leads, such as a driver's name.
pub(crate) fn link_name(path: &Path) -> Option<String> {
    Some(fs::read_link(path).ok()?.file_name()?.to_string_lossy().into_owned())
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).map(|all| all.filter_map(Result::ok).collect()).unwrap_or_else(|_| Vec::new());
    let mut names: Vec<String> =
        entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Booted by UEFI.
pub fn is_efi(root: &Path) -> bool {
    root.join("sys/firmware/efi").is_dir()
}

/// The whole inventory, without LLDP and without what the BMC itself says.
pub fn read(root: &Path, boot_mac: Option<Mac>) -> Inventory {
    let smbios = Smbios::read(root);
    let pci = pci::read(root);
    Inventory {
        firmware: firmware(root, &smbios),
        cpu: cpu::read(root, &smbios),
        numa_nodes: cpu::numa_nodes(root),
        memory_mib: cpu::memory_mib(root),
        dimms: smbios.dimms.clone(),
        disks: disks::read(root),
        interfaces: nics::read(root, boot_mac),
        gpus: pci.iter().filter(|device| pci::is_gpu(device)).cloned().collect(),
        pci,
        virtualization: virtualization(root, &smbios),
        bmc: None,
        system: smbios.system,
    }
}

/// The BMC as seen from inside, when there is one.
pub fn read_bmc(root: &Path) -> Option<InBandBmc> {
    let mut device = ipmi::Device::open(root)?;
    ipmi::describe(&mut device)
}

fn firmware(root: &Path, smbios: &Smbios) -> FirmwareInfo {
    FirmwareInfo { efi: is_efi(root), secure_boot: secure_boot(root), ..smbios.firmware.clone() }
}

/// The variable `SecureBoot`: four bytes of attributes, then 1 when it is on.
fn secure_boot(root: &Path) -> bool {
    let variable = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let value = fs::read(root.join("sys/firmware/efi/efivars").join(variable))
        .or_else(|_| fs::read(root.join("sys/firmware/efi/vars").join(variable).join("data")));
    value.is_ok_and(|bytes| bytes.last() == Some(&1))
}

/// What kind of virtual machine this is, by what its firmware calls itself; `unknown` when only the processor says
/// that there is a hypervisor.
pub fn virtualization(root: &Path, smbios: &Smbios) -> Option<String> {
    const SIGNS: [(&str, &str); 16] = [
        ("qemu", "qemu"),
        ("kvm", "kvm"),
        ("pc-i440fx", "qemu"),
        ("pc-q35", "qemu"),
        ("vmware", "vmware"),
        ("virtualbox", "virtualbox"),
        ("innotek", "virtualbox"),
        ("xen", "xen"),
        ("hyper-v", "hyper-v"),
        ("microsoft corporation virtual machine", "hyper-v"),
        ("bochs", "bochs"),
        ("parallels", "parallels"),
        ("bhyve", "bhyve"),
        ("openstack", "openstack"),
        ("google compute engine", "google"),
        ("amazon ec2", "amazon"),
    ];
    let system = &smbios.system;
    let memory = smbios.dimms.first().and_then(|dimm| dimm.vendor.clone());
    let fields = [
        &system.vendor,
        &system.product,
        &system.version,
        &smbios.firmware.vendor,
        &smbios.cpu_model,
        &memory,
    ];
    // A machine may be named at will; QEMU still shows as the maker of its memory, or in the name of its chipset.
    let said = fields.into_iter().flatten().map(|text| text.to_lowercase()).collect::<Vec<_>>().join(" ");
    // Metal instances of Amazon call themselves "Amazon EC2" too; their processors show no hypervisor.
    let hypervisor = cpu::has_hypervisor(root);
    let named = SIGNS.iter().find(|(sign, _)| said.contains(sign)).map(|(_, kind)| (*kind).to_owned());
    match named {
        Some(kind) if kind == "amazon" && !hypervisor => None,
        Some(kind) => Some(kind),
        None => hypervisor.then(|| "unknown".to_owned()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A folder that looks like the root of a machine; `files` are paths and contents.
    pub(crate) fn machine(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path: PathBuf = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    #[test]
    fn an_empty_machine_has_an_empty_inventory() {
        let root = machine(&[]);
        let inventory = read(root.path(), None);
        assert_eq!(inventory.disks, []);
        assert_eq!(inventory.interfaces, []);
        assert_eq!(inventory.virtualization, None);
        assert!(!inventory.firmware.efi);
        assert!(read_bmc(root.path()).is_none());
    }

    #[test]
    fn secure_boot_is_the_byte_after_the_attributes() {
        let path = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
        assert!(secure_boot(machine(&[(path, &[6, 0, 0, 0, 1])]).path()));
        assert!(!secure_boot(machine(&[(path, &[6, 0, 0, 0, 0])]).path()));
        assert!(is_efi(machine(&[(path, &[])]).path()));
    }

    #[test]
    fn a_hypervisor_that_does_not_name_itself_is_unknown() {
        let root = machine(&[("proc/cpuinfo", b"processor : 0\nflags : fpu hypervisor vmx\n")]);
        assert_eq!(virtualization(root.path(), &Smbios::default()), Some("unknown".to_owned()));
    }
}
