//! Open Session and RAKP on the BMC's side.

use std::time::Instant;

use super::{Peer, SLOTS, Server, ServerSession};
use crate::crypto::{Suite, same};
use crate::wire::packet::payload;
use crate::wire::rakp::{
    Exchange, NAME_ONLY_LOOKUP, OpenRequest, OpenResponse, Privilege, Rakp1, Rakp2, RakpProof, Status,
};

type Answer = Option<(u8, Vec<u8>)>;

impl Server {
    pub(super) fn open_session(&mut self, now: Instant, bytes: &[u8]) -> Answer {
        let request = OpenRequest::decode(bytes).ok()?;
        let suite =
            Suite::from_algorithms(request.algorithms).filter(|suite| self.config.suites.contains(suite));
        let response = match suite {
            None => refuse_open(&request, Status::NO_SUITE),
            Some(_) if self.sessions.len() >= SLOTS => refuse_open(&request, Status::NO_RESOURCES),
            Some(suite) => self.take_slot(now, &request, suite),
        };
        Some((payload::OPEN_RESPONSE, response.encode()))
    }

    fn take_slot(&mut self, now: Instant, request: &OpenRequest, suite: Suite) -> OpenResponse {
        let mut id = self.entropy.session_id();
        while self.sessions.contains_key(&id) {
            id = self.entropy.session_id();
        }
        let peer = Peer {
            suite,
            console_id: request.console_id,
            console_random: [0; 16],
            bmc_random: self.entropy.array(),
            role: 0,
            name: Vec::new(),
            user: None,
            limit: Privilege::from_code(request.privilege).unwrap_or(Privilege::Administrator),
        };
        let privilege = peer.limit.code();
        self.sessions.insert(id, ServerSession::new(now, peer));
        OpenResponse {
            tag: request.tag,
            status: Status::OK,
            privilege,
            console_id: request.console_id,
            granted: Some((id, suite.algorithms())),
        }
    }

    pub(super) fn rakp1(&mut self, bytes: &[u8]) -> Answer {
        let message = Rakp1::decode(bytes).ok()?;
        let session = self.sessions.get_mut(&message.bmc_id)?;
        let found = find_user(&self.config.users, &message);
        let peer = &mut session.peer;
        let mut answer = Rakp2 {
            tag: message.tag,
            status: Status::OK,
            console_id: peer.console_id,
            bmc_random: peer.bmc_random,
            guid: self.config.guid,
            code: Vec::new(),
        };
        match found {
            Err(status) => {
                answer.status = status;
                self.drop_session(message.bmc_id);
            }
            Ok((index, limit)) => {
                peer.console_random = message.console_random;
                peer.role = message.role;
                peer.name = message.name;
                peer.user = Some(index);
                peer.limit = limit;
                answer.code = self.exchange(message.bmc_id)?.rakp2_code(self.password(index)?);
            }
        }
        Some((payload::RAKP2, answer.encode()))
    }

    pub(super) fn rakp3(&mut self, now: Instant, bytes: &[u8]) -> Answer {
        let message = RakpProof::decode(bytes).ok()?;
        let id = message.session_id;
        let user = self.sessions.get(&id)?.peer.user?;
        if message.status != Status::OK {
            self.drop_session(id);
            return None;
        }
        let exchange = self.exchange(id)?;
        let password = self.password(user)?;
        let console_id = exchange.console_id;
        let mut answer =
            RakpProof { tag: message.tag, status: Status::OK, session_id: console_id, code: Vec::new() };
        if same(&exchange.rakp3_code(password), &message.code) {
            let sik = exchange.session_key(self.config.kg.as_ref().map_or(password, |kg| kg.expose()));
            answer.code = exchange.rakp4_code(&sik);
            let keys = exchange.keys(&sik);
            let session = self.sessions.get_mut(&id)?;
            // A repeated RAKP 3 must not restart the packet numbers of a session in use.
            if !session.is_open() {
                session.open(now, keys);
            }
        } else {
            answer.status = Status::INVALID_INTEGRITY;
            self.drop_session(id);
        }
        Some((payload::RAKP4, answer.encode()))
    }

    fn exchange(&self, id: u32) -> Option<Exchange<'_>> {
        let peer = &self.sessions.get(&id)?.peer;
        Some(Exchange {
            suite: peer.suite,
            console_id: peer.console_id,
            bmc_id: id,
            console_random: peer.console_random,
            bmc_random: peer.bmc_random,
            guid: self.config.guid,
            role: peer.role,
            name: &peer.name,
        })
    }

    fn password(&self, user: usize) -> Option<&[u8]> {
        if self.behaviour.wrong_password {
            return Some(b"\0not this one\0");
        }
        self.config.users.get(user).map(|user| user.password.expose())
    }
}

fn refuse_open(request: &OpenRequest, status: Status) -> OpenResponse {
    OpenResponse { tag: request.tag, status, privilege: 0, console_id: request.console_id, granted: None }
}

/// The account, and the level the session may reach.
fn find_user(users: &[super::User], message: &Rakp1) -> Result<(usize, Privilege), Status> {
    let wanted = Privilege::from_code(message.role).unwrap_or(Privilege::Administrator);
    let index = users
        .iter()
        .position(|user| user.enabled && user.name.as_bytes() == message.name)
        .ok_or(Status::UNAUTHORIZED_NAME)?;
    let granted = users.get(index).map(|user| user.privilege).ok_or(Status::UNAUTHORIZED_NAME)?;
    if message.role & NAME_ONLY_LOOKUP == 0 && granted < wanted {
        return Err(Status::UNAUTHORIZED_NAME);
    }
    if granted < wanted {
        return Err(Status::UNAUTHORIZED_ROLE);
    }
    Ok((index, wanted))
}
