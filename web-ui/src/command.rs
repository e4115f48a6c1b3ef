//! "Show as command": the line of the command line that does what a form does.
//!
//! A pattern is the line with places for the form's fields: `{name}` is a field's value, quoted for the shell. What stands in
//! `[…]` is left out when a field in it is empty; in `[~…]` also when it is as it was when the form was made; in `[*…]` it stands
//! once for each word of its field, in `[+…]` once for each line. `{?name}` is nothing, and empty unless the box is ticked; `{!name}` is nothing, and empty unless
//! the field is filled, for what the command takes from a file; `{name=value}` is nothing, and empty unless the field has that value. `app.js` does the same while somebody types; a test in Chromium compares the two. A test of the
//! command line parses every line of [`examples`], so a pattern cannot name what is not there.

/// What a pattern is filled with.
pub trait Values {
    /// The value of a field now.
    fn now(&self, field: &str) -> String;
    /// The value that it had when the form was made.
    fn was(&self, field: &str) -> String;
}

/// Makes a fabric.
pub const FABRIC_CREATE: &str = "rackwright fabric create {name}";
/// Renames a fabric.
pub const FABRIC_SET: &str = "rackwright fabric set {id} {name}";
/// Removes a fabric.
pub const FABRIC_DELETE: &str = "rackwright fabric delete {id}";
/// Makes a VLAN.
pub const VLAN_CREATE: &str = "rackwright vlan create --fabric {fabric} --vid {vid} --name {name} --mtu {mtu}[ --dhcp{?dhcp}][~ --dhcp-mode {dhcp_mode}][ --relay {relay}][ --space {space}][+ --dhcp-option {dhcp_options}]";
/// Changes a VLAN.
pub const VLAN_SET: &str = "rackwright vlan set {id}[~ --name {name}][~ --mtu {mtu}][~ --dhcp true{?dhcp}][~ --dhcp false{dhcp=}][~ --dhcp-mode {dhcp_mode}][~ --relay {relay}][~ --relay 0{relay=}][~ --space {space}][~ --space 0{space=}][+ --dhcp-option {dhcp_options}][~ --no-dhcp-options{dhcp_options=}]";
/// Removes a VLAN.
pub const VLAN_DELETE: &str = "rackwright vlan delete {id}";
/// Makes a subnet.
pub const SUBNET_CREATE: &str = "rackwright subnet create {cidr} --vlan {vlan}[ --name {name}][ --gateway {gateway}][* --dns-server {dns_servers}][ --domain {domain}][~ --lease-seconds {lease_seconds}][~ --managed false{managed=}][~ --reverse-dns {reverse_dns}][~ --boot-architectures {boot_architectures}][+ --dhcp-option {dhcp_options}]";
/// Changes a subnet.
pub const SUBNET_SET: &str = "rackwright subnet set {id}[~ --cidr {cidr}][~ --vlan {vlan}][~ --name {name}][~ --name ''{name=}][~ --gateway {gateway}][~ --no-gateway{gateway=}][* --dns-server {dns_servers}][~ --no-dns-servers{dns_servers=}][~ --domain {domain}][~ --no-domain{domain=}][~ --lease-seconds {lease_seconds}][~ --managed true{?managed}][~ --managed false{managed=}][~ --reverse-dns {reverse_dns}][~ --boot-architectures {boot_architectures}][+ --dhcp-option {dhcp_options}][~ --no-dhcp-options{dhcp_options=}]";
/// Removes a subnet.
pub const SUBNET_DELETE: &str = "rackwright subnet delete {id}";
/// Makes a space.
pub const SPACE_CREATE: &str = "rackwright space create {name}[ --description {description}]";
/// Changes a space.
pub const SPACE_SET: &str = "rackwright space set {id} {name}[ --description {description}]";
/// Removes a space.
pub const SPACE_DELETE: &str = "rackwright space delete {id}";
/// Makes a static route.
pub const ROUTE_CREATE: &str =
    "rackwright static-route create --subnet {subnet} {destination} {gateway}[~ --metric {metric}]";
