//! The BMC itself (§20): who made it, restarting it.

use super::{Command, netfn};
use crate::error::{DecodeError, Reader};
use crate::wire::message::Request;

/// Get Device ID (§20.1).
#[derive(Debug, Clone, Copy)]
pub struct GetDeviceId;

/// Who made the BMC; the key for quirks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceId {
    /// Device id chosen by the maker.
    pub device_id: u8,
    /// Firmware version, major part.
    pub firmware_major: u8,
    /// Firmware version, minor part (from BCD).
    pub firmware_minor: u8,
    /// IPMI version, major and minor.
    pub ipmi_version: (u8, u8),
    /// IANA enterprise number.
    pub manufacturer: u32,
    /// Product id chosen by the maker.
    pub product: u16,
    /// The BMC is updating itself and answers nothing else.
    pub updating: bool,
}

impl Command for GetDeviceId {
    type Answer = DeviceId;

    fn request(&self) -> Request {
        Request::new(netfn::APP, 0x01, [])
    }

    fn parse(&self, data: &[u8]) -> Result<DeviceId, DecodeError> {
        let mut reader = Reader::new("Get Device ID", data);
        let [device_id, _revision, major, minor, version, _support] = reader.array()?;
        let [low, middle, high] = reader.array()?;
        let product = reader.u16()?;
        Ok(DeviceId {
            device_id,
            firmware_major: major & 0x7f,
            firmware_minor: (minor >> 4) * 10 + (minor & 0x0f),
            ipmi_version: (version & 0x0f, version >> 4),
            manufacturer: u32::from_le_bytes([low, middle, high & 0x0f, 0]),
            product,
            updating: major & 0x80 != 0,
        })
    }
}

/// Cold Reset and Warm Reset of the BMC (§20.2, §20.3). The machine keeps running; the session dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetBmc {
    /// Everything starts anew.
    Cold,
    /// Settings and sensors stay.
    Warm,
}

impl Command for ResetBmc {
    type Answer = ();

    fn request(&self) -> Request {
        let command = match self {
            Self::Cold => 0x02,
            Self::Warm => 0x03,
        };
        Request::new(netfn::APP, command, [])
    }

    fn parse(&self, _data: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Get System GUID (§22.14): on many machines the SMBIOS UUID.
#[derive(Debug, Clone, Copy)]
pub struct GetSystemGuid;

impl Command for GetSystemGuid {
    type Answer = [u8; 16];

    fn request(&self) -> Request {
        Request::new(netfn::APP, 0x37, [])
    }

    /// The 16 bytes as sent; their order differs between makers.
    fn parse(&self, data: &[u8]) -> Result<[u8; 16], DecodeError> {
        Reader::new("Get System GUID", data).array()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_id_of_the_openipmi_simulator() {
        let data = [0x00, 0x03, 0x09, 0x08, 0x02, 0x9f, 0x91, 0x12, 0x00, 0x02, 0x0f, 0, 0, 0, 0];
        let id = GetDeviceId.parse(&data).unwrap();
        assert_eq!(
            (id.manufacturer, id.product, id.firmware_major, id.firmware_minor),
            (0x1291, 0x0f02, 9, 8)
        );
        assert_eq!(id.ipmi_version, (2, 0));
        assert!(GetDeviceId.parse(&data[..10]).is_err());
    }
}
