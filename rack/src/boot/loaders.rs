//! The client table of DESIGN §6: which loader firmware of which architecture starts. DHCPv4 and DHCPv6 both read it here.
//!
//! Left out: architectures for which nothing is built (x86 with 32 bits, 32-bit arm, RISC-V): they are told of no file,
//! and their firmware goes on to its next boot entry.

use super::UNSIGNED_LOADER;

/// The loader of one architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loader {
    /// Number of the architecture (RFC 4578 §2.1, RFC 5970 §3.3, IANA's registry of processor architecture types).
    pub architecture: u16,
    /// File among the boot files.
    pub file: &'static str,
    /// The same for firmware that checks signatures, where there is one.
    pub signed: Option<&'static str>,
    /// It is fetched by HTTP, not by TFTP.
    pub http: bool,
}

const SHIM: Option<&str> = Some("shimx64.efi");
const ARM: &str = "snponly-arm64.efi";

const fn by_tftp(architecture: u16, file: &'static str, signed: Option<&'static str>) -> Loader {
    Loader { architecture, file, signed, http: false }
}

/// By HTTP there is no signed loader: the signed GRUB cannot go on by HTTP.
const fn by_http(architecture: u16, file: &'static str) -> Loader {
    Loader { architecture, file, signed: None, http: true }
}

/// All of them.
pub const LOADERS: [Loader; 7] = [
    by_tftp(0, "undionly.kpxe", None),
    by_tftp(7, UNSIGNED_LOADER, SHIM),
    by_tftp(9, UNSIGNED_LOADER, SHIM),
    by_tftp(11, ARM, None),
    by_http(16, UNSIGNED_LOADER),
    by_http(19, ARM),
    // U-Boot on arm64 starts it as UEFI would.
    by_tftp(22, ARM, None),
];

/// Where firmware of these architectures boots: those that the iPXE it starts may name as its own, which are all that
/// have the same loader.
pub fn as_ipxe_says(architectures: &[u16]) -> Vec<u16> {
    let file = |architecture: &u16| LOADERS.iter().find(|l| l.architecture == *architecture).map(|l| l.file);
    let files: Vec<&str> = architectures.iter().filter_map(file).collect();
    LOADERS.iter().filter(|l| files.contains(&l.file)).map(|l| l.architecture).collect()
}
