//! The `rackwright` executable: the daemons, and the operator's client of the REST API.
//!
//! Nouns are folders, verbs are files. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not reachable.

mod account;
mod audit;
mod backup;
mod client;
mod console;
mod controller;
mod event;
mod ha;
mod image;
mod login;
mod machine;
mod names;
mod network;
mod notification;
mod operation;
mod profile;
mod retry;
mod script;
mod serve;
mod setting;
mod shell;
mod upgrade;

use clap::{Parser, Subcommand};
use client::{Client, Connection};
use console::{Console, Format};
use std::process::ExitCode;

/// Bare-metal provisioning: from power-on to a deployed system.
#[derive(Debug, Parser)]
#[command(
    name = "rackwright",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no region answers."
)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    /// Form of answers.
    #[arg(short, long, value_enum, default_value_t, global = true)]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this box: PostgreSQL, a region, a rack.
    Up(serve::UpArgs),
    /// Run a region controller; `list` shows all.
    Region(controller::Region),
    /// Run a rack controller; `list` shows all.
    Rack(controller::Rack),
    /// Write everything that makes this site into one file. Run it on the box of a region.
    Backup(backup::Backup),
    /// Make a site of a backup.
    Restore(backup::Restore),
    /// Several boxes as one site: database cluster, one address for people.
    #[command(subcommand)]
    Ha(ha::HaCommand),
    /// Configuration files of the daemons.
    #[command(subcommand)]
    Config(serve::ConfigCommand),
    /// Keep a region's address and an API token for later commands.
    Login(login::Login),
    /// Forget what `login` kept.
    Logout(login::Logout),
    /// How the site does.
    Status(controller::Status),
    /// How to bring a site to another version without stopping it.
    #[command(subcommand)]
    Upgrade(upgrade::UpgradeCommand),
    /// Machines: list, show, commission, test, deploy, release.
    #[command(subcommand, visible_alias = "machines")]
    Machine(machine::MachineCommand),
    /// What is under way, and what became of it.
    #[command(subcommand, visible_alias = "operations")]
    Operation(operation::OperationCommand),
    /// What happened.
    #[command(subcommand, visible_alias = "events")]
    Event(event::EventCommand),
    /// Images: what machines boot and install.
    #[command(subcommand, visible_alias = "images")]
    Image(image::ImageCommand),
    /// Commissioning and test scripts.
    #[command(subcommand, visible_alias = "scripts")]
    Script(script::ScriptCommand),
    /// Settings of the site.
    #[command(subcommand, visible_alias = "settings")]
    Setting(setting::SettingCommand),
    /// Users.
    #[command(subcommand, visible_alias = "users")]
    User(account::UserCommand),
    /// Sessions of the web pages: who is logged in, from where.
    #[command(subcommand, visible_alias = "sessions")]
    Session(account::SessionCommand),
    /// Where people log in besides here: an OpenID Connect provider.
    #[command(subcommand)]
    LoginProvider(account::LoginProviderCommand),
    /// Who is told of what happens: by page, mail and webhook.
    #[command(subcommand, visible_alias = "notifications")]
    Notification(notification::NotificationCommand),
    /// What people did, in a chain that shows whether it was changed.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Your API tokens.
    #[command(subcommand, visible_alias = "tokens")]
    Token(account::TokenCommand),
    /// Your SSH keys; they get onto the machines you deploy.
    #[command(subcommand, visible_alias = "ssh-keys")]
    SshKey(account::SshKeyCommand),
    /// Resource pools.
    #[command(subcommand, visible_alias = "pools")]
    Pool(network::GroupCommand),
    /// Zones.
    #[command(subcommand, visible_alias = "zones")]
    Zone(network::GroupCommand),
    /// Tags of machines.
    #[command(subcommand, visible_alias = "tags")]
    Tag(network::TagCommand),
    /// Fabrics: layer 2 that belongs together.
    #[command(subcommand, visible_alias = "fabrics")]
    Fabric(network::FabricCommand),
    /// VLANs.
    #[command(subcommand, visible_alias = "vlans")]
    Vlan(network::VlanCommand),
    /// Subnets.
    #[command(subcommand, visible_alias = "subnets")]
    Subnet(network::SubnetCommand),
    /// Dynamic and reserved ranges of addresses.
    #[command(subcommand, visible_alias = "ip-ranges")]
    IpRange(network::IpRangeCommand),
    /// Fixed addresses of things that are not machines.
    #[command(subcommand, visible_alias = "reservations")]
    Reservation(network::ReservationCommand),
    /// Things with a name and fixed addresses that are not machines: printers, switches.
    #[command(subcommand, visible_alias = "devices")]
    Device(network::DeviceCommand),
    /// Routes of machines and DHCP clients besides the default one.
    #[command(subcommand, visible_alias = "static-routes")]
    StaticRoute(network::StaticRouteCommand),
    /// Spaces: VLANs that belong together for people.
    #[command(subcommand, visible_alias = "spaces")]
    Space(network::SpaceCommand),
    /// Domains that the regions are the authority of.
    #[command(subcommand, visible_alias = "domains")]
    Domain(names::DomainCommand),
    /// Records that people entered into domains.
    #[command(subcommand, visible_alias = "records")]
    Record(names::RecordCommand),
    /// Keys that zones are signed with (DNSSEC).
    #[command(subcommand, visible_alias = "dns-keys")]
    DnsKey(names::DnsKeyCommand),
    /// Name servers that get copies of all zones.
    #[command(subcommand, visible_alias = "secondaries")]
    Secondary(names::SecondaryCommand),
    /// Names as they are published.
    #[command(subcommand, visible_alias = "names")]
    Name(names::NameCommand),
    /// Dynamic addresses in use.
    #[command(subcommand, visible_alias = "leases")]
    Lease(network::LeaseCommand),
    /// Who was heard on the networks of machines.
    #[command(subcommand, visible_alias = "discoveries")]
    Discovery(network::DiscoveryCommand),
    /// Switches that racks read by SNMP.
    #[command(subcommand, visible_alias = "switches")]
    Switch(network::SwitchCommand),
    /// Interfaces that are elsewhere than the model says.
    Wiring(network::WiringCommand),
    /// Print completions for a shell.
    Completions(shell::Completions),
    /// Print the manual page.
    Man(shell::Man),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Up(args) => args.run(),
        Command::Region(controller::Region { command: None, run }) => run.run(),
        Command::Rack(controller::Rack { command: None, run }) => run.run(),
        Command::Ha(command) => command.run(&cli.connection, cli.output),
        Command::Config(command) => command.run(),
        Command::Backup(command) => serve::block_on_threads(command.run()),
        Command::Restore(command) => serve::block_on_threads(command.run()),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
        Command::Logout(command) => command.run(),
        Command::Login(command) => client::block_on(command.run(cli.connection)),
        command => client::block_on(async {
            let console = Console { client: Client::new(&cli.connection)?, format: cli.output };
            run(command, &console).await
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rackwright: {}", format!("{error:#}").trim_end());
            ExitCode::from(client::exit_code(&error))
        }
    }
}

