//! Application commands: identity, sessions, users, payloads.

use super::{Reply, SOL_PAYLOAD, Server, User};
use crate::command::completion;
use crate::crypto::{Suite, same};
use crate::secret::Secret;
use crate::wire::message::Request;
use crate::wire::rakp::Privilege;

/// Account slots, numbered from 1; slot 1 is the nameless user and stays shut.
const USER_SLOTS: usize = 16;
const LAN_CHANNEL: u8 = 1;

impl Server {
    /// Commands allowed without a session (§13.14, appendix G).
    pub(super) fn command_before_login(&self, request: &Request) -> Reply {
        match (request.netfn, request.command, request.data.as_slice()) {
            (0x06, 0x37, []) => Ok(self.config.guid.to_vec()),
            (0x06, 0x38, [channel, _level]) => self.authentication_capabilities(*channel),
            (0x06, 0x54, [_channel, _payload, index]) => self.cipher_suites(*index),
            (0x06, 0x37 | 0x38 | 0x54, _) => Err(completion::LENGTH_INVALID),
            _ => Err(completion::INSUFFICIENT_PRIVILEGE),
        }
    }

    fn authentication_capabilities(&self, channel: u8) -> Reply {
        // IPMI 2.0 data is wanted by bit 7; without it only "no authentication type" remains to say.
        let extended = channel & 0x80;
        let key = if self.config.kg.is_some() { 0x20 } else { 0 };
        Ok(vec![LAN_CHANNEL, extended, key | 0x04, 0x02, 0, 0, 0, 0])
    }

    fn cipher_suites(&self, index: u8) -> Reply {
        let mut records = Vec::new();
        for suite in &self.config.suites {
            let [authentication, integrity, confidentiality] = suite.algorithms();
            records.extend([0xc0, suite.id(), authentication, 0x40 | integrity, 0x80 | confidentiality]);
        }
        let start = usize::from(index & 0x3f) * 16;
        let block = records.get(start..).unwrap_or_default();
        Ok([&[LAN_CHANNEL], &block[..block.len().min(16)]].concat())
    }

    pub(super) fn app_command(&mut self, id: u32, request: &Request) -> Reply {
        match (request.command, request.data.as_slice()) {
            (0x01, []) => Ok(self.device_id()),
            (0x02 | 0x03, []) => self.reset_bmc(id),
            (0x04, []) => Ok(vec![0x55, 0x00]),
            (0x08, []) => Ok(self.config.guid.to_vec()),
            (0x3b, [level]) => self.set_session_privilege(id, *level),
            (0x3c, data) => self.close_session(id, data),
            (0x3d, _) => Ok(vec![1, 8, self.sessions.len() as u8, 2, self.privilege(id).code(), 0x11]),
            (0x40, _) => Ok(Vec::new()),
            (0x41, _) => Ok(vec![0x02, 0x04]),
            (0x42, [channel]) => self.channel_info(*channel),
            (0x43..=0x47, data) => self.user_command(id, request.command, data),
            (0x48, [1, 1, ..]) => self.activate_sol(id),
            (0x49, [1, 1, ..]) => self.deactivate_sol(),
            (0x4a, _) => Ok(vec![1, u8::from(self.sol.is_some()), 0]),
            (0x4b, _) => {
                let session = self.sol.as_ref().map_or(0, |sol| sol.session);
                let mut data = session.to_le_bytes().to_vec();
                data.resize(12, 0);
                Ok(data)
            }
            (0x4c, [..]) => Ok(Vec::new()),
            (0x4d, _) => Ok(vec![0x02, 0, 0, 0]),
            (0x4e, _) => Ok(vec![0x03, 0, 0, 0, 0, 0, 0, 0]),
            _ => self.command_before_login(request).map_err(|_| completion::INVALID_COMMAND),
        }
    }

    fn device_id(&self) -> Vec<u8> {
        let [m0, m1, m2, _] = self.config.manufacturer.to_le_bytes();
        let [p0, p1] = self.config.product.to_le_bytes();
        vec![0x20, 0x81, 0x01, 0x00, 0x02, 0xbf, m0, m1, m2, p0, p1, 0, 0, 0, 0]
    }

    fn reset_bmc(&mut self, id: u32) -> Reply {
        self.require(id, Privilege::Administrator)?;
        // The answer is still sent; then every session is gone.
        let others: Vec<u32> = self.sessions.keys().copied().filter(|other| *other != id).collect();
        for other in others {
            self.drop_session(other);
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.close();
        }
        Ok(Vec::new())
    }

