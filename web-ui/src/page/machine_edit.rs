//! Changing a machine and its BMC. A refusal shows the forms again, with the reason at its field.

use super::{Shown, go, machine_id};
use crate::error::{describe, log};
use crate::view::form::Form;
use crate::view::machine_edit::{EditPage, may_edit};
use crate::visitor::{Fields, Posted, Visitor};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use rackwright_common::bmc::BmcSettings;
use rackwright_common::storage::{LayoutKind, StorageLayout};
use rackwright_common::{Hostname, Secret};
use rackwright_region::app::{App, Error, group, machine};
use rackwright_region::model::machine::{Machine, MachinePatch, NewBmc};
use rackwright_region::model::network::GroupKind;

/// The page.
pub async fn show(State(app): State<App>, visitor: Visitor, Path(id): Path<String>) -> Shown<EditPage> {
    let found = machine::get(&app, &visitor.actor, &machine_id(&id)?).await?;
    if !may_edit(&found.summary, &visitor.actor) {
        let name = &visitor.actor.name;
        return Err(Error::Forbidden(format!(
            "this machine is not {name}'s; its owner or an operator may change it"
        ))
        .into());
    }
    page(&app, visitor, &found).await
}

async fn page(app: &App, visitor: Visitor, found: &Machine) -> Shown<EditPage> {
    let pools = group::list(app, &visitor.actor, GroupKind::Pool).await?.items;
    let zones = group::list(app, &visitor.actor, GroupKind::Zone).await?.items;
    Ok(EditPage::new(visitor.layout("Machines"), &visitor.actor, found, &pools, &zones))
}

/// Takes the machine's form.
pub async fn save(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let found = machine::get(&app, &visitor.actor, &machine_id(&id)?).await?;
    let id = &found.summary.id;
    let done = match patch(&found, &fields) {
        Ok(patch) => machine::update(&app, &visitor.actor, id, version(&fields), &patch).await.map(drop),
        Err(error) => Err(error),
    };
    answer(&app, visitor, &found, &fields, done, |page| Some(&mut page.machine_form)).await
}

/// Takes the BMC's form.
pub async fn save_bmc(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let found = machine::get(&app, &visitor.actor, &machine_id(&id)?).await?;
    let done = match bmc(&fields) {
        Ok(new) => {
            machine::set_bmc(&app, &visitor.actor, &found.summary.id, version(&fields), &new).await.map(drop)
        }
        Err(error) => Err(error),
    };
    answer(&app, visitor, &found, &fields, done, |page| page.bmc_form.as_mut()).await
}

/// Back to the machine, or the page again with the refusal in one of its forms.
async fn answer(
    app: &App,
    visitor: Visitor,
    before: &Machine,
    fields: &Fields,
    done: Result<(), Error>,
    form: impl Fn(&mut EditPage) -> Option<&mut Form>,
) -> Shown<Response> {
    let id = &before.summary.id;
    let Err(error) = done else { return Ok(go(&format!("/machines/{id}"))) };
    log(&error);
    // Read again: what somebody else has stored is shown beside what was typed.
    let now = machine::get(app, &visitor.actor, id).await?;
    let mut page = page(app, visitor, &now).await?;
    match form(&mut page) {
        Some(form) => *form = form.clone().refused(fields, &error),
        None => return Err(error.into()),
    }
    Ok((describe(&error).0, page).into_response())
}

/// The version that the form was made from. A form without one is not checked against anything.
fn version(fields: &Fields) -> Option<i64> {
    fields.text("version").parse().ok()
}

