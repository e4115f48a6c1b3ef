//! The one who asks.

use crate::app::Error;
use crate::model::Role;
use rackwright_common::MachineId;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// An authenticated user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Row of the user.
    pub user_id: i64,
    /// Login name; what events say.
    pub name: String,
    /// What they may do everywhere.
    pub role: Role,
    /// What they may do with the machines of a pool, where that is more.
    pub pools: BTreeMap<String, Role>,
    /// They see the machines of those pools only.
    pub restricted: bool,
    /// They came with a token that may do this at most; it is reckoned into the roles already.
    pub scope: Option<Role>,
    /// The token that they came with.
    pub token: Option<i64>,
    /// From where they ask, when known.
    pub from: Option<IpAddr>,
}

impl Actor {
    /// Somebody with one role everywhere.
    pub fn new(user_id: i64, name: impl Into<String>, role: Role, from: Option<IpAddr>) -> Self {
        Self {
            user_id,
            name: name.into(),
            role,
            pools: BTreeMap::new(),
            restricted: false,
            scope: None,
            token: None,
            from,
        }
    }

    /// With a token that may do this at most.
    #[must_use]
    pub fn limited(mut self, scope: Option<Role>) -> Self {
        if let Some(most) = scope {
            self.role = self.role.min(most);
            self.pools.values_mut().for_each(|role| *role = (*role).min(most));
            self.scope = scope;
        }
        self
    }

    /// Refuses whoever has less than `role` everywhere.
    pub fn require(&self, role: Role) -> Result<(), Error> {
        if self.role >= role {
            return Ok(());
        }
        Err(self.refused(role, self.role, ""))
    }

    fn refused(&self, needed: Role, has: Role, place: &str) -> Error {
        let scope = if self.scope == Some(has) { ", by its token" } else { "" };
        Error::Forbidden(format!(
            "this needs the role {needed}{place}; {} has the role {has}{scope}",
            self.name
        ))
    }

    /// The most that they may do, everywhere or in some pool.
    pub fn highest(&self) -> Role {
        self.pools.values().copied().fold(self.role, Role::max)
    }

    /// Refuses whoever has less than `role` everywhere and in every pool.
    pub fn require_somewhere(&self, role: Role) -> Result<(), Error> {
        let most = self.highest();
        if most >= role { Ok(()) } else { Err(self.refused(role, most, "")) }
    }

    /// What they may do with the machines of a pool.
    pub fn role_in(&self, pool: &str) -> Role {
        self.pools.get(pool).copied().map_or(self.role, |role| role.max(self.role))
    }

    /// Refuses whoever has less than `role` with the machines of a pool.
    pub fn require_in(&self, role: Role, pool: &str) -> Result<(), Error> {
        let has = self.role_in(pool);
        if has >= role { Ok(()) } else { Err(self.refused(role, has, &format!(" in the pool {pool}"))) }
    }

    /// Whether they see the machines of a pool.
    pub fn sees(&self, pool: &str) -> bool {
        !self.restricted || self.pools.contains_key(pool)
    }

    /// Pools whose machines they see; none: all of them.
    pub fn sight(&self) -> Option<Vec<String>> {
        self.restricted.then(|| self.pools.keys().cloned().collect())
    }

    /// To whoever does not see a machine, it is not there.
    pub fn require_sight(&self, machine: &MachineId, pool: &str) -> Result<(), Error> {
        if self.sees(pool) { Ok(()) } else { Err(Error::not_found("machine", machine)) }
    }

    /// Refuses whoever is neither an operator nor the owner of a machine. A machine without owner is nobody's.
    pub fn require_owner(&self, owner: Option<i64>) -> Result<(), Error> {
        self.require(Role::User)?;
        self.is_owner_or(self.role, owner)
    }

    /// The same, by what they may do with the machines of its pool.
    pub fn require_owner_in(&self, pool: &str, owner: Option<i64>) -> Result<(), Error> {
        self.require_in(Role::User, pool)?;
        self.is_owner_or(self.role_in(pool), owner)
    }

    fn is_owner_or(&self, role: Role, owner: Option<i64>) -> Result<(), Error> {
        if role >= Role::Operator || owner == Some(self.user_id) {
            return Ok(());
        }
        Err(Error::Forbidden(format!(
            "this machine is not {}'s; its owner or an operator may do this",
            self.name
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(role: Role) -> Actor {
        Actor::new(7, "ann", role, None)
    }

    #[test]
    fn a_role_includes_the_lesser_ones() {
        assert!(actor(Role::Operator).require(Role::User).is_ok());
        let refused = actor(Role::User).require(Role::Operator).unwrap_err();
        assert_eq!(refused.to_string(), "this needs the role operator; ann has the role user");
    }

    #[test]
    fn users_act_on_their_own_machines_only() {
        assert!(actor(Role::User).require_owner(Some(7)).is_ok());
        assert!(actor(Role::User).require_owner(Some(8)).is_err());
        assert!(actor(Role::User).require_owner(None).is_err());
        assert!(actor(Role::Viewer).require_owner(Some(7)).is_err());
        assert!(actor(Role::Operator).require_owner(Some(8)).is_ok());
    }

    #[test]
    fn a_role_in_a_pool_counts_there_and_only_there() {
        let mut ann = actor(Role::Viewer);
        ann.pools = [("lab".to_owned(), Role::Operator), ("farm".to_owned(), Role::Viewer)].into();
        assert!(ann.require_in(Role::Operator, "lab").is_ok());
        assert!(ann.require_owner_in("lab", Some(8)).is_ok());
        let refused = ann.require_in(Role::User, "farm").unwrap_err().to_string();
        assert_eq!(refused, "this needs the role user in the pool farm; ann has the role viewer");
        assert!(ann.require_somewhere(Role::Operator).is_ok() && ann.require(Role::Operator).is_err());
        assert!(ann.require_somewhere(Role::Administrator).is_err());
        assert!(ann.sees("default") && ann.sight().is_none());
        ann.restricted = true;
        assert!(ann.sees("lab") && !ann.sees("default"));
    }

    #[test]
    fn a_token_limits_every_role() {
        let mut ann = actor(Role::User);
        ann.pools = [("lab".to_owned(), Role::Operator)].into();
        let ann = ann.limited(Some(Role::Viewer));
        let refused = ann.require_in(Role::User, "lab").unwrap_err().to_string();
        assert!(refused.ends_with("ann has the role viewer, by its token"), "{refused}");
        assert_eq!(ann.role, Role::Viewer);
    }
}
