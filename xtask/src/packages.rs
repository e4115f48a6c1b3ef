//! The distribution packages that the commands need, and why.
//!
//! A new need is a new line here. `probe` is a file that the package brings: when it is there, whoever brought
//! it, the package is not asked for.

/// What a package is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The product itself, and so everything.
    Run,
    /// Building images and the ephemeral environment, and so the demo and the tests.
    Images,
    /// The lab, and so the demo and the tests.
    Lab,
    /// The tests only.
    Test,
    /// The tests of the web pages only.
    Browser,
    /// The benchmarks only.
    Bench,
    /// A site with several boxes in the lab.
    Cluster,
}

/// One package.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// Debian's name.
    pub name: &'static str,
    /// A file that shows that it is there.
    pub probe: &'static str,
    /// What for.
    pub need: Need,
    /// Why, in a few words.
    pub why: &'static str,
}

const fn package(name: &'static str, probe: &'static str, need: Need, why: &'static str) -> Package {
    Package { name, probe, need, why }
}

/// All packages.
pub const PACKAGES: &[Package] = &[
    package("gcc", "/usr/bin/cc", Need::Run, "links the programs"),
    package("libc6-dev", "/usr/lib/x86_64-linux-gnu/libc.a", Need::Run, "the agent is linked statically"),
    package(
        "postgresql",
        "/usr/lib/postgresql/*/bin/initdb",
        Need::Run,
        "the private database of `rackwright up`",
    ),
    package("bind9-dnsutils", "/usr/bin/dig", Need::Test, "asks our name servers"),
    package("bind9", "/usr/sbin/named", Need::Test, "a secondary of our name servers"),
    package("bind9-utils", "/usr/bin/dnssec-verify", Need::Test, "looks at signed zones"),
    package("ldnsutils", "/usr/bin/ldns-verify-zone", Need::Test, "… and another one"),
    package("snmpd", "/usr/sbin/snmpd", Need::Test, "a switch with SNMPv3"),
    package("knot", "/usr/sbin/knotd", Need::Test, "… and another one"),
    package("chrony", "/usr/sbin/chronyd", Need::Run, "NTP for machines"),
    package("ipxe", "/usr/lib/ipxe/undionly.kpxe", Need::Run, "the boot loader that firmware fetches"),
    package("shim-signed", "/usr/lib/shim/shimx64.efi.signed", Need::Run, "Secure Boot: first loader"),
    package(
        "grub-efi-amd64-signed",
        "/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed",
        Need::Run,
        "Secure Boot: second loader",
    ),
    package("qemu-utils", "/usr/bin/qemu-img", Need::Run, "reads images at import"),
    package("mmdebstrap", "/usr/bin/mmdebstrap", Need::Images, "installs packages into a new root"),
    package("busybox-static", "/bin/busybox", Need::Images, "user land of the ephemeral environment"),
    package("cpio", "/usr/bin/cpio", Need::Images, "looks into an initramfs"),
    package("kmod", "/sbin/depmod", Need::Images, "dependencies of kernel modules"),
    package("zstd", "/usr/bin/zstd", Need::Images, "compresses images"),
    package("fdisk", "/sbin/sfdisk", Need::Images, "partition tables"),
    package("e2fsprogs", "/sbin/mke2fs", Need::Images, "ext4"),
    package("dosfstools", "/sbin/mkfs.vfat", Need::Images, "EFI system partitions"),
    package("mtools", "/usr/bin/mcopy", Need::Images, "EFI system partitions without mounting"),
    package("squashfs-tools", "/usr/bin/mksquashfs", Need::Images, "the toolbox"),
    package(
        "grub-pc-bin",
        "/usr/lib/grub/i386-pc/boot.img",
        Need::Images,
        "installed systems that start by BIOS",
    ),
    package("grub-efi-amd64-bin", "/usr/lib/grub/x86_64-efi/kernel.img", Need::Images, "… and by UEFI"),
    package("grub-common", "/usr/bin/grub-mkimage", Need::Images, "core image of the boot loader"),
    package("iproute2", "/usr/bin/ss", Need::Lab, "namespaces, bridges, taps"),
    package("qemu-system-x86", "/usr/bin/qemu-system-x86_64", Need::Lab, "the machines"),
    package("ipxe-qemu", "/usr/lib/ipxe/qemu/efi-virtio.rom", Need::Lab, "their network cards' option ROMs"),
    package("ovmf", "/usr/share/OVMF/OVMF_CODE_4M.ms.fd", Need::Lab, "their UEFI firmware"),
    package("openipmi", "/usr/bin/ipmi_sim", Need::Lab, "their BMCs"),
    package("ipmitool", "/usr/bin/ipmitool", Need::Lab, "an IPMI client nobody here wrote"),
    package("openssh-client", "/usr/bin/ssh", Need::Lab, "shows that the installed system answers"),
    package("curl", "/usr/bin/curl", Need::Test, "an HTTP client nobody here wrote"),
    package("freeipmi-tools", "/usr/sbin/ipmipower", Need::Test, "a second IPMI client"),
    package("isc-dhcp-client", "/sbin/dhclient", Need::Test, "a DHCP client nobody here wrote"),
    package("udhcpc", "/sbin/udhcpc", Need::Test, "a second DHCP client"),
    package("dhcpcd-base", "/usr/sbin/dhcpcd", Need::Test, "a third DHCP client"),
    package(
        "network-manager",
        "/usr/sbin/NetworkManager",
        Need::Test,
        "a fourth DHCP client, of both families",
    ),
    package("dbus", "/usr/bin/dbus-daemon", Need::Test, "the bus by which it and networkd are asked"),
    package("isc-dhcp-relay", "/usr/sbin/dhcrelay", Need::Test, "a DHCP relay that adds option 82"),
    package(
        "kea-admin",
        "/usr/sbin/perfdhcp",
        Need::Test,
        "perfdhcp: whether every DHCP exchange is complete",
    ),
    package("tftp-hpa", "/usr/bin/tftp", Need::Test, "a TFTP client nobody here wrote"),
    package("atftp", "/usr/bin/atftp", Need::Test, "a second TFTP client"),
    package("socat", "/usr/bin/socat", Need::Test, "small servers in namespaces"),
    package("tcpdump", "/usr/bin/tcpdump", Need::Test, "what was on the wire"),
    package(
        "systemd",
        "/usr/bin/systemd-analyze",
        Need::Test,
        "reads the packaged units; networkd as a DHCP client",
    ),
    package("jq", "/usr/bin/jq", Need::Test, "a JSON parser nobody here wrote"),
    package("npm", "/usr/bin/npm", Need::Browser, "brings what is not packaged: axe-core, oidc-provider"),
    package(
        "python3-aiosmtpd",
        "/usr/lib/python3/dist-packages/aiosmtpd/__init__.py",
        Need::Test,
        "a mail server nobody here wrote",
    ),
    package("chromium", "/usr/bin/chromium", Need::Browser, "opens the web pages"),
    package(
        "dnsmasq-base",
        "/usr/sbin/dnsmasq",
        Need::Test,
        "a DHCP server nobody here wrote; the floor to measure against",
    ),
    package("etcd-server", "/usr/bin/etcd", Need::Cluster, "where Patroni agrees on a leader"),
    package("etcd-client", "/usr/bin/etcdctl", Need::Cluster, "members of that"),
    package("haproxy", "/usr/sbin/haproxy", Need::Cluster, "people reach whatever region is well"),
    package("keepalived", "/usr/sbin/keepalived", Need::Cluster, "… at one address"),
    package(
        "faketime",
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        Need::Cluster,
        "clocks that jump",
    ),
    package("nftables", "/usr/sbin/nft", Need::Cluster, "packets that are lost"),
    package("python3-venv", "/usr/share/doc/python3-venv", Need::Cluster, "Patroni comes from PyPI"),
    package(
        "libxml2-utils",
        "/usr/bin/xmllint",
        Need::Test,
        "ocf-tester reads the agents' descriptions with it",
    ),
    package("resource-agents", "/usr/sbin/ocf-tester", Need::Test, "tries the packaged OCF agents"),
    package("kea-dhcp4-server", "/usr/sbin/kea-dhcp4", Need::Bench, "a DHCP server to measure against"),
    package("dnsperf", "/usr/bin/dnsperf", Need::Bench, "questions by the thousand"),
    package("nginx", "/usr/sbin/nginx", Need::Bench, "the floor to measure against"),
];
