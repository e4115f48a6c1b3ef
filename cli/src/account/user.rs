//! `rackwright user …`

use crate::console::{Console, path_part};
use crate::profile::read_token;
use anyhow::Result;
use rackwright_region::model::user::{NewUser, User, UserPatch};
use rackwright_region::model::{Page, Role};
use std::path::PathBuf;

/// What can be done with users.
#[derive(Debug, clap::Subcommand)]
pub enum UserCommand {
    /// List users.
    List,
    /// Make a user.
    Create {
        /// Login name.
        name: String,
        /// `viewer`, `user`, `operator` or `administrator`.
        #[arg(long, default_value = "user")]
        role: Role,
        /// File with the password; without one the user has tokens only.
        #[arg(long)]
        password_file: Option<PathBuf>,
    },
    /// Change a user.
    Set {
        /// Login name.
        name: String,
        /// New role.
        #[arg(long)]
        role: Option<Role>,
        /// May not log in (`true`) or may again (`false`).
        #[arg(long)]
        disabled: Option<bool>,
        /// File with the new password.
        #[arg(long)]
        password_file: Option<PathBuf>,
        /// What they may do with the machines of a pool; may be given several times, and says all of them.
        #[arg(long = "pool", value_name = "POOL=ROLE", value_parser = pool_role)]
        pools: Vec<(String, Role)>,
        /// Take all roles in pools away.
        #[arg(long, conflicts_with = "pools")]
        no_pools: bool,
        /// Sees the machines of those pools only.
        #[arg(long)]
        restricted: Option<bool>,
        /// Machines that may be theirs at once; -1 for no limit.
        #[arg(long, allow_negative_numbers = true)]
        machine_limit: Option<i32>,
        /// What the login provider knows them by, its issuer and their subject there with a blank between them; empty: not at all.
        #[arg(long)]
        subject: Option<String>,
    },
    /// Remove a user. Their machines stay, without owner.
    Delete {
        /// Login name.
        name: String,
    },
}

fn pool_role(text: &str) -> Result<(String, Role), String> {
    let (pool, role) = text.split_once('=').ok_or("give it as POOL=ROLE")?;
    Ok((pool.to_owned(), role.parse()?))
}

fn pools_of(user: &User) -> String {
    let listed: Vec<_> = user.pools.iter().map(|(pool, role)| format!("{pool}={role}")).collect();
    let only = if user.restricted { " only" } else { "" };
    if listed.is_empty() && only.is_empty() { "-".into() } else { format!("{}{only}", listed.join(",")) }
}

impl UserCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        match self {
            Self::List => {
                let page: Page<User> = console.client.get("/users").await?;
                console.list(
                    &page.items,
                    &["NAME", "ROLE", "IN POOLS", "MACHINES", "LOGS IN BY", "STATE", "SINCE"],
                    |u| {
                        let yes =
                            |b: bool, yes: &str, no: &str| if b { yes.to_owned() } else { no.to_owned() };
                        vec![
                            u.name.clone(),
                            u.role.to_string(),
                            pools_of(u),
                            u.machine_limit.map_or_else(|| "any".into(), |n| format!("{n} at most")),
                            match (u.has_password, &u.subject) {
                                (true, None) => "password",
                                (true, Some(_)) => "password, provider",
                                (false, Some(_)) => "provider",
                                (false, None) => "token",
                            }
                            .into(),
                            yes(u.disabled, "disabled", "active"),
                            u.created_at.to_string(),
                        ]
                    },
                )
            }
            Self::Create { name, role, password_file } => {
                let password = password_file.map(|f| read_token(&f)).transpose()?;
                let user: User = console.client.post("/users", &NewUser { name, role, password }).await?;
                console.show(&user, |u| format!("{} was made, with the role {}", u.name, u.role))
            }
            Self::Set {
                name,
                role,
                disabled,
                password_file,
                pools,
                no_pools,
                restricted,
                machine_limit,
                subject,
            } => {
                let pools = (no_pools || !pools.is_empty()).then(|| pools.into_iter().collect());
                let password = password_file.map(|f| read_token(&f)).transpose()?;
                let path = format!("/users/{}", path_part(&name));
                let patch = UserPatch { role, disabled, pools, restricted, machine_limit, subject, password };
                let user: User = console.client.patch(&path, &patch).await?;
                console.show(&user, |u| format!("{} was changed", u.name))
            }
            Self::Delete { name } => {
                console.client.delete(&format!("/users/{}", path_part(&name))).await?;
                console.done(&format!("{name} was removed"))
            }
        }
    }
}
