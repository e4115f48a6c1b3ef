//! The kernel modules of the ephemeral environment, as data. A name that a kernel does not have (built in, or not
//! built) is passed over; the few without which nothing works are checked by [`required`].

use crate::kernel::Kernel;

/// In both flavours: virtual machines, file systems, device mapper.
const COMMON: &[&str] = &[
    // virtio and the paravirtual devices of the large hypervisors
    "virtio_pci",
    "virtio_mmio",
    "virtio_net",
    "virtio_blk",
    "virtio_scsi",
    "virtio_rng",
    "virtio_balloon",
    "hv_vmbus",
    "hv_netvsc",
    "hv_storvsc",
    "pci_hyperv",
    "xen_netfront",
    "xen_blkfront",
    "vmxnet3",
    "vmw_pvscsi",
    "ena",
    "gve",
    // disks
    "nvme",
    "sd_mod",
    "sr_mod",
    "sg",
    "t10_pi",
    "crc_t10dif",
    "crct10dif_pclmul",
    "crct10dif_common",
    // file systems, and what they ask for by name
    "ext4",
    "crc32c_generic",
    "crc32c_intel",
    "crc32_pclmul",
    "libcrc32c",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_iso8859_1",
    "nls_utf8",
    "squashfs",
    "overlay",
    "loop",
    "isofs",
    "efivarfs",
    // device mapper
    "dm_mod",
    "dm_snapshot",
    "dm_thin_pool",
    "dm_mirror",
    "dm_zero",
    // network
    "af_packet",
    "8021q",
    "bonding",
    // what tests read
    "cpuid",
    "msr",
    "dmi_sysfs",
];

/// Only in the generic flavour: hardware.
const HARDWARE: &[&str] = &[
    // SATA, and the old IDE of emulators
    "ahci",
    "libahci",
    "ata_piix",
    "ata_generic",
    "sata_sil24",
    "sata_mv",
    "sata_nv",
    "sata_via",
    "vmd",
    // SAS and RAID controllers
    "megaraid_sas",
    "mpt3sas",
    "mpi3mr",
    "mptsas",
    "mptspi",
    "aacraid",
    "hpsa",
    "smartpqi",
    "arcmsr",
    "isci",
    "3w_9xxx",
    "3w_sas",
    "pm80xx",
    "mvsas",
    "lpfc",
    "qla2xxx",
    "sym53c8xx",
    "ses",
    "enclosure",
    // USB disks, and the keyboard of a person in rescue mode
    "xhci_pci",
    "ehci_pci",
    "uhci_hcd",
    "ohci_pci",
    "usb_storage",
    "uas",
    "usbhid",
    "hid_generic",
    "i8042",
    "atkbd",
    // cards and eMMC
    "mmc_block",
    "sdhci_pci",
    "sdhci_acpi",
    // network cards
    "e1000",
    "e1000e",
    "igb",
    "igbvf",
    "igc",
    "ixgbe",
    "ixgbevf",
    "i40e",
    "iavf",
    "ice",
    "fm10k",
    "tg3",
    "bnx2",
    "bnx2x",
    "bnxt_en",
    "be2net",
    "r8169",
    "8139cp",
    "8139too",
    "atlantic",
    "alx",
    "atl1c",
    "atl1e",
    "mlx4_core",
    "mlx4_en",
    "mlx5_core",
    "qede",
    "qlcnic",
    "netxen_nic",
    "cxgb3",
    "cxgb4",
    "enic",
    "sfc",
    "nfp",
    "forcedeth",
    "sky2",
    "skge",
    "hinic",
    "pcnet32",
    "ne2k_pci",
    "tulip",
    "via_rhine",
    "via_velocity",
    "jme",
    "r6040",
    "sis900",
    "ionic",
    "thunder_xcv",
    "amd_xgbe",
    "mana",
    // their PHYs
    "realtek",
    "broadcom",
    "bnx_phy",
    "marvell",
    "intel_xway",
    "micrel",
    "smsc",
    "aquantia",
    "bcm_phy_lib",
    // network by USB
    "r8152",
    "ax88179_178a",
    "asix",
    "cdc_ether",
    "cdc_ncm",
    "smsc95xx",
    "smsc75xx",
    "rndis_host",
    // the BMC
    "ipmi_si",
    "ipmi_devintf",
    "ipmi_msghandler",
    "ipmi_ssif",
    "acpi_ipmi",
    // sensors and buses that SSIF and disks need
    "i2c_i801",
    "i2c_piix4",
    "drivetemp",
    "button",
];

/// Every module wanted for the flavour, by the kernel's name (underscores).
pub(crate) fn wanted(flavour: Kernel) -> impl Iterator<Item = &'static str> {
    let hardware = match flavour {
        Kernel::Cloud => [].as_slice(),
        Kernel::Generic => HARDWARE,
    };
    COMMON.iter().chain(hardware).copied()
}

/// Modules that must be there, as a file or built in.
pub(crate) fn required(flavour: Kernel) -> impl Iterator<Item = &'static str> {
    let hardware = match flavour {
        Kernel::Cloud => [].as_slice(),
        Kernel::Generic => {
            ["ahci", "e1000e", "igb", "ixgbe", "ipmi_si", "ipmi_devintf", "megaraid_sas"].as_slice()
        }
    };
    [
        "virtio_net",
        "virtio_blk",
        "virtio_pci",
        "nvme",
        "sd_mod",
        "ext4",
        "vfat",
        "squashfs",
        "overlay",
        "loop",
        "dm_mod",
    ]
    .iter()
    .chain(hardware)
    .copied()
}