/// Makes a range.
pub const RANGE_CREATE: &str = "rackwright ip-range create --subnet {subnet} {first} {last}[ --reserved{kind=reserved}][ --comment {comment}]";
/// Makes a reservation.
pub const RESERVATION_CREATE: &str = "rackwright reservation create {mac} {address}[ --hostname {hostname}]";
/// Enters a device.
pub const DEVICE_CREATE: &str =
    "rackwright device create {hostname}[+ --address {device_addresses}][ --description {description}]";
/// Changes a device.
pub const DEVICE_SET: &str = "rackwright device set {id}[~ --hostname {hostname}][+ --address {device_addresses}][~ --no-addresses{device_addresses=}][~ --description {description}][~ --description ''{description=}]";
/// Removes a device.
pub const DEVICE_DELETE: &str = "rackwright device delete {id}";
/// Makes a domain.
pub const DOMAIN_CREATE: &str = "rackwright domain create {name}[ --ttl {ttl}][ --default{?is_default}]";
/// Changes a domain.
pub const DOMAIN_SET: &str =
    "rackwright domain set {domain}[~ --rename {name}][~ --ttl {ttl}][ --default{?is_default}]";
/// Removes a domain.
pub const DOMAIN_DELETE: &str = "rackwright domain delete {domain}";
/// Enters a record.
pub const RECORD_CREATE: &str = "rackwright record create {name} {type} {data}[ --ttl {ttl}]";
/// Changes a record.
pub const RECORD_SET: &str = "rackwright record set {id}[~ --data {data}][~ --ttl {ttl}][~ --no-ttl{ttl=}]";
/// Removes a record.
pub const RECORD_DELETE: &str = "rackwright record delete {id}";
/// Makes a key that a zone is signed with.
pub const DNS_KEY_CREATE: &str = "rackwright dns-key create {zone}";
/// Removes such a key.
pub const DNS_KEY_DELETE: &str = "rackwright dns-key delete {id}[ --unsign{?unsign}]";
/// Enters a secondary name server.
pub const SECONDARY_CREATE: &str = "rackwright secondary create {name} {address}[~ --port {port}]";
/// Removes a secondary name server.
pub const SECONDARY_DELETE: &str = "rackwright secondary delete {name}";
/// Makes a pool, or changes what is said of it.
pub const POOL_SET: &str = "rackwright pool create {name}[ --description {description}]";
/// Removes a pool.
pub const POOL_DELETE: &str = "rackwright pool delete {name}";
/// Makes a zone, or changes what is said of it.
pub const ZONE_SET: &str = "rackwright zone create {name}[ --description {description}]";
/// Removes a zone.
pub const ZONE_DELETE: &str = "rackwright zone delete {name}";
/// Takes a tag away from all machines.
pub const TAG_DELETE: &str = "rackwright tag delete {name}";
/// Enters a switch; secrets come from files or the environment.
pub const SWITCH_CREATE: &str = "rackwright switch create {name} {address}[~ --port {port}][~ --every {poll_seconds}][ --community-file FILE{!community}{version=v2c}][ --user {username} --authentication {authentication} --privacy {privacy}{version=v3}][ --authentication-password-file FILE{!authentication_password}{version=v3}][ --privacy-password-file FILE{!privacy_password}{version=v3}]";
/// Changes where a switch is.
pub const SWITCH_SET: &str = "rackwright switch set {id}[~ --name {name}][~ --address {address}][~ --port {port}][~ --every {poll_seconds}][ --community-file FILE{!community}{version=v2c}][ --user {username} --authentication {authentication} --privacy {privacy}{version=v3}][ --authentication-password-file FILE{!authentication_password}{version=v3}][ --privacy-password-file FILE{!privacy_password}{version=v3}]";
/// Removes a switch.
pub const SWITCH_DELETE: &str = "rackwright switch delete {id}";
/// Removes an image.
pub const IMAGE_DELETE: &str = "rackwright image delete {reference}";
/// Makes a token.
pub const TOKEN_CREATE: &str = "rackwright token create {name}[ --days {days}][ --role {role}]";
/// Makes a user.
pub const USER_CREATE: &str = "rackwright user create {name} --role {role}[ --password-file FILE{!password}]";
/// Changes a user.
pub const USER_SET: &str = "rackwright user set {user}[~ --role {role}][* --pool {pools}][~ --no-pools{pools=}][~ --restricted true{?restricted}][~ --restricted false{restricted=}][~ --machine-limit {machine_limit}][~ --machine-limit -1{machine_limit=}][~ --subject {subject}][~ --subject ''{subject=}][~ --disabled true{?disabled}][~ --disabled false{disabled=}]";
/// Gives a user, or oneself, another password.
pub const USER_PASSWORD: &str = "rackwright user set {user} --password-file FILE";
/// Removes a user.
pub const USER_DELETE: &str = "rackwright user delete {user}";
/// Deploys a machine.
pub const DEPLOY: &str = "rackwright machine deploy {machine}[ --image {image}][ --layout {layout}][ --ssh-key-file FILE{!ssh_keys}][ --user-data FILE{!user_data}]";
/// Commissions a machine.
pub const COMMISSION: &str = "rackwright machine commission {machine}[ --commissioning-scripts none{commissioning_scripts=none}][ --no-tests{tests=none}]";
/// Tests a machine.
pub const TEST: &str = "rackwright machine test {machine}[* --script {scripts}]";
/// Releases a machine.
pub const RELEASE: &str = "rackwright machine release {machine}[ --erase {erase}]";
/// Boots a machine for rescue.
pub const RESCUE: &str = "rackwright machine rescue {machine}[ --ssh-key-file FILE{!ssh_keys}]";
/// Marks a machine broken.
pub const MARK_BROKEN: &str = "rackwright machine mark-broken {machine}[ --message {message}]";
/// Takes a machine in spite of failed tests.
pub const OVERRIDE: &str = "rackwright machine override-failed-tests {machine}[ --message {message}]";
/// Does one thing with several machines.
pub const BULK: &str = "rackwright machine bulk {verb}[* {machines}][ --image {image}][ --erase {erase}][ --no-tests{?no_tests}][ --message {message}]";
/// Puts a tag on several machines, or takes it away.
pub const BULK_TAG: &str = "rackwright machine bulk {verb}[* {machines}] --value {tag}";
/// Puts several machines into a pool.
pub const BULK_POOL: &str = "rackwright machine bulk {verb}[* {machines}] --value {pool}";
/// Puts several machines into a zone.
pub const BULK_ZONE: &str = "rackwright machine bulk {verb}[* {machines}] --value {zone}";
/// Says what switches a machine on and off.
pub const BMC: &str = "rackwright machine bmc {machine} --bmc {driver}[ --bmc-address {address}][ --bmc-port {port}][ --bmc-user {username}][ --bmc-password-file FILE{!password}][ --bmc-cipher-suite {settings.cipher_suite}][ --bmc-kg-file FILE{!settings.kg}][ --bmc-operator{?settings.operator}][ --bmc-tls{?settings.tls}][ --bmc-certificate-sha256 {settings.certificate_sha256}]";
/// Adds an SSH key.
pub const KEY_ADD: &str = "rackwright ssh-key add FILE";
/// Stores a script.
pub const SCRIPT_UPLOAD: &str = "rackwright script upload FILE";
/// Removes a script.
pub const SCRIPT_DELETE: &str = "rackwright script delete {name}";
/// Sets who is told of what.
pub const RULE_SET: &str = "rackwright notification rule set {name}[ --disabled{enabled=}] --level {level}[* --kind {kinds}][ --pool {pool}][ --webhook {channel.url}{channel=webhook}][ --server {channel.server}{channel=email}][ --port {port}{channel=email}][ --security {security}{channel=email}][ --username {username}{channel=email}][ --from {channel.from}{channel=email}][* --to {channel.to}][ --ca-file FILE{!channel.ca}][ --secret-file FILE{!secret}]";
/// Says where people log in besides here.
pub const PROVIDER_SET: &str = "rackwright login-provider set --issuer {issuer} --client-id {client_id} --base-url {base_url}[ --label {label}][* --scope {scopes}][ --groups-claim {groups_claim}][* --group {roles}][ --default-role {default_role}][ --create-users{?create_users}][ --ca-file FILE{!ca}][ --secret-file FILE{!client_secret}]";
/// Forgets the login provider.
pub const PROVIDER_DELETE: &str = "rackwright login-provider delete";
/// Changes settings of the site.
pub const SETTINGS_SET: &str = concat!(
    "rackwright setting set",
    "[~ enlist true{?enlist}][~ enlist false{enlist=}]",
    "[~ auto_commission true{?auto_commission}][~ auto_commission false{auto_commission=}]",
    "[~ default_tests {default_tests}][~ default_tests ''{default_tests=}]",
    "[~ default_image {default_image}][~ default_image ''{default_image=}]",
    "[~ default_erase {default_erase}]",
    "[~ ephemeral_kernel_arguments {ephemeral_kernel_arguments}]",
    "[~ ephemeral_kernel_arguments ''{ephemeral_kernel_arguments=}]",
    "[~ installed_kernel_arguments {installed_kernel_arguments}]",
    "[~ installed_kernel_arguments ''{installed_kernel_arguments=}]",
    "[~ upstream_dns {upstream_dns}][~ upstream_dns ''{upstream_dns=}]",
    "[~ ntp_servers {ntp_servers}][~ ntp_servers ''{ntp_servers=}]",
    "[~ ntp_local_reference true{?ntp_local_reference}][~ ntp_local_reference false{ntp_local_reference=}]",
    "[~ router_advertisements true{?router_advertisements}]",
    "[~ router_advertisements false{router_advertisements=}]",
    "[~ record_consoles true{?record_consoles}][~ record_consoles false{record_consoles=}]",
);

