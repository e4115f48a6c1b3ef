//! Devices: what has a name and fixed addresses and is no machine.

use super::Layout;
use super::form::{Field, Form};
use crate::command;
use crate::format::Moment;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::model::Role;
use rackwright_region::model::device::{Device, DeviceAddress};
use time::OffsetDateTime;

/// The field with all addresses, one on each line.
pub const ADDRESSES: &str = "device_addresses";

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "devices.html")]
pub struct DevicesPage {
    /// Around it.
    pub layout: Layout,
    /// May change them.
    pub operator: bool,
    /// All of them, and since when.
    pub rows: Vec<(Device, Moment)>,
}

impl DevicesPage {
    /// Of all devices.
    pub fn new(layout: Layout, all: Vec<Device>, now: OffsetDateTime) -> Self {
        let row = |d: Device| {
            let since = Moment::new(d.created_at, now);
            (d, since)
        };
        Self { operator: layout.role >= Role::Operator, layout, rows: all.into_iter().map(row).collect() }
    }
}

/// As the command line has it.
fn line(at: &DeviceAddress) -> String {
    format!("{}={}", at.mac, at.address)
}

/// Makes a device, or changes one.
pub fn edit(csrf: &str, old: Option<&Device>) -> Form {
    let name = old.map(|d| d.hostname.to_string()).unwrap_or_default();
    let addresses: Vec<String> = old.iter().flat_map(|d| &d.addresses).map(line).collect();
    let rows = u8::try_from(addresses.len()).unwrap_or(u8::MAX).clamp(2, 12);
    let fields = vec![
        Field::text("hostname", "Name", name).hint("its name in the DNS").required(),
        Field::area(ADDRESSES, "Addresses", rows, addresses.join("\n"))
            .hint("one on each line, as MAC=ADDRESS, such as 52:54:00:12:34:56=10.77.0.9"),
        Field::text("description", "Description", old.map_or("", |d| &d.description)),
    ];
    match old {
        None => Form::new("edit", "/devices/new", csrf, fields)
            .titled("A new device", "Enter it")
            .command(command::DEVICE_CREATE, Vec::new()),
        Some(d) => Form::new("edit", format!("/devices/{}", d.id), csrf, fields)
            .titled("Name and addresses", "Save")
            .command(command::DEVICE_SET, vec![("id", d.id.to_string())]),
    }
}

/// Removes a device.
pub fn delete(csrf: &str, device: &Device) -> Form {
    Form::new("delete", format!("/devices/{}/delete", device.id), csrf, Vec::new())
        .titled("Remove", format!("Remove {}", device.hostname))
        .intro("Its name and its addresses are free for others.")
        .danger()
        .command(command::DEVICE_DELETE, vec![("id", device.id.to_string())])
}

#[cfg(test)]
impl DevicesPage {
    /// Every text is markup.
    pub fn sample() -> Self {
        let device = Device {
            id: 1,
            hostname: "pdu-1".parse().expect("a name"),
            description: super::sample::MARKUP.into(),
            addresses: vec![DeviceAddress {
                mac: "52:54:00:00:00:01".parse().expect("a MAC"),
                address: "10.77.0.9".parse().expect("an address"),
            }],
            created_at: super::sample_now().into(),
        };
        Self::new(Layout::sample("Discovery"), vec![device], super::sample_now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_shown_with_its_addresses_and_changed_line_by_line() {
        let page = DevicesPage::sample();
        assert!(page.to_string().contains("10.77.0.9"));
        let form = edit("csrf", Some(&page.rows[0].0));
        assert_eq!(form.line(), "rackwright device set 1 --address '52:54:00:00:00:01=10.77.0.9'");
    }
}
