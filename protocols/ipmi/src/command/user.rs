//! BMC users (§22.26–22.30). The agent uses these in band to make the account the rack logs in with.

use super::{Command, netfn};
use crate::error::{DecodeError, Reader};
use crate::secret::Secret;
use crate::wire::message::Request;
use crate::wire::rakp::Privilege;

/// Get User Access (§22.27).
#[derive(Debug, Clone, Copy)]
pub struct GetUserAccess {
    /// LAN channel, 1 on most machines; 0x0e for the present one.
    pub channel: u8,
    /// User slot, 1..=63.
    pub user: u8,
}

/// A user slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserAccess {
    /// Number of slots the BMC has.
    pub slots: u8,
    /// Slots in use and enabled.
    pub enabled_slots: u8,
    /// Slots whose names cannot be changed.
    pub fixed_names: u8,
    /// May be used for IPMI over LAN.
    pub ipmi_messaging: bool,
    /// Highest level; `None` for no access.
    pub privilege: Option<Privilege>,
}

impl Command for GetUserAccess {
    type Answer = UserAccess;

    fn request(&self) -> Request {
        Request::new(netfn::APP, 0x44, [self.channel & 0x0f, self.user & 0x3f])
    }

    fn parse(&self, data: &[u8]) -> Result<UserAccess, DecodeError> {
        let [slots, enabled, fixed, access] = Reader::new("Get User Access", data).array()?;
        Ok(UserAccess {
            slots: slots & 0x3f,
            enabled_slots: enabled & 0x3f,
            fixed_names: fixed & 0x3f,
            ipmi_messaging: access & 0x10 != 0,
            privilege: Privilege::from_code(access),
        })
    }
}

/// Set User Access (§22.26).
#[derive(Debug, Clone, Copy)]
pub struct SetUserAccess {
    /// LAN channel.
    pub channel: u8,
    /// User slot.
    pub user: u8,
    /// Highest level.
    pub privilege: Privilege,
}

impl Command for SetUserAccess {
    type Answer = ();

    fn request(&self) -> Request {
        // Change enable bits; IPMI messaging and link authentication on, callback only off.
        let first = 0x80 | 0x20 | 0x10 | (self.channel & 0x0f);
        Request::new(netfn::APP, 0x43, [first, self.user & 0x3f, self.privilege.code(), 0])
    }

    fn parse(&self, _data: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Get User Name (§22.29).
#[derive(Debug, Clone, Copy)]
pub struct GetUserName {
    /// User slot.
    pub user: u8,
}

impl Command for GetUserName {
    type Answer = String;

    fn request(&self) -> Request {
        Request::new(netfn::APP, 0x46, [self.user & 0x3f])
    }

    fn parse(&self, data: &[u8]) -> Result<String, DecodeError> {
        let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
        Ok(String::from_utf8_lossy(&data[..end.min(16)]).into_owned())
    }
}

/// Set User Name (§22.28).
#[derive(Debug, Clone)]
pub struct SetUserName {
    /// User slot.
    pub user: u8,
    /// The name; cut at 16 bytes.
    pub name: String,
}

impl Command for SetUserName {
    type Answer = ();

    fn request(&self) -> Request {
        let mut data = vec![self.user & 0x3f];
        data.extend(self.name.bytes().take(16));
        data.resize(17, 0);
        Request::new(netfn::APP, 0x45, data)
    }

    fn parse(&self, _data: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Set User Password (§22.30).
#[derive(Debug, Clone)]
pub enum SetUserPassword {
    /// A password of at most 20 bytes.
    Set {
        /// User slot.
        user: u8,
        /// The password.
        password: Secret,
    },
    /// Lets the user log in.
    Enable {
        /// User slot.
        user: u8,
    },
    /// Locks the user out.
    Disable {
        /// User slot.
        user: u8,
    },
    /// Asks whether the password is this one: success, or completion code 0x80.
    Test {
        /// User slot.
        user: u8,
        /// The password to compare.
        password: Secret,
    },
}

impl Command for SetUserPassword {
    type Answer = ();

    fn request(&self) -> Request {
        let (user, operation, password) = match self {
            Self::Disable { user } => (user, 0, None),
            Self::Enable { user } => (user, 1, None),
            Self::Set { user, password } => (user, 2, Some(password)),
            Self::Test { user, password } => (user, 3, Some(password)),
        };
        let mut data = vec![user & 0x3f, operation];
        if let Some(password) = password {
            // The 20-byte form, which is what RMCP+ wants.
            data[0] |= 0x80;
            data.extend(password.expose().iter().take(20));
            data.resize(22, 0);
        }
        Request::new(netfn::APP, 0x47, data)
    }

    fn parse(&self, _data: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Set User Payload Access (§24.6): lets a user open the serial console.
#[derive(Debug, Clone, Copy)]
pub struct EnableSolAccess {
    /// LAN channel.
    pub channel: u8,
    /// User slot.
    pub user: u8,
}

impl Command for EnableSolAccess {
    type Answer = ();

    fn request(&self) -> Request {
        Request::new(netfn::APP, 0x4c, [self.channel & 0x0f, self.user & 0x3f, 0x02, 0, 0, 0])
    }

    fn parse(&self, _data: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_a_password_sends_twenty_bytes() {
        let request = SetUserPassword::Set { user: 3, password: Secret::new(*b"pw") }.request();
        assert_eq!((request.netfn, request.command), (6, 0x47));
        assert_eq!(request.data[..4], [0x83, 2, b'p', b'w']);
        assert_eq!(request.data.len(), 22);
    }

    #[test]
    fn access_and_name() {
        let access = GetUserAccess { channel: 1, user: 2 }.parse(&[0x0a, 0x42, 0x01, 0x34]).unwrap();
        assert_eq!(
            (access.slots, access.enabled_slots, access.privilege),
            (10, 2, Some(Privilege::Administrator))
        );
        assert!(access.ipmi_messaging);
        assert_eq!(GetUserName { user: 2 }.parse(b"admin\0\0\0\0\0\0\0\0\0\0\0").unwrap(), "admin");
        assert_eq!(SetUserName { user: 2, name: "admin".into() }.request().data.len(), 17);
        let set = SetUserAccess { channel: 1, user: 2, privilege: Privilege::Operator }.request();
        assert_eq!(set.data, [0xb1, 2, 3, 0]);
    }
}
