//! `rackwright login-provider …`

use crate::console::{Console, dash};
use crate::profile::read_token;
use anyhow::{Context, Result};
use rackwright_region::model::Role;
use rackwright_region::model::login_provider::{GroupRole, LoginProvider};
use std::path::PathBuf;

/// What can be done with the OpenID Connect provider.
#[derive(Debug, clap::Subcommand)]
pub enum LoginProviderCommand {
    /// Show it, without its secret.
    Show,
    /// Set it: everything about it, but a secret that is not given stays.
    Set(Box<Set>),
    /// Forget it. Its users stay, and log in no more.
    Delete,
}

/// The provider.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Its address; what it is stands at `/.well-known/openid-configuration` behind that.
    #[arg(long)]
    issuer: String,
    /// As what it knows this site.
    #[arg(long)]
    client_id: String,
    /// File with the client's secret; none for a public client, or to keep the stored one.
    #[arg(long)]
    secret_file: Option<PathBuf>,
    /// The address at which people open the pages; the provider has to allow `/login/return` behind it.
    #[arg(long)]
    base_url: String,
    /// What the button says.
    #[arg(long, default_value = "Log in with OpenID Connect")]
    label: String,
    /// Scope besides `openid`; may be given several times.
    #[arg(long = "scope")]
    scopes: Vec<String>,
    /// The claim of the ID token that names somebody's groups.
    #[arg(long, default_value = "groups")]
    groups_claim: String,
    /// What a group gives, everywhere or in a pool; may be given several times.
    #[arg(long = "group", value_name = "GROUP=ROLE[@POOL]")]
    roles: Vec<GroupRole>,
    /// What one in none of the groups may do everywhere; without it they are refused.
    #[arg(long)]
    default_role: Option<Role>,
    /// Make users whom nobody has entered when they log in first.
    #[arg(long)]
    create_users: bool,
    /// PEM file of the authority that its certificate is of, when the box does not know it.
    #[arg(long)]
    ca_file: Option<PathBuf>,
}

impl Set {
    fn provider(self) -> Result<LoginProvider> {
        let read = |file: PathBuf| {
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
        };
        Ok(LoginProvider {
            issuer: self.issuer,
            client_id: self.client_id,
            client_secret: self.secret_file.map(|file| read_token(&file)).transpose()?,
            has_secret: false,
            base_url: self.base_url,
            label: self.label,
            scopes: self.scopes,
            groups_claim: self.groups_claim,
            roles: self.roles,
            default_role: self.default_role,
            create_users: self.create_users,
            ca: self.ca_file.map(read).transpose()?,
        })
    }
}

fn describe(p: &LoginProvider) -> String {
    let words = |all: Vec<String>| dash(Some(all.join(", ")).filter(|text| !text.is_empty()));
    let yes = |b: bool| if b { "yes" } else { "no" };
    format!(
        "Issuer:        {}\nClient:        {}\nSecret:        {}\nPages:         {}\nButton:        {}\nScopes:        {}\n\
         Groups claim:  {}\nGroups:        {}\nEverybody:     {}\nCreates users: {}\nAuthority:     {}",
        p.issuer,
        p.client_id,
        yes(p.has_secret),
        p.base_url,
        p.label,
        words(p.scopes.clone()),
        p.groups_claim,
        words(p.roles.iter().map(ToString::to_string).collect()),
        dash(p.default_role.map(|role| role.to_string())),
        yes(p.create_users),
        if p.ca.is_some() { "given" } else { "the box's" },
    )
}

impl LoginProviderCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        match self {
            Self::Show => {
                let provider: LoginProvider = console.client.get("/login-provider").await?;
                console.show(&provider, describe)
            }
            Self::Set(set) => {
                let provider: LoginProvider = console.client.put("/login-provider", &set.provider()?).await?;
                console.show(&provider, |p| {
                    let back = format!("{}/login/return", p.base_url.trim_end_matches('/'));
                    format!("People log in at {} too. It has to allow the redirect address {back}", p.issuer)
                })
            }
            Self::Delete => {
                console.client.delete("/login-provider").await?;
                console.done("Nobody logs in at a provider any more")
            }
        }
    }
}
