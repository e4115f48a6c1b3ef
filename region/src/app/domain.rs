//! Domains, the records in them, and what is published of both.

use super::{App, Change, Describe, Error, Result, audit, json};
use crate::auth::Actor;
use crate::db;
use crate::db::DbError;
use crate::model::domain::{DnsRecord, Domain, NameQuery, NewDnsRecord, NewDomain, PublishedName, Zone};
use crate::model::{Page, Role};
use rackwright_dns::{Data, Name, RecordType};
use sqlx::PgConnection;

/// Aliases that may lead to one another.
const ALIASES: usize = 8;

/// All domains.
pub async fn list(app: &App, actor: &Actor) -> Result<Page<Domain>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::domain::list(&mut *app.read().await?, None).await?))
}

/// One domain.
pub async fn get(app: &App, actor: &Actor, id: i64) -> Result<Domain> {
    actor.require(Role::Viewer)?;
    db::domain::get(&mut *app.read().await?, id).await.or_not_found("domain", id)
}

/// Makes a domain.
pub async fn create(app: &App, actor: &Actor, new: &NewDomain) -> Result<Domain> {
    actor.require(Role::Administrator)?;
    let new = checked_domain(new)?;
    let mut tx = app.begin().await?;
    let id = db::domain::insert(&mut tx, &new).await?;
    if new.is_default {
        db::domain::set_default(&mut tx, id).await?;
    }
    let domain = db::domain::get(&mut tx, id).await?;
    let message = format!("The domain {} was made", domain.name);
    let change = Change { kind: "domain.created", message, after: json(&domain), ..Change::default() };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(domain)
}

/// Changes a domain. One with records keeps its name.
pub async fn update(app: &App, actor: &Actor, id: i64, new: &NewDomain) -> Result<Domain> {
    actor.require(Role::Administrator)?;
    let new = checked_domain(new)?;
    let mut tx = app.begin().await?;
    db::domain::lock(&mut tx).await?;
    let before = db::domain::get(&mut tx, id).await.or_not_found("domain", id)?;
    if before.name != new.name && before.records > 0 {
        return Err(Error::Conflict {
            field: Some("name"),
            message: format!("{} has records under its name; remove them first", before.name),
        });
    }
    if before.name != new.name && db::dns_key::by_zone(&mut tx).await?.contains_key(&before.name) {
        return Err(Error::Conflict {
            field: Some("name"),
            message: format!("{} is signed, and its keys are of that name; remove them first", before.name),
        });
    }
    if before.is_default && !new.is_default {
        return Err(Error::Conflict {
            field: Some("is_default"),
            message: "there is always a default domain; make another one it instead".into(),
        });
    }
    db::domain::update(&mut tx, id, &new).await?;
    if new.is_default {
        db::domain::set_default(&mut tx, id).await?;
    }
    let domain = db::domain::get(&mut tx, id).await?;
    let change = Change {
        kind: "domain.changed",
        message: format!("The domain {} was changed", domain.name),
        before: json(&before),
        after: json(&domain),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(domain)
}

fn checked_domain(new: &NewDomain) -> Result<NewDomain> {
    let name: Name = new
        .name
        .trim()
        .parse()
        .map_err(|e: rackwright_dns::InvalidName| Error::invalid("name", e.to_string()))?;
    if !name.is_host_name() {
        return Err(Error::invalid(
            "name",
            "a domain is named like a host: letters, digits and inner hyphens, with dots between",
        ));
    }
    Ok(NewDomain { name: name.to_string(), ..new.clone() })
}

/// Removes a domain with its records.
pub async fn delete(app: &App, actor: &Actor, id: i64) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let before = db::domain::get(&mut tx, id).await.or_not_found("domain", id)?;
    if before.is_default {
        return Err(Error::conflict(
            "machines and controllers are in the default domain; make another one it first",
        ));
    }
    db::domain::delete(&mut tx, id).await.or_in_use("there are machines in this domain; move them first")?;
    let change = Change {
        kind: "domain.deleted",
        message: format!("The domain {} was removed", before.name),
        before: json(&before),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    Ok(tx.commit().await?)
}

/// Records; of one domain when given.
pub async fn records(app: &App, actor: &Actor, domain: Option<&str>) -> Result<Page<DnsRecord>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::dns_record::list(&mut *app.read().await?, domain).await?))
}

/// Enters a record.
pub async fn create_record(app: &App, actor: &Actor, new: &NewDnsRecord) -> Result<DnsRecord> {
    actor.require(Role::Operator)?;
    let mut tx = app.begin().await?;
    let (domain, new) = checked_record(&mut tx, new, None).await?;
    let id = db::dns_record::insert(&mut tx, domain, &new).await?;
    let record = db::dns_record::get(&mut tx, id).await?;
    let change = Change {
        kind: "dns-record.created",
        message: format!("The record {} {} {} was entered", record.name, record.kind, record.data),
        after: json(&record),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(record)
}

/// Changes a record.
pub async fn update_record(app: &App, actor: &Actor, id: i64, new: &NewDnsRecord) -> Result<DnsRecord> {
    actor.require(Role::Operator)?;
    let mut tx = app.begin().await?;
    let before = db::dns_record::get(&mut tx, id).await.or_not_found("record", id)?;
    let (domain, new) = checked_record(&mut tx, new, Some(id)).await?;
    db::dns_record::update(&mut tx, id, domain, &new).await?;
    let record = db::dns_record::get(&mut tx, id).await?;
    let change = Change {
        kind: "dns-record.changed",
        message: format!("The record {} {} {} was changed", record.name, record.kind, record.data),
        before: json(&before),
        after: json(&record),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(record)
}

/// Removes a record.
pub async fn delete_record(app: &App, actor: &Actor, id: i64) -> Result<()> {
    actor.require(Role::Operator)?;
    let mut tx = app.begin().await?;
    let before = db::dns_record::get(&mut tx, id).await.or_not_found("record", id)?;
    db::dns_record::delete(&mut tx, id).await?;
    let change = Change {
        kind: "dns-record.deleted",
        message: format!("The record {} {} {} was removed", before.name, before.kind, before.data),
        before: json(&before),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    Ok(tx.commit().await?)
}

/// All zones as they are published.
pub async fn zones(app: &App, actor: &Actor) -> Result<Page<Zone>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::dns_zone::list(&mut *app.read().await?).await?))
}

