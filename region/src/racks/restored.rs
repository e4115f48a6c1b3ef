//! Leases after the database was restored from a backup: it does not know what racks gave, were granted and promised since.
//!
//! So nothing that it says of the past counts: every block is called back, every lease holds for one longest lease more,
//! every rack begins anew. New blocks are granted when each rack that the database knows has taken that, or is out, and
//! what anybody may have given since the backup is over. Meanwhile racks renew the leases that the backup has, and give
//! fixed addresses.
//!
//! Left out: racks that were enrolled after the backup and do not come back, and racks of the version before.

use super::leases::{number, signed};
use crate::db::lease_state::{self, Changes};
use crate::db::{DbError, lease_address, lease_block};
use rackwright_dhcp::racks::Terms;
use sqlx::PgConnection;

/// Begins anew, with numbers beyond `seen`.
pub async fn begin(
    conn: &mut PgConnection,
    changes: &mut Changes,
    terms: &Terms,
    now: i64,
    seen: i64,
) -> Result<(), DbError> {
    let racks = lease_state::racks(conn, now).await?;
    changes.set_restored(conn, Some(seen)).await?;
    let (change, mut until) = (changes.last(), now);
    for rack in racks.iter().filter(|r| r.heard.is_some()) {
        let terms = Terms { longest_lease_seconds: number(rack.longest_lease), ..*terms };
        let blind_until = signed(terms.out_after_fence(number(now)));
        until = until.max(now + rack.longest_lease);
        lease_block::recall_all(conn, changes, rack.id).await?;
        lease_state::begin_anew(conn, rack.id, change, (now, blind_until)).await?;
    }
    lease_address::hold_all(conn, change, until).await?;
    changes.save(conn).await
}
