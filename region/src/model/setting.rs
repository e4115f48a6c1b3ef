//! The settings of a site: typed, each with a default, so that an empty table is a working site.

use rackwright_common::storage::EraseMode;
use serde::{Deserialize, Serialize};

/// All settings. Stored one row per field that differs from its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Settings {
    /// A machine nobody knows boots the ephemeral environment and is entered as New.
    pub enlist: bool,
    /// A machine that was just enlisted is commissioned at once.
    pub auto_commission: bool,
    /// Test scripts that run when nobody names others.
    pub default_tests: Vec<String>,
    /// Appended to the kernel command line of the ephemeral environment, such as `console=ttyS0`.
    pub ephemeral_kernel_arguments: String,
    /// Appended to the kernel command line of installed systems.
    pub installed_kernel_arguments: String,
    /// Racks answer router solicitations on served networks; saves old iPXE 13 s where no router does.
    pub router_advertisements: bool,
    /// While an operation works on a machine, racks record its serial console through its BMC (IPMI).
    pub record_consoles: bool,
    /// Image that a deployment gets when it names none.
    pub default_image: Option<String>,
    /// How disks are erased when a release does not say.
    pub default_erase: EraseMode,
    /// Name servers to which racks pass on what they do not know.
    #[schema(value_type = Vec<String>)]
    pub upstream_dns: Vec<std::net::IpAddr>,
    /// Time servers, names or addresses, from which regions take the time, and racks where no region serves it.
    pub ntp_servers: Vec<String>,
    /// The controllers' own clocks count while no time server has given the time. Without it they say then that they do not
    /// know it.
    pub ntp_local_reference: bool,
}

/// The tests of the default run: small, without the toolbox, harmless to data.
pub const QUICK_TESTS: [&str; 4] = ["cpu-quick", "memory-quick", "disk-quick", "network-quick"];

impl Default for Settings {
    fn default() -> Self {
        Self {
            enlist: true,
            auto_commission: true,
            default_tests: QUICK_TESTS.map(str::to_owned).into(),
            ephemeral_kernel_arguments: String::new(),
            installed_kernel_arguments: String::new(),
            router_advertisements: true,
            record_consoles: true,
            default_image: None,
            default_erase: EraseMode::None,
            upstream_dns: Vec::new(),
            ntp_servers: Vec::new(),
            ntp_local_reference: false,
        }
    }
}

/// A value that a setting cannot take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidSetting {
    /// Which setting.
    pub name: String,
    /// What is wrong with it.
    pub message: String,
}

impl Settings {
    /// Names and values, as stored.
    pub fn to_map(&self) -> serde_json::Map<String, serde_json::Value> {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(map)) => map,
            Ok(_) | Err(_) => unreachable!("a struct of plain fields is a JSON object"),
        }
    }

    /// These settings with some changed, each checked.
    pub fn with(&self, changes: &serde_json::Map<String, serde_json::Value>) -> Result<Self, InvalidSetting> {
        let mut map = self.to_map();
        for (name, value) in changes {
            let refused = |message: String| InvalidSetting { name: name.clone(), message };
            if !map.contains_key(name) {
                return Err(refused(format!(
                    "there is no setting `{name}`; `GET /api/v1/settings` lists them"
                )));
            }
            // One at a time, so that the error names the setting at fault.
            let one = serde_json::Map::from_iter([(name.clone(), value.clone())]);
            serde_json::from_value::<Self>(one.into())
                .map_err(|e| refused(format!("`{value}` does not fit the setting `{name}`: {e}")))?
                .check()
                .map_err(refused)?;
            map.insert(name.clone(), value.clone());
        }
        serde_json::from_value(map.into())
            .map_err(|e| InvalidSetting { name: String::new(), message: e.to_string() })
    }

    fn check(&self) -> Result<(), String> {
        for arguments in [&self.ephemeral_kernel_arguments, &self.installed_kernel_arguments] {
            if arguments.len() > 1024 || arguments.chars().any(char::is_control) {
                return Err("kernel arguments are one line of at most 1024 bytes".into());
            }
        }
        if let Some(server) = self.ntp_servers.iter().find(|s| !is_host(s)) {
            return Err(format!("`{server}` is not the name or address of a time server"));
        }
        Ok(())
    }
}

/// An address, or a name of letters, digits, hyphens and dots.
fn is_host(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    let is_name = text.bytes().all(plain) && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    text.len() <= 253 && (is_name || text.parse::<std::net::IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changes(value: serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_change_keeps_the_rest() {
        let settings = Settings::default().with(&changes(json!({ "enlist": false }))).unwrap();
        assert_eq!(settings, Settings { enlist: false, ..Settings::default() });
    }

    #[test]
    fn the_setting_at_fault_is_named() {
        let wrong = Settings::default().with(&changes(json!({ "enlist": "no" }))).unwrap_err();
        assert_eq!(wrong.name, "enlist");
        assert!(wrong.message.contains("does not fit"), "{wrong}");
        let unknown = Settings::default().with(&changes(json!({ "colour": 1 }))).unwrap_err();
        assert!(unknown.message.contains("no setting `colour`"), "{unknown}");
        let line =
            Settings::default().with(&changes(json!({ "ephemeral_kernel_arguments": "a\nb" }))).unwrap_err();
        assert!(line.message.contains("one line"), "{line}");
    }
}