/// Removes a range.
pub const RANGE_DELETE: &str = "rackwright ip-range delete {id}";
/// Removes a range whose addresses are in use.
pub const RANGE_DELETE_ALL_THE_SAME: &str = "rackwright ip-range delete {id} --force";
/// Removes a static route.
pub const ROUTE_DELETE: &str = "rackwright static-route delete {id}";
/// Removes a reservation.
pub const RESERVATION_DELETE: &str = "rackwright reservation delete {id}";
/// Ends a session.
pub const SESSION_END: &str = "rackwright session delete {id}";
/// Removes a token.
pub const TOKEN_DELETE: &str = "rackwright token delete {id}";
/// Removes an SSH key.
pub const KEY_DELETE: &str = "rackwright ssh-key delete {id}";
/// Removes a rule.
pub const RULE_DELETE: &str = "rackwright notification rule delete {id}";
/// Marks notifications as read.
pub const SEEN: &str = "rackwright notification seen {id}";
/// Reads a switch now.
pub const SWITCH_READ: &str = "rackwright switch read {id}";
/// Enters who was heard as a machine.
pub const DISCOVERY_MACHINE: &str = "rackwright discovery machine {id}";
/// Enters who was heard as a device.
pub const DISCOVERY_DEVICE: &str = "rackwright discovery device {id}";
/// Lists who was heard no more.
pub const DISCOVERY_IGNORE: &str = "rackwright discovery ignore {id}";
/// Lists them again.
pub const DISCOVERY_HEED: &str = "rackwright discovery heed {id}";

