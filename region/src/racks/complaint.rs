//! What is wrong with a rack that only a person can put right: a version too far from ours, a clock that is wrong, a second box
//! under its name. Told as an event, once in a while, and not with each attempt; the rack goes on with what it has.

use crate::db::event::{self, NewEvent};
use crate::db::{DbError, region};
use crate::model::region_token::{side_by_side, wrong_clock};
use rackwright_common::link::RackHello;
use serde_json::json;
use sqlx::PgConnection;

/// Says so, unless it was said lately.
pub async fn tell(conn: &mut PgConnection, rack: &str, kind: &str, message: &str) -> Result<(), DbError> {
    let data = json!({ "rack": rack });
    if event::is_told_lately(conn, kind, &data).await? {
        return Ok(());
    }
    let event = NewEvent {
        kind,
        level: "warning",
        machine: None,
        operation: None,
        actor: "rackwright",
        message,
        data,
    };
    event::append(conn, &event).await
}

/// Why a rack of this version is not talked to.
pub fn of_version(name: &str, theirs: &str) -> Option<String> {
    let ours = env!("CARGO_PKG_VERSION");
    (!side_by_side(ours, theirs)).then(|| {
        format!(
            "the rack {name} has Rackwright {theirs} and the regions {ours}, which do not work side by side: install {ours} on \
             the rack's box; until then it goes on with what it knows"
        )
    })
}

/// Looks at the clock of a rack that says hello. One of the version before says nothing of it.
pub async fn look_at_clock(conn: &mut PgConnection, name: &str, hello: &RackHello) -> Result<(), DbError> {
    let Some(theirs) = hello.clock else { return Ok(()) };
    let now = region::clock(conn).await?.unix_timestamp();
    match wrong_clock(theirs, now) {
        Some(how) => {
            let message = format!(
                "the clock of the rack {name} is {how} the database's: set the one that is wrong (`chronyc makestep`). Leases and \
                 consoles do not depend on it, times in its log do"
            );
            tell(conn, name, "rack.clock", &message).await
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_are_too_far_apart_are_named_with_the_cure() {
        assert_eq!(of_version("rack-1", env!("CARGO_PKG_VERSION")), None);
        let text = of_version("rack-1", "99.0.0").unwrap();
        assert!(text.contains("rack-1") && text.contains("99.0.0") && text.contains("install"), "{text}");
    }
}