/// What differs from the machine: what stays is not touched, so that a deployed one can be described anew though its
/// name cannot change.
fn patch(m: &Machine, fields: &Fields) -> Result<MachinePatch, Error> {
    let s = &m.summary;
    let changed =
        |name: &str, stored: &str| fields.find(name).map(|v| v.trim().to_owned()).filter(|v| v != stored);
    let hostname = changed("hostname", s.hostname.as_str()).map(|name| name.parse::<Hostname>()).transpose();
    let words = fields.text("tags");
    let words =
        words.split([',', ' ', '\n', '\t']).filter(|w| !w.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let layout = layout(fields)?;
    Ok(MachinePatch {
        hostname: hostname.map_err(|e| Error::invalid("hostname", e.to_string()))?,
        description: changed("description", &m.description),
        pool: changed("pool", &s.pool),
        zone: changed("zone", &s.zone),
        tags: Some(words).filter(|w| *w != s.tags),
        storage_layout: Some(layout).filter(|l| *l != m.storage_layout),
    })
}

fn layout(fields: &Fields) -> Result<StorageLayout, Error> {
    let kind = match fields.text("storage_layout.kind").as_str() {
        "image" => LayoutKind::Image,
        "flat" => LayoutKind::Flat,
        "lvm" => LayoutKind::Lvm,
        other => {
            return Err(Error::invalid(
                "storage_layout.kind",
                format!("`{other}` is not a layout: image, flat or lvm"),
            ));
        }
    };
    let name = "storage_layout.root_mib";
    let root_mib = fields.filled(name).map(|text| text.trim().parse::<u64>().map_err(|_| text)).transpose();
    let root_mib =
        root_mib.map_err(|text| Error::invalid(name, format!("`{text}` is not a number of MiB")))?;
    Ok(StorageLayout { kind, disk_serial: fields.filled("storage_layout.disk_serial"), root_mib })
}

fn bmc(fields: &Fields) -> Result<NewBmc, Error> {
    let number = |name: &str, what: &str| match fields.filled(name) {
        Some(text) => text
            .trim()
            .parse::<u16>()
            .map(Some)
            .map_err(|_| Error::invalid(name, format!("`{text}` is not {what}"))),
        None => Ok(None),
    };
    let suite = number("settings.cipher_suite", "a cipher suite: 3 or 17")?;
    let suite = suite.map(u8::try_from).transpose();
    Ok(NewBmc {
        driver: fields.text("driver").parse().map_err(|e: String| Error::invalid("driver", e))?,
        address: fields.text("address").trim().to_owned(),
        port: number("port", "a port: 1 to 65535")?,
        username: fields.text("username"),
        password: Secret::new(fields.text("password")),
        settings: BmcSettings {
            cipher_suite: suite
                .map_err(|_| Error::invalid("settings.cipher_suite", "a cipher suite is 3 or 17"))?,
            kg: Secret::new(fields.text("settings.kg").trim().to_owned()),
            operator: fields.ticked("settings.operator"),
            tls: fields.ticked("settings.tls"),
            certificate_sha256: fields.filled("settings.certificate_sha256").map(|v| v.trim().to_owned()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    /// What the form of the sample machine sends when nothing is typed.
    const UNTOUCHED: [(&str, &str); 8] = [
        ("hostname", "node-21"),
        ("description", "the spare one"),
        ("pool", "default"),
        ("zone", "row-a"),
        ("tags", "gpu rack-7"),
        ("storage_layout.kind", "flat"),
        ("storage_layout.disk_serial", ""),
        ("storage_layout.root_mib", ""),
    ];

    #[test]
    fn only_what_was_changed_is_changed() {
        let m = sample::machine();
        assert_eq!(patch(&m, &fields(&UNTOUCHED)).unwrap(), MachinePatch::default());
        let mut typed = UNTOUCHED;
        (typed[1].1, typed[4].1, typed[7].1) = ("", "gpu, spare", "20480");
        let seen = patch(&m, &fields(&typed)).unwrap();
        assert_eq!(seen.description.as_deref(), Some(""));
        assert_eq!(seen.tags, Some(vec!["gpu".to_owned(), "spare".to_owned()]));
        assert_eq!(seen.storage_layout.unwrap().root_mib, Some(20480));
        assert_eq!((seen.hostname, seen.zone), (None, None));
    }

    #[test]
    fn what_cannot_be_names_its_field() {
        let m = sample::machine();
        for (at, text, field) in
            [(0, "-x", "hostname"), (5, "zfs", "storage_layout.kind"), (7, "20G", "storage_layout.root_mib")]
        {
            let mut typed = UNTOUCHED;
            typed[at].1 = text;
            match patch(&m, &fields(&typed)).unwrap_err() {
                Error::Invalid { field: at, message } => {
                    assert!(at == field && message.contains(text), "{at}: {message}")
                }
                other => panic!("{other:?}"),
            }
        }
        for (name, text) in [("driver", "telnet"), ("port", "70000"), ("settings.cipher_suite", "x")] {
            let typed = fields(&[("driver", if name == "driver" { text } else { "ipmi" }), (name, text)]);
            match bmc(&typed).unwrap_err() {
                Error::Invalid { field, message } => {
                    assert!(field == name && message.contains(text), "{field}: {message}")
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
