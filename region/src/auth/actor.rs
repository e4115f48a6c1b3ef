//! The one who asks.

use crate::app::Error;
use crate::model::Role;
use std::net::IpAddr;

/// An authenticated user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Row of the user.
    pub user_id: i64,
    /// Login name; what events say.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// From where they ask, when known.
    pub from: Option<IpAddr>,
}

impl Actor {
    /// Refuses whoever has less than `role`.
    pub fn require(&self, role: Role) -> Result<(), Error> {
        if self.role >= role {
            return Ok(());
        }
        Err(Error::Forbidden(format!("this needs the role {role}; {} has the role {}", self.name, self.role)))
    }

    /// Refuses whoever is neither an operator nor the owner of a machine. A machine without owner is nobody's.
    pub fn require_owner(&self, owner: Option<i64>) -> Result<(), Error> {
        self.require(Role::User)?;
        if self.role >= Role::Operator || owner == Some(self.user_id) {
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
        Actor { user_id: 7, name: "ann".into(), role, from: None }
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
}
