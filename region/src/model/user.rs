//! Users, their tokens, SSH keys and sessions.

use super::{Role, Timestamp};
use rackwright_common::Secret;
use rackwright_common::secret::exposed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct User {
    /// Number.
    pub id: i64,
    /// Login name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// May not log in.
    pub disabled: bool,
    /// Logs in with a password too, not only with tokens.
    pub has_password: bool,
    /// What they may do with the machines of a pool, where that is more than their role.
    #[serde(default)]
    pub pools: BTreeMap<String, Role>,
    /// Sees the machines of those pools only.
    #[serde(default)]
    pub restricted: bool,
    /// Machines that may be theirs at once; no limit when absent.
    #[serde(default)]
    pub machine_limit: Option<i32>,
    /// What the login provider knows them by: its issuer and their subject there, a blank between them.
    #[serde(default)]
    pub subject: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
}

/// A user to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Login name: a lower-case letter, then letters, digits, dot, hyphen, underscore.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Password, 12 characters at least; none for a user that has tokens only.
    #[serde(default, with = "optional_secret", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, write_only)]
    pub password: Option<Secret<String>>,
}

/// Changes to a user; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    /// New role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// May not log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// Their roles in pools: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pools: Option<BTreeMap<String, Role>>,
    /// Sees the machines of those pools only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restricted: Option<bool>,
    /// Machines that may be theirs at once; -1 for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_limit: Option<i32>,
    /// What the login provider knows them by: its issuer and their subject there, a blank between them; empty for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// New password.
    #[serde(default, with = "optional_secret", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, write_only)]
    pub password: Option<Secret<String>>,
}

/// Name and password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Login name.
    pub name: String,
    /// Password.
    #[serde(with = "exposed")]
    #[schema(value_type = String, write_only)]
    pub password: Secret<String>,
}

/// Who is logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Session {
    /// The user.
    pub user: User,
    /// Send it as `X-CSRF-Token` with every change; absent with a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrf: Option<String>,
    /// Until when; absent with a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A session that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SessionInfo {
    /// Number.
    pub id: i64,
    /// Whose.
    pub user: String,
    /// The one that asks.
    #[serde(default)]
    pub current: bool,
    /// From where it was begun.
    #[serde(default)]
    pub source: Option<String>,
    /// By which program, as it calls itself.
    #[serde(default)]
    pub program: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
    /// Last used, to about a minute.
    #[serde(default)]
    pub last_used_at: Option<Timestamp>,
    /// Until when, if it is not used.
    pub expires_at: Timestamp,
}

/// Which sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SessionQuery {
    /// Of this user, for administrators; `*` for everybody; one's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// An API token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Token {
    /// Number.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// The most that whoever shows it may do; as much as its user when absent.
    #[serde(default)]
    pub role: Option<Role>,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when; for ever when absent.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Last used, to about a minute.
    #[serde(default)]
    pub last_used_at: Option<Timestamp>,
}

/// A token to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for, 1 to 100 characters.
    pub name: String,
    /// Days until it expires; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u16>,
    /// The most that whoever shows it may do; as much as its user when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    pub role: Option<Role>,
}

/// A token that was just made. Its secret is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CreatedToken {
    /// The token.
    pub token: Token,
    /// `rwt_…`; send it as `Authorization: Bearer`.
    #[serde(with = "exposed")]
    #[schema(value_type = String, read_only)]
    pub secret: Secret<String>,
}

/// An SSH key of a user; it gets onto the machines they deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SshKey {
    /// Number.
    pub id: i64,
    /// One `authorized_keys` line.
    pub public_key: String,
    /// Since when.
    pub created_at: Timestamp,
}

/// An SSH key to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSshKey {
    /// One `authorized_keys` line.
    pub public_key: String,
}

/// Serde for a secret that may be absent.
pub(super) mod optional_secret {
    use rackwright_common::Secret;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(secret: &Option<Secret<String>>, s: S) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Secret::expose).serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Secret<String>>, D::Error> {
        Ok(Option::<String>::deserialize(d)?.map(Secret::new))
    }
}