/// Begins with the words of an action that has no form.
pub const AT_ONCE: [(&str, &str); 6] = [
    ("abort", "rackwright machine abort"),
    ("allocate", "rackwright machine allocate"),
    ("exit-rescue", "rackwright machine exit-rescue"),
    ("lock", "rackwright machine lock"),
    ("mark-fixed", "rackwright machine mark-fixed"),
    ("unlock", "rackwright machine unlock"),
];
/// Changes a machine.
pub const MACHINE_SET: &str = "rackwright machine set {machine}[~ --hostname {hostname}][~ --description {description}][~ --description ''{description=}][~ --pool {pool}][~ --zone {zone}][~ --tags {tags}][~ --tags ''{tags=}][~ --layout {storage_layout.kind}][~ --disk {storage_layout.disk_serial}][~ --disk ''{storage_layout.disk_serial=}][~ --root-mib {storage_layout.root_mib}][~ --root-mib 0{storage_layout.root_mib=}]";

/// Changes a physical interface of a machine.
pub const INTERFACE_SET: &str = "rackwright machine interface set {machine} {interface}[~ --mode {mode}][~ --subnet {subnet}][~ --address {address}][~ --mtu {mtu}][~ --mtu 0{mtu=}]";
/// Makes a bond.
pub const BOND: &str = "rackwright machine interface bond {machine} {name}[* --on {parents}] --mode {bond_mode}[* --address {addresses}][ --mtu {mtu}]";
/// Changes a bond.
pub const BOND_SET: &str = "rackwright machine interface bond {machine} {interface}[~ --rename {name}][* --on {parents}] --mode {bond_mode}[* --address {addresses}][ --mtu {mtu}]";
/// Makes a tagged VLAN.
pub const TAGGED: &str = "rackwright machine interface vlan {machine} {name}[* --on {parents}] --vlan {vlan}[* --address {addresses}][ --mtu {mtu}]";
/// Changes a tagged VLAN.
pub const TAGGED_SET: &str = "rackwright machine interface vlan {machine} {interface}[~ --rename {name}][* --on {parents}] --vlan {vlan}[* --address {addresses}][ --mtu {mtu}]";
/// Makes a bridge.
pub const BRIDGE: &str = "rackwright machine interface bridge {machine} {name}[* --on {parents}][ --stp{?stp}][* --address {addresses}][ --mtu {mtu}]";
/// Changes a bridge.
pub const BRIDGE_SET: &str = "rackwright machine interface bridge {machine} {interface}[~ --rename {name}][* --on {parents}][~ --stp{?stp}][~ --stp=false{stp=}][* --address {addresses}][ --mtu {mtu}]";
/// Removes an interface that is made of others.
pub const INTERFACE_REMOVE: &str = "rackwright machine interface remove {machine} {interface}";
/// Chooses default routes.
pub const GATEWAY: &str = "rackwright machine interface gateway {machine}[ --ipv4 {ipv4}][ --ipv6 {ipv6}]";

