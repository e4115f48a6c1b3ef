//! What a machine is told to boot.

use super::Exchange;
use crate::client::{BootKind, Client};
use crate::config::{Config, HostBoot};
use crate::options::code;
use crate::packet::Packet;

/// PXE discovery control (PXE 2.1 §2.2.3): bit 3, take the file of this message and look for no boot server. Without
/// it some firmware that sees option 60 waits for a menu.
const PXE_TAKE_THIS_FILE: [u8; 4] = [6, 1, 8, 255];
/// iPXE's option 176 within 175, "no ProxyDHCP": saves its three seconds of waiting for one.
const IPXE_NO_PROXY: [u8; 3] = [176, 1, 1];

/// What the machine may boot; `None` when nothing.
fn permission(config: &Config, client: &Client) -> Option<HostBoot> {
    let boot = config.host_boot(client.uuid, client.mac).unwrap_or(config.boot.unknown);
    let refuses_usual = client.mac.is_some_and(|mac| config.signed.contains(&mac));
    match boot {
        HostBoot::Never => None,
        HostBoot::Network | HostBoot::Either if refuses_usual => Some(HostBoot::Secure),
        boot => Some(boot),
    }
}

/// Whether it asks to boot and may not.
pub(super) fn is_denied(config: &Config, client: &Client) -> bool {
    client.boot != BootKind::None && permission(config, client).is_none()
}

impl Exchange<'_> {
    /// Fills in the boot file, when this client boots, may, and there is one for it.
    pub(super) fn add_boot(&self, packet: &mut Packet) {
        if !self.may_boot_here() {
            return;
        }
        let Some(file) = permission(self.config, self.client).and_then(|boot| self.boot_file(boot)) else {
            return;
        };
        let server = self.server_id_text();
        packet.siaddr = self.arrival.server;
        // A name too long for the field goes by option 67 alone, which everything that takes URLs reads.
        let fits = packet.set_file(&file);
        let options = &mut packet.options;
        for class in ["PXEClient", "HTTPClient"] {
            if self.client.vendor_class.as_deref().is_some_and(|c| c.starts_with(class)) {
                options.set(code::VENDOR_CLASS, class);
            }
        }
        match self.client.boot {
            BootKind::Pxe => {
                options.set(code::VENDOR_SPECIFIC, PXE_TAKE_THIS_FILE);
                if let Some(uuid) = self.packet.options.get(code::CLIENT_UUID) {
                    options.set(code::CLIENT_UUID, uuid);
                }
            }
            BootKind::Ipxe => options.set(code::IPXE, IPXE_NO_PROXY),
            BootKind::Http | BootKind::None => {}
        }
        options.set(code::BOOT_FILE, file);
        options.set(code::TFTP_SERVER, server.as_str());
        if fits {
            packet.set_sname(&server);
        }
    }

    /// Whether the subnet lets this architecture boot.
    fn may_boot_here(&self) -> bool {
        let more = &self.subnet.more;
        let all = if self.client.boot == BootKind::Ipxe { &more.ipxe_archs } else { &more.boot_archs };
        let allowed = |allowed: &Vec<u16>| match self.client.archs.as_slice() {
            [] => allowed.contains(&0),
            archs => archs.iter().any(|arch| allowed.contains(arch)),
        };
        all.as_ref().is_none_or(allowed)
    }

    fn server_id_text(&self) -> String {
        self.arrival.server.to_string()
    }

    /// The name or URL with its places filled in.
    fn boot_file(&self, permission: HostBoot) -> Option<String> {
        let boot = &self.config.boot;
        let loader = || {
            let firmware_without_arch = if self.client.archs.is_empty() { Some(&0) } else { None };
            let mut archs = self.client.archs.iter().chain(firmware_without_arch);
            archs.find_map(|arch| boot.loaders.iter().find(|l| l.arch == *arch))
        };
        let template = match self.client.boot {
            BootKind::None => None,
            BootKind::Ipxe => boot.ipxe_script.as_deref(),
            BootKind::Http if permission == HostBoot::Secure => None,
            BootKind::Http => loader().map(|l| l.file.as_str()),
            BootKind::Pxe if permission == HostBoot::Network => loader().map(|l| l.file.as_str()),
            BootKind::Pxe => loader().map(|l| l.secure.as_ref().unwrap_or(&l.file).as_str()),
        };
        template.map(|text| self.fill_in(text))
    }

    fn fill_in(&self, template: &str) -> String {
        let mac = self.client.mac.map(|mac| mac.to_string()).unwrap_or_default();
        let arch = self.client.archs.first().map(u16::to_string).unwrap_or_default();
        template
            .replace("{server}", &self.server_id_text())
            .replace("{mac}", &mac)
            .replace("{uuid}", &self.client.uuid_text().unwrap_or_default())
            .replace("{arch}", &arch)
    }
}
