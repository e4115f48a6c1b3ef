//! Where people log in besides here: an OpenID Connect provider.

use super::Role;
use super::user::optional_secret;
use rackwright_common::Secret;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a group of the provider gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupRole {
    /// The group, as the provider names it.
    pub group: String,
    /// What its members may do.
    pub role: Role,
    /// In this pool; everywhere when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
}

impl fmt::Display for GroupRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.group, self.role)?;
        self.pool.as_ref().map_or(Ok(()), |pool| write!(f, "@{pool}"))
    }
}

impl FromStr for GroupRole {
    type Err = String;

    /// `GROUP=ROLE`, or `GROUP=ROLE@POOL`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not GROUP=ROLE or GROUP=ROLE@POOL");
        let (group, given) = text.trim().rsplit_once('=').ok_or_else(wrong)?;
        let (role, pool) = given.split_once('@').map_or((given, None), |(role, pool)| (role, Some(pool)));
        if group.is_empty() || pool.is_some_and(str::is_empty) {
            return Err(wrong());
        }
        Ok(Self { group: group.to_owned(), role: role.parse()?, pool: pool.map(str::to_owned) })
    }
}

/// The provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginProvider {
    /// Its address; what it is stands at `/.well-known/openid-configuration` behind that.
    pub issuer: String,
    /// As what the provider knows this site.
    pub client_id: String,
    /// A new secret; the stored one stays when absent. Never told.
    #[serde(default, with = "optional_secret", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, write_only)]
    pub client_secret: Option<Secret<String>>,
    /// There is a secret.
    #[serde(default)]
    #[schema(read_only)]
    pub has_secret: bool,
    /// The address at which people open these pages; the provider sends them back to `/login/return` behind it.
    pub base_url: String,
    /// What the button says.
    pub label: String,
    /// Scopes besides `openid`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The claim of the ID token that names somebody's groups.
    #[serde(default = "groups")]
    pub groups_claim: String,
    /// What groups give, anew at each login. Who is in several has the highest of each place; who has roles in pools only sees those
    /// pools only.
    #[serde(default)]
    pub roles: Vec<GroupRole>,
    /// What one in none of the groups may do everywhere. When absent they are refused; but without any groups above, users keep the
    /// roles that they have here.
    #[serde(default)]
    #[schema(inline)]
    pub default_role: Option<Role>,
    /// Users whom nobody has entered are made when they log in first.
    #[serde(default)]
    pub create_users: bool,
    /// PEM of the authority that the provider's certificate is of, when the box does not know it.
    #[serde(default)]
    pub ca: Option<String>,
}

fn groups() -> String {
    "groups".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_group_gives_is_one_word() {
        for text in ["ops=operator", "gpu=operator@lab", "cn=ops,dc=example=viewer"] {
            assert_eq!(text.parse::<GroupRole>().unwrap().to_string(), text);
        }
        for wrong in ["", "ops", "=viewer", "ops=king", "ops=viewer@"] {
            assert!(wrong.parse::<GroupRole>().is_err(), "{wrong}");
        }
    }
}