/// All patterns.
pub const ALL: &[&str] = &[
    FABRIC_CREATE,
    FABRIC_SET,
    FABRIC_DELETE,
    VLAN_CREATE,
    VLAN_SET,
    VLAN_DELETE,
    SUBNET_CREATE,
    SUBNET_SET,
    SUBNET_DELETE,
    RANGE_CREATE,
    RESERVATION_CREATE,
    DOMAIN_CREATE,
    DOMAIN_SET,
    DOMAIN_DELETE,
    RECORD_CREATE,
    RECORD_SET,
    RECORD_DELETE,
    DNS_KEY_CREATE,
    DNS_KEY_DELETE,
    SECONDARY_CREATE,
    SECONDARY_DELETE,
    POOL_SET,
    POOL_DELETE,
    ZONE_SET,
    ZONE_DELETE,
    TAG_DELETE,
    DEVICE_CREATE,
    DEVICE_SET,
    DEVICE_DELETE,
    SWITCH_CREATE,
    SWITCH_SET,
    SWITCH_DELETE,
    IMAGE_DELETE,
    TOKEN_CREATE,
    USER_CREATE,
    USER_SET,
    USER_DELETE,
    DEPLOY,
    COMMISSION,
    TEST,
    RELEASE,
    RESCUE,
    MARK_BROKEN,
    OVERRIDE,
    MACHINE_SET,
    INTERFACE_SET,
    BOND,
    TAGGED,
    BRIDGE,
    BOND_SET,
    TAGGED_SET,
    BRIDGE_SET,
    INTERFACE_REMOVE,
    GATEWAY,
    USER_PASSWORD,
    BULK,
    BULK_TAG,
    BULK_POOL,
    BULK_ZONE,
    BMC,
    KEY_ADD,
    SCRIPT_UPLOAD,
    SCRIPT_DELETE,
    RULE_SET,
    PROVIDER_SET,
    PROVIDER_DELETE,
    SETTINGS_SET,
    SPACE_CREATE,
    SPACE_SET,
    SPACE_DELETE,
    ROUTE_CREATE,
    ROUTE_DELETE,
    RANGE_DELETE,
    RANGE_DELETE_ALL_THE_SAME,
    RESERVATION_DELETE,
    SESSION_END,
    TOKEN_DELETE,
    KEY_DELETE,
    RULE_DELETE,
    SEEN,
    SWITCH_READ,
    DISCOVERY_MACHINE,
    DISCOVERY_DEVICE,
    DISCOVERY_IGNORE,
    DISCOVERY_HEED,
];

