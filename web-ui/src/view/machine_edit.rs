//! The forms with which a person changes a machine and tells how its BMC is reached.

use super::Layout;
use super::form::{Field, Form};
use crate::command;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_common::bmc::{BmcSettings, DriverKind};
use rackwright_common::storage::LayoutKind;
use rackwright_region::auth::Actor;
use rackwright_region::model::Role;
use rackwright_region::model::machine::{Machine, MachineSummary};
use rackwright_region::model::network::Group;

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "machine_edit.html")]
pub struct EditPage {
    /// Around it.
    pub layout: Layout,
    /// Machine and its name.
    pub machine: (String, String),
    /// Name, place, layout.
    pub machine_form: Form,
    /// Its BMC, for those who may set it.
    pub bmc_form: Option<Form>,
}

impl EditPage {
    /// Of a machine. Both forms carry its version, so that a change of somebody else's is noticed.
    pub fn new(layout: Layout, actor: &Actor, m: &Machine, pools: &[Group], zones: &[Group]) -> Self {
        let s = &m.summary;
        let bmc = (actor.role_in(&m.summary.pool) >= Role::Operator).then(|| bmc_form(m, &layout.csrf));
        Self {
            machine: (s.id.to_string(), s.hostname.to_string()),
            machine_form: machine_form(m, &layout.csrf, pools, zones),
            bmc_form: bmc,
            layout,
        }
    }
}

/// Whether a person may change a machine: operators any, users their own.
pub fn may_edit(m: &MachineSummary, actor: &Actor) -> bool {
    actor.role_in(&m.pool) >= Role::Operator
        || (actor.role_in(&m.pool) >= Role::User && m.owner.as_deref() == Some(actor.name.as_str()))
}

fn version(m: &Machine) -> Vec<(&'static str, String)> {
    vec![("version", m.summary.version.to_string())]
}

fn machine_form(m: &Machine, csrf: &str, pools: &[Group], zones: &[Group]) -> Form {
    let s = &m.summary;
    let names = |groups: &[Group]| -> Vec<(String, String)> {
        groups
            .iter()
            .map(|g| (g.name.clone(), super::joined([Some(g.name.as_str()), Some(&g.description)], " — ")))
            .collect()
    };
    let kinds = [
        (LayoutKind::Image, "image: the image's own partitions, the last one grown"),
        (LayoutKind::Flat, "flat: one root partition"),
        (LayoutKind::Lvm, "lvm: the root on a logical volume"),
    ];
    let layout = &m.storage_layout;
    let fields = vec![
        Field::text("hostname", "Host name", s.hostname.as_str()).required(),
        Field::area("description", "Description", 2, &*m.description),
        Field::choice("pool", "Resource pool", names(pools), &*s.pool),
        Field::choice("zone", "Zone", names(zones), &*s.zone),
        Field::text("tags", "Tags", s.tags.join(" ")).hint("separated by spaces or commas"),
        Field::choice(
            "storage_layout.kind",
            "Disk layout",
            kinds.map(|(kind, label)| (kind.as_str().to_owned(), label.to_owned())),
            layout.kind.as_str(),
        )
        .hint("of the next installation"),
        Field::choice(
            "storage_layout.disk_serial",
            "System disk",
            disks(m),
            layout.disk_serial.clone().unwrap_or_default(),
        ),
        Field::text(
            "storage_layout.root_mib",
            "Root file system, MiB",
            layout.root_mib.map(|n| n.to_string()).unwrap_or_default(),
        )
        .hint("all there is when empty; flat and lvm only"),
    ];
    let known = vec![("machine", s.hostname.to_string())];
    let form = Form::new("edit", format!("/machines/{}/edit", s.id), csrf, fields);
    let mut form = form.command(crate::command::MACHINE_SET, known);
    form.title = "Machine".into();
    form.hidden = version(m);
    form
}

/// Disks that an installation may go to.
fn disks(m: &Machine) -> Vec<(String, String)> {
    let known = m.inventory.iter().flat_map(|i| &i.disks).filter(|d| !d.removable && !d.read_only);
    let choice = |d: &rackwright_common::inventory::Disk| {
        let serial = d.serial.clone()?;
        let size = crate::format::bytes(d.size_bytes);
        let label =
            super::joined([Some(d.name.as_str()), d.model.as_deref(), Some(&size), Some(&serial)], " · ");
        Some((serial, label))
    };
    std::iter::once((String::new(), "the smallest that fits".to_owned()))
        .chain(known.filter_map(choice))
        .collect()
}

