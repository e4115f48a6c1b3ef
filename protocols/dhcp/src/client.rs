//! What a message says about the machine that sent it.

use crate::mac::MacAddr;
use crate::options::{Options, code};
use crate::packet::Packet;

/// Client architecture, option 93 (RFC 4578 §2.1 and IANA's registry): 0 BIOS, 7 and 9 UEFI x86-64, 11 UEFI arm64,
/// 16 UEFI x86-64 over HTTP, 19 UEFI arm64 over HTTP.
pub type Arch = u16;

/// Flags of option 81: the server shall enter nothing, the name is in the form of the DNS.
const NO_UPDATES: u8 = 8;
const ENCODED: u8 = 4;

/// How a client loads its next stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BootKind {
    /// It does not boot from the network: an operating system, a BMC, a printer.
    None,
    /// Firmware that takes a file by TFTP.
    Pxe,
    /// UEFI firmware that takes a URL.
    Http,
    /// iPXE, which takes a script's URL.
    Ipxe,
}

/// The facts of one message that decide and describe a boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Ethernet address.
    pub mac: Option<MacAddr>,
    /// How it boots.
    pub boot: BootKind,
    /// The architectures of option 93, or the one in the vendor class's text; empty when it says none.
    pub archs: Vec<Arch>,
    /// The machine's UUID (option 97) in the order in which it is printed.
    pub uuid: Option<[u8; 16]>,
    /// Option 60.
    pub vendor_class: Option<String>,
    /// The name by which it calls itself: option 81 before option 12; none when it asks that nobody enter it in the DNS.
    pub hostname: Option<String>,
}

impl Client {
    /// Reads the facts; what is missing or malformed is absent.
    pub fn of(packet: &Packet) -> Client {
        let options = &packet.options;
        let vendor_class = options.text(code::VENDOR_CLASS).map(|t| limited(t, 128));
        let class = vendor_class.as_deref().unwrap_or("");
        Client {
            mac: packet.mac(),
            boot: boot_kind(packet, class),
            archs: archs(packet, class),
            uuid: options.get(code::CLIENT_UUID).and_then(uuid),
            hostname: hostname(options),
            vendor_class,
        }
    }

    /// The UUID as it is printed on the chassis and by `dmidecode`.
    pub fn uuid_text(&self) -> Option<String> {
        let hex: String = self.uuid?.iter().map(|b| format!("{b:02x}")).collect();
        Some(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
    }
}

/// Option 81 (RFC 4702 §2.1) is flags, two bytes of no meaning, and a name, as text or in the form of the DNS.
fn hostname(options: &Options) -> Option<String> {
    let told = options.text(code::HOSTNAME);
    let name = match options.get(code::CLIENT_FQDN) {
        Some([flags, ..]) if flags & NO_UPDATES != 0 => return None,
        Some([flags, _, _, name @ ..]) if flags & ENCODED != 0 => first_label(name).or(told),
        Some([_, _, _, name @ ..]) if !name.is_empty() => Some(String::from_utf8_lossy(name).into_owned()),
        _ => told,
    };
    name.map(|t| limited(t, 253)).filter(|t| !t.is_empty())
}

/// Which host it is; the domain is not the client's to choose.
fn first_label(name: &[u8]) -> Option<String> {
    let (length, rest) = name.split_first()?;
    let label = rest.get(..usize::from(*length)).filter(|l| !l.is_empty())?;
    Some(String::from_utf8_lossy(label).into_owned())
}

fn limited(mut text: String, bytes: usize) -> String {
    while text.len() > bytes {
        text.pop();
    }
    text
}

fn boot_kind(packet: &Packet, class: &str) -> BootKind {
    if is_ipxe(packet) {
        BootKind::Ipxe
    } else if class.starts_with("HTTPClient") {
        BootKind::Http
    } else if class.starts_with("PXEClient") || packet.options.get(code::CLIENT_ARCH).is_some() {
        BootKind::Pxe
    } else {
        BootKind::None
    }
}

/// iPXE names itself in option 77, raw as its ROM does or as one of RFC 3004's length-prefixed classes; option 175
/// carries its features and is sent by nothing else.
fn is_ipxe(packet: &Packet) -> bool {
    let classes = packet.options.get(code::USER_CLASS).unwrap_or(b"");
    classes == b"iPXE" || has_class(classes, b"iPXE") || packet.options.get(code::IPXE).is_some()
}

fn has_class(mut classes: &[u8], wanted: &[u8]) -> bool {
    while let [len, rest @ ..] = classes {
        let Some((class, after)) = rest.split_at_checked(usize::from(*len)) else { return false };
        if class == wanted {
            return true;
        }
        classes = after;
    }
    false
}

/// Option 93 may list several; without it the third part of `PXEClient:Arch:00007:UNDI:003000` tells.
fn archs(packet: &Packet, class: &str) -> Vec<Arch> {
    let listed = packet.options.get(code::CLIENT_ARCH).unwrap_or(b"");
    let archs: Vec<Arch> =
        listed.chunks_exact(2).take(16).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    if !archs.is_empty() {
        return archs;
    }
    let mut parts = class.split(':').skip_while(|part| *part != "Arch").skip(1);
    parts.next().and_then(|arch| arch.parse().ok()).into_iter().collect()
}

/// Option 97 is a type byte, 0 for a UUID, and 16 bytes (RFC 4578 §2.3). All zeros and all ones mean "not set".
fn uuid(option: &[u8]) -> Option<[u8; 16]> {
    let (0, bytes) = option.split_first()? else { return None };
    let bytes: [u8; 16] = *bytes.first_chunk()?;
    (bytes != [0; 16] && bytes != [0xff; 16]).then(|| uuid_from_smbios(bytes))
}

/// The printed order of a UUID as SMBIOS stores it: its first three fields are little-endian there.
pub fn uuid_from_smbios(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[0..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

/// The inverse of [`uuid_from_smbios`].
pub fn uuid_to_smbios(bytes: [u8; 16]) -> [u8; 16] {
    uuid_from_smbios(bytes)
}