/// The line of a pattern that names one thing, as `{id}`, and nothing else.
pub fn of(pattern: &str, id: impl std::fmt::Display) -> String {
    pattern.replace("{id}", &quoted(&id.to_string()))
}

/// The line that a pattern means.
pub fn line(pattern: &str, values: &impl Values) -> String {
    let (mut out, mut rest) = (String::new(), pattern);
    while let Some((before, group)) = rest.split_once('[') {
        out += &fill(before, values, None).0;
        let (group, after) = group.split_once(']').unwrap_or((group, ""));
        out += &optional(group, values);
        rest = after;
    }
    out + &fill(rest, values, None).0
}

fn optional(group: &str, values: &impl Values) -> String {
    for (mark, apart) in [('*', &[' ', ',', '\n', '\t'][..]), ('+', &['\n'])] {
        if let Some(each) = group.strip_prefix(mark) {
            let all = values.now(fields(each).next().unwrap_or_default());
            let words = all.split(apart).map(str::trim).filter(|w| !w.is_empty());
            return words.map(|word| fill(each, values, Some(word)).0).collect();
        }
    }
    let (changed, group) = match group.strip_prefix('~') {
        Some(rest) => (true, rest),
        None => (false, group),
    };
    let same = fields(group).all(|f| values.now(f) == values.was(f));
    let (text, empty) = fill(group, values, None);
    if empty || (changed && same) { String::new() } else { text }
}

/// Names of the fields in a piece of a pattern.
fn fields(text: &str) -> impl Iterator<Item = &str> {
    let places = text.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    places.map(|(place, _)| place.trim_start_matches(['?', '!']).split('=').next().unwrap_or_default())
}

/// A piece with its values, and whether one of them is empty.
fn fill(text: &str, values: &impl Values, word: Option<&str>) -> (String, bool) {
    let (mut out, mut rest, mut empty) = (String::new(), text, false);
    while let Some((before, place)) = rest.split_once('{') {
        out += before;
        let (place, after) = place.split_once('}').unwrap_or((place, ""));
        if let Some(name) = place.strip_prefix('?') {
            empty |= values.now(name) != "on";
        } else if let Some(name) = place.strip_prefix('!') {
            empty |= values.now(name).trim().is_empty();
        } else if let Some((name, wanted)) = place.split_once('=') {
            empty |= values.now(name) != wanted;
        } else {
            let value = word.map_or_else(|| values.now(place), str::to_owned);
            empty |= value.trim().is_empty();
            // A value that looks like an option is one word with its own.
            let option = text.len() - rest.len() + before.len();
            if value.trim().starts_with('-') && names_an_option(&text[..option]) {
                out.truncate(out.len() - 1);
                out.push('=');
            }
            out += &quoted(value.trim());
        }
        rest = after;
    }
    (out + rest, empty)
}

/// Whether this ends with an option that takes the next word.
fn names_an_option(text: &str) -> bool {
    text.strip_suffix(' ').and_then(|text| text.rsplit(' ').next()).is_some_and(|word| word.starts_with("--"))
}

/// A word for the shell; what is empty stands there by its name, so that the line can be read before it is filled in.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:/@,+%".contains(c);
    if value.is_empty() {
        "…".into()
    } else if value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', "'\\''"))
    }
}