fn bmc_form(m: &Machine, csrf: &str) -> Form {
    let defaults = BmcSettings::default();
    let (bmc, settings) = (m.bmc.as_ref(), m.bmc.as_ref().map_or(&defaults, |b| &b.settings));
    let drivers = [
        (DriverKind::Ipmi, "ipmi: IPMI 2.0 over LAN"),
        (DriverKind::Amt, "amt: Intel AMT"),
        (DriverKind::Manual, "manual: a person switches it"),
    ];
    let suites = [("", "17, then 3"), ("17", "17"), ("3", "3")];
    let stored = if bmc.is_some_and(|b| b.has_password) {
        "the stored one stays when empty"
    } else {
        "none is stored"
    };
    let fields = vec![
        Field::choice(
            "driver",
            "Driver",
            drivers.map(|(kind, label)| (kind.as_str().to_owned(), label.to_owned())),
            bmc.map_or("ipmi", |b| b.driver.as_str()),
        ),
        Field::text("address", "Address", bmc.map_or("", |b| &b.address)).hint("host name or IP address"),
        Field::text("port", "Port", bmc.and_then(|b| b.port).map(|p| p.to_string()).unwrap_or_default())
            .hint("the protocol's own when empty: 623, or 16992"),
        Field::text("username", "User", bmc.map_or("", |b| &b.username)),
        Field::password("password", "Password").hint(stored),
        Field::choice(
            "settings.cipher_suite",
            "IPMI: cipher suite",
            suites.map(|(value, label)| (value.to_owned(), label.to_owned())),
            settings.cipher_suite.map(|s| s.to_string()).unwrap_or_default(),
        ),
        Field::password("settings.kg", "IPMI: K_g")
            .hint("hexadecimal; kept with the password, so type both to change either"),
        Field::check(
            "settings.operator",
            "IPMI: log in as an operator, not as an administrator",
            settings.operator,
        ),
        Field::check("settings.tls", "AMT: use TLS, port 16993", settings.tls),
        Field::text(
            "settings.certificate_sha256",
            "AMT: SHA-256 of its certificate",
            settings.certificate_sha256.clone().unwrap_or_default(),
        )
        .hint("hexadecimal; any certificate is taken when empty"),
    ];
    let mut form = Form::new("bmc", format!("/machines/{}/bmc", m.summary.id), csrf, fields)
        .command(command::BMC, vec![("machine", m.summary.hostname.to_string())]);
    form.title = "BMC".into();
    form.intro = match bmc {
        Some(b) if b.source == "in-band" => {
            "The agent set this up from inside. What you save here replaces it.".into()
        }
        Some(_) => String::new(),
        None => "How Rackwright switches this machine on and off.".into(),
    };
    form.hidden = version(m);
    form
}

#[cfg(test)]
impl EditPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        let m = super::sample::hostile();
        let group =
            |name: &str| Group { name: name.into(), description: super::sample::MARKUP.into(), machines: 1 };
        let groups = [group("default"), group(super::sample::MARKUP)];
        Self::new(Layout::sample("Machines"), &super::sample::actor(), &m, &groups, &groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    fn page(role: Role) -> EditPage {
        let actor = Actor { role, ..sample::actor() };
        let group = |name: &str| Group { name: name.into(), description: String::new(), machines: 1 };
        EditPage::new(
            Layout::sample("Machines"),
            &actor,
            &sample::machine(),
            &[group("default")],
            &[group("row-a")],
        )
    }

    fn value(form: &Form, name: &str) -> String {
        form.fields.iter().find(|f| f.name == name).unwrap().value.clone()
    }

    #[test]
    fn the_forms_are_filled_with_what_is_stored() {
        let page = page(Role::Operator);
        let form = &page.machine_form;
        assert_eq!(
            ["hostname", "zone", "tags", "storage_layout.kind"].map(|n| value(form, n)),
            ["node-21", "row-a", "gpu rack-7", "flat"]
        );
        assert_eq!(form.hidden, [("version", "12".to_owned())]);
        let bmc = page.bmc_form.unwrap();
        assert_eq!(
            ["driver", "address", "port", "password"].map(|n| value(&bmc, n)),
            ["ipmi", "10.78.0.21", "623", ""]
        );
    }

    #[test]
    fn users_do_not_see_the_bmc() {
        assert!(page(Role::User).bmc_form.is_none());
    }

    #[test]
    fn users_change_their_own_machines() {
        let mine = sample::machine().summary;
        let of = |role, name: &str| Actor { role, name: name.into(), ..sample::actor() };
        assert!(may_edit(&mine, &of(Role::User, "ann")) && may_edit(&mine, &of(Role::Operator, "ben")));
        assert!(!may_edit(&mine, &of(Role::User, "ben")) && !may_edit(&mine, &of(Role::Viewer, "ann")));
    }
}