/// Names as they are published, derived ones too.
pub async fn names(app: &App, actor: &Actor, query: &NameQuery) -> Result<Page<PublishedName>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::dns_zone::names(&mut *app.read().await?, query).await?))
}

/// The record as it is stored, and the number of its domain. `own` is the record that it takes the place of.
async fn checked_record(
    conn: &mut PgConnection,
    new: &NewDnsRecord,
    own: Option<i64>,
) -> Result<(i64, NewDnsRecord)> {
    let of_name = |e: rackwright_dns::InvalidName| Error::invalid("name", e.to_string());
    let name: Name = new.name.trim().parse().map_err(of_name)?;
    let kind: RecordType = new
        .kind
        .trim()
        .parse()
        .map_err(|e: rackwright_dns::InvalidData| Error::invalid("type", e.to_string()))?;
    if !RecordType::ENTERED.contains(&kind) {
        return Err(Error::invalid("type", format!("{kind} records are made by Rackwright itself")));
    }
    let data = Data::parse(kind, &new.data).map_err(|e| Error::invalid("data", e.to_string()))?;
    check_hosts(&name, &data)?;
    db::domain::lock(conn).await?;
    let domains = db::domain::list(conn, None).await?;
    let holding = domains.iter().filter(|d| d.name.parse().is_ok_and(|zone| name.is_under(&zone)));
    let Some(domain) = holding.max_by_key(|d| d.name.len()) else {
        let known: Vec<_> = domains.iter().take(5).map(|d| d.name.as_str()).collect();
        return Err(Error::invalid(
            "name",
            format!(
                "{name} lies in none of the domains ({}); write it in full, or make its domain first",
                known.join(", ")
            ),
        ));
    };
    if kind == RecordType::CNAME && domain.name == name.to_string() {
        return Err(Error::invalid("name", "a domain itself cannot be an alias; name something in it"));
    }
    check_alias(conn, &name, &data, own).await?;
    let stored =
        NewDnsRecord { name: name.to_string(), kind: kind.to_string(), data: data.to_string(), ttl: new.ttl };
    Ok((domain.id, stored))
}

/// Names of hosts have the letters of hosts, and so do names that records point to.
fn check_hosts(name: &Name, data: &Data) -> Result<()> {
    let rest = if name.is_wildcard() { name.parent() } else { Some(name.clone()) };
    let host = rest.is_some_and(|rest| rest.is_host_name());
    if matches!(data.kind, RecordType::A | RecordType::AAAA | RecordType::MX) && !host {
        return Err(Error::invalid(
            "name",
            format!("{name} is not a host name: letters, digits and inner hyphens, with dots between"),
        ));
    }
    let points = matches!(data.kind, RecordType::NS | RecordType::MX | RecordType::SRV);
    match data.target().filter(|_| points) {
        Some(target) if !target.is_host_name() && (target != Name::root() || data.kind == RecordType::NS) => {
            Err(Error::invalid("data", format!("{target} is not a host name")))
        }
        _ => Ok(()),
    }
}

/// An alias is alone under its name (RFC 1034 section 3.6.2), and aliases lead to an end.
async fn check_alias(conn: &mut PgConnection, name: &Name, data: &Data, own: Option<i64>) -> Result<()> {
    let taken = |message: String| Error::Conflict { field: Some("name"), message };
    let text = name.to_string();
    let beside: Vec<_> =
        db::dns_record::named(conn, &text).await?.into_iter().filter(|r| Some(r.id) != own).collect();
    if let Some(alias) = beside.iter().find(|r| r.kind == "CNAME") {
        return Err(taken(format!(
            "{text} is an alias of {}, and an alias has no other records",
            alias.data
        )));
    }
    if data.kind != RecordType::CNAME {
        return Ok(());
    }
    if let Some(other) = beside.first() {
        return Err(taken(format!("{text} has a record of type {}, and an alias stands alone", other.kind)));
    }
    if let Some(derived) = db::dns_zone::derived(conn, &text).await? {
        return Err(taken(format!(
            "{text} is the name of something with the address {derived}; an alias stands alone"
        )));
    }
    let mut target = data.target();
    for _ in 0..ALIASES {
        let Some(next) = target else { return Ok(()) };
        if next == *name {
            return Err(Error::invalid("data", format!("{text} would lead to itself")));
        }
        target = next_alias(conn, &next, own).await?;
    }
    Err(Error::invalid("data", format!("more than {ALIASES} aliases lead to one another from {text}")))
}

async fn next_alias(
    conn: &mut PgConnection,
    name: &Name,
    own: Option<i64>,
) -> std::result::Result<Option<Name>, DbError> {
    let named = db::dns_record::named(conn, &name.to_string()).await?;
    let alias = named.into_iter().find(|r| r.kind == "CNAME" && Some(r.id) != own);
    Ok(alias.and_then(|r| r.data.parse().ok()))
}