/// Every pattern with something in every field, for a test that the command line takes it.
pub fn examples() -> Vec<String> {
    struct Sample;
    impl Values for Sample {
        fn now(&self, field: &str) -> String {
            match field {
                "cidr" => "10.1.0.0/24",
                "gateway" | "address" | "first" => "10.1.0.1",
                "last" => "10.1.0.9",
                "dns_servers" => "10.1.0.2, 10.1.0.3",
                "mac" => "52:54:00:00:00:01",
                "fabric" | "vlan" | "subnet" | "id" | "ipv4" | "ipv6" => "1",
                "mode" => "static",
                "dhcp_mode" => "proxy",
                "relay" | "space" => "2",
                "destination" => "10.200.0.0/16",
                "metric" => "10",
                "reverse_dns" => "off",
                "boot_architectures" => "bios,uefi-x64",
                "dhcp_options" => "time-servers=10.1.0.1,10.1.0.2\n224:text=a b",
                "device_addresses" => "52:54:00:00:00:01=10.1.0.1\n52:54:00:00:00:02=10.1.0.2",
                "bond_mode" => "802.3ad",
                "addresses" => "auto:1 dhcp 10.1.0.7",
                "vid" => "20",
                "mtu" => "9000",
                "port" => "1161",
                "poll_seconds" => "120",
                "lease_seconds" | "ttl" => "900",
                "days" => "90",
                "dhcp" | "disabled" | "is_default" | "stp" | "unsign" | "managed" | "restricted"
                | "create_users" => "on",
                "enlist" | "no_tests" | "settings.operator" | "settings.tls" => "on",
                "role" => "operator",
                "kind" => "reserved",
                "layout" => "flat",
                "tests" | "commissioning_scripts" => "none",
                "verb" => "deploy",
                "driver" => "ipmi",
                "settings.cipher_suite" => "17",
                "settings.certificate_sha256" => "5f",
                "pools" | "roles" => "lab=operator",
                "machine_limit" => "3",
                "level" => "warning",
                "channel" => "email",
                "version" => "v3",
                "authentication" => "sha512",
                "privacy" => "aes256",
                "storage_layout.kind" => "lvm",
                "storage_layout.root_mib" => "4096",
                "security" => "tls",
                "default_role" => "viewer",
                "erase" => "quick",
                "description" | "message" => "it's the one by the door",
                "comment" => "- by the door",
                _ => "abc-1",
            }
            .into()
        }

        fn was(&self, _field: &str) -> String {
            String::new()
        }
    }
    let at_once = AT_ONCE.iter().map(|(_, words)| format!("{words} abc-1"));
    ALL.iter().map(|pattern| line(pattern, &Sample)).chain(at_once).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Form<'a>(&'a [(&'a str, &'a str, &'a str)]);

    impl Values for Form<'_> {
        fn now(&self, field: &str) -> String {
            self.0.iter().find(|(f, ..)| *f == field).map_or("", |(_, now, _)| now).into()
        }
        fn was(&self, field: &str) -> String {
            self.0.iter().find(|(f, ..)| *f == field).map_or("", |(.., was)| was).into()
        }
    }

    #[test]
    fn what_is_not_said_is_left_out_and_the_rest_is_quoted() {
        let form = Form(&[
            ("cidr", "10.0.0.0/24", ""),
            ("vlan", "3", ""),
            ("name", "Bob's net", ""),
            ("dns_servers", "10.0.0.2, 10.0.0.3", ""),
            ("lease_seconds", "600", "600"),
        ]);
        assert_eq!(
            line(SUBNET_CREATE, &form),
            r"rackwright subnet create 10.0.0.0/24 --vlan 3 --name 'Bob'\''s net' --dns-server 10.0.0.2 --dns-server 10.0.0.3"
        );
    }

    #[test]
    fn only_what_was_changed_is_set() {
        let form = Form(&[("id", "4", "4"), ("name", "a", "a"), ("mtu", "9000", "1500"), ("dhcp", "", "on")]);
        assert_eq!(line(VLAN_SET, &form), "rackwright vlan set 4 --mtu 9000 --dhcp false");
        let form = Form(&[("id", "4", "4"), ("dhcp", "on", "")]);
        assert_eq!(line(VLAN_SET, &form), "rackwright vlan set 4 --dhcp true");
        let form = Form(&[("id", "4", "4"), ("dhcp", "on", "on")]);
        assert_eq!(line(VLAN_SET, &form), "rackwright vlan set 4");
        let form = Form(&[("machine", "m", "m"), ("message", "-fan 3 is loud", "")]);
        assert_eq!(line(MARK_BROKEN, &form), "rackwright machine mark-broken m --message='-fan 3 is loud'");
    }

    #[test]
    fn a_field_that_is_not_filled_yet_stands_as_dots() {
        assert_eq!(line(FABRIC_CREATE, &Form(&[])), "rackwright fabric create …");
        assert_eq!(
            line(RANGE_CREATE, &Form(&[("kind", "reserved", "dynamic"), ("subnet", "1", "1")])),
            "rackwright ip-range create --subnet 1 … … --reserved"
        );
    }
}