/// The commands that ask a region.
async fn run(command: Command, console: &Console) -> anyhow::Result<()> {
    match command {
        Command::Region(region) => region.ask(console).await,
        Command::Rack(rack) => rack.ask(console).await,
        Command::Status(command) => command.run(console).await,
        Command::Upgrade(command) => command.run(console).await,
        Command::Machine(command) => command.run(console).await,
        Command::Operation(command) => command.run(console).await,
        Command::Event(command) => command.run(console).await,
        Command::Image(command) => command.run(console).await,
        Command::Script(command) => command.run(console).await,
        Command::Setting(command) => command.run(console).await,
        Command::User(command) => command.run(console).await,
        Command::Session(command) => command.run(console).await,
        Command::LoginProvider(command) => command.run(console).await,
        Command::Notification(command) => command.run(console).await,
        Command::Audit(command) => command.run(console).await,
        Command::Token(command) => command.run(console).await,
        Command::SshKey(command) => command.run(console).await,
        Command::Pool(command) => command.run("pools", console).await,
        Command::Zone(command) => command.run("zones", console).await,
        Command::Tag(command) => command.run(console).await,
        Command::Fabric(command) => command.run(console).await,
        Command::Vlan(command) => command.run(console).await,
        Command::Subnet(command) => command.run(console).await,
        Command::IpRange(command) => command.run(console).await,
        Command::Reservation(command) => command.run(console).await,
        Command::Lease(command) => command.run(console).await,
        Command::Device(command) => command.run(console).await,
        Command::StaticRoute(command) => command.run(console).await,
        Command::Space(command) => command.run(console).await,
        Command::Domain(command) => command.run(console).await,
        Command::Record(command) => command.run(console).await,
        Command::DnsKey(command) => command.run(console).await,
        Command::Secondary(command) => command.run(console).await,
        Command::Name(command) => command.run(console).await,
        Command::Discovery(command) => command.run(console).await,
        Command::Switch(command) => command.run(console).await,
        Command::Wiring(command) => command.run(console).await,
        Command::Up(_)
        | Command::Ha(_)
        | Command::Config(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Login(_)
        | Command::Logout(_)
        | Command::Completions(_)
        | Command::Man(_) => unreachable!("these ask no region and were run before"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn what_the_pages_show_as_commands_is_understood() {
        for line in rackwright_web_ui::command::examples() {
            let words = words(&line);
            assert!(!line.contains('…') && words.len() > 2, "{line}");
            if let Err(error) = Cli::try_parse_from(&words) {
                panic!("{line}\n{error}");
            }
        }
    }

    /// What is set for all commands, by an option or the environment, would be taken for an option of the same name.
    #[test]
    fn no_command_has_an_option_of_the_name_of_a_global_one() {
        fn look(command: &clap::Command, path: &str, global: &[String], found: &mut Vec<String>) {
            for sub in command.get_subcommands() {
                let path = format!("{path} {}", sub.get_name());
                let own = sub.get_arguments().map(|arg| arg.get_id().to_string());
                found.extend(own.filter(|id| global.contains(id)).map(|id| format!("{path}: {id}")));
                look(sub, &path, global, found);
            }
        }
        let (command, mut found) = (Cli::command(), Vec::new());
        let all = command.get_arguments().filter(|arg| arg.is_global_set());
        let global: Vec<String> = all.map(|arg| arg.get_id().to_string()).collect();
        assert!(global.contains(&"url".to_owned()), "{global:?}");
        look(&command, "rackwright", &global, &mut found);
        assert!(found.is_empty(), "{found:#?}");
    }

    /// As a shell splits them: the pages quote with ' only.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
        let mut letters = line.chars();
        while let Some(c) = letters.next() {
            match c {
                '\'' => quoted = !quoted,
                '\\' if !quoted => word.extend(letters.next()),
                ' ' if !quoted => words.push(std::mem::take(&mut word)),
                c => word.push(c),
            }
        }
        words.push(word);
        words
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