    fn set_session_privilege(&mut self, id: u32, level: u8) -> Reply {
        let session = self.sessions.get_mut(&id).ok_or(completion::UNSPECIFIED)?;
        if level & 0x0f != 0 {
            let wanted = Privilege::from_code(level).ok_or(completion::INVALID_FIELD)?;
            if wanted > session.peer.limit {
                return Err(0x81);
            }
            session.set_privilege(wanted);
        }
        Ok(vec![session.privilege().code()])
    }

    fn close_session(&mut self, id: u32, data: &[u8]) -> Reply {
        let Some(wanted) = data.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes)) else {
            return Err(completion::LENGTH_INVALID);
        };
        if wanted != id {
            self.require(id, Privilege::Administrator)?;
        }
        self.sessions.get_mut(&wanted).ok_or(0x87u8)?.close();
        if wanted != id {
            self.drop_session(wanted);
        }
        Ok(Vec::new())
    }

    fn channel_info(&self, channel: u8) -> Reply {
        match channel & 0x0f {
            LAN_CHANNEL | 0x0e => Ok(vec![LAN_CHANNEL, 0x04, 0x01, 0x80, 0xf2, 0x1b, 0, 0, 0]),
            _ => Err(completion::INVALID_FIELD),
        }
    }

    fn activate_sol(&mut self, id: u32) -> Reply {
        if self.sol.is_some() {
            return Err(crate::command::sol::ALREADY_ACTIVE);
        }
        self.start_sol(id);
        let [s0, s1] = SOL_PAYLOAD.to_le_bytes();
        let [p0, p1] = self.config.port.to_le_bytes();
        Ok(vec![0, 0, 0, 0, s0, s1, s0, s1, p0, p1, 0xff, 0xff])
    }

    fn deactivate_sol(&mut self) -> Reply {
        // 0x80: payload already deactivated.
        self.sol.take().map(|_| Vec::new()).ok_or(0x80)
    }

    fn user_command(&mut self, id: u32, command: u8, data: &[u8]) -> Reply {
        self.require(id, if command == 0x47 { Privilege::Administrator } else { Privilege::Operator })?;
        match (command, data) {
            (0x43, [_, slot, limit, ..]) => {
                let privilege = Privilege::from_code(*limit).unwrap_or(Privilege::User);
                self.user_mut(*slot)?.privilege = privilege;
                Ok(Vec::new())
            }
            (0x44, [_, slot]) => self.user_access(slot & 0x3f),
            (0x45, [slot, name @ ..]) => {
                let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len()).min(16);
                self.user_mut(*slot)?.name = String::from_utf8_lossy(&name[..end]).into_owned();
                Ok(Vec::new())
            }
            (0x46, [slot]) => {
                let mut name =
                    self.user(slot & 0x3f).map_or(Vec::new(), |user| user.name.clone().into_bytes());
                name.resize(16, 0);
                Ok(name)
            }
            (0x47, [slot, operation, password @ ..]) => self.user_password(*slot, *operation, password),
            _ => Err(completion::LENGTH_INVALID),
        }
    }

    fn user(&self, slot: u8) -> Option<&User> {
        self.config.users.get(usize::from(slot).checked_sub(2)?)
    }

    /// The account of a slot, made when it is empty.
    fn user_mut(&mut self, slot: u8) -> Result<&mut User, u8> {
        let slot = usize::from(slot & 0x3f);
        if !(2..=USER_SLOTS).contains(&slot) {
            return Err(completion::INVALID_FIELD);
        }
        let users = &mut self.config.users;
        while users.len() < slot - 1 {
            users.push(User {
                name: String::new(),
                password: Secret::default(),
                privilege: Privilege::User,
                enabled: false,
            });
        }
        users.get_mut(slot - 2).ok_or(completion::INVALID_FIELD)
    }

    fn user_access(&self, slot: u8) -> Reply {
        if !(1..=USER_SLOTS).contains(&usize::from(slot)) {
            return Err(completion::OUT_OF_RANGE);
        }
        let enabled = self.config.users.iter().filter(|user| user.enabled).count() as u8;
        let access = match self.user(slot) {
            Some(user) => user.privilege.code() | if user.enabled { 0x30 } else { 0 },
            None => 0x0f,
        };
        Ok(vec![USER_SLOTS as u8, 0x40 | enabled, 1, access])
    }

    fn user_password(&mut self, slot: u8, operation: u8, password: &[u8]) -> Reply {
        let end = password.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let password = &password[..end.min(20)];
        let user = self.user_mut(slot)?;
        match operation & 3 {
            0 => user.enabled = false,
            1 => user.enabled = true,
            2 => user.password = Secret::new(password),
            _ if same(user.password.expose(), password) => {}
            _ => return Err(0x80),
        }
        Ok(Vec::new())
    }

    /// The suites spoken, for the LAN parameters.
    pub(super) fn suites(&self) -> &[Suite] {
        &self.config.suites
    }
}
