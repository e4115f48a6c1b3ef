//! Scripts whose machine restarted under them.
//!
//! A script that says `may_reboot` is given again, a bounded number of times. Any other has failed: nobody can say how
//! far it came, and a machine that restarts under a test is what the test is to find.

use crate::db::script_run::{self, Ended};
use crate::db::{DbError, operation, work_item};
use crate::lifecycle::steps::REBOOTS;
use rackwright_common::OperationId;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

/// Ends the scripts that an earlier boot had and that this one is not to be given.
pub(super) async fn judge(
    conn: &mut PgConnection,
    operation: OperationId,
    boot: Uuid,
) -> Result<(), DbError> {
    for item in work_item::interrupted(conn, operation, boot).await? {
        let Some(error) = verdict(&item) else { continue };
        if work_item::finish(conn, item.id, false, &error, 0).await? {
            let end = Ended {
                status: "failed",
                exit_code: None,
                stdout: &item.log,
                stderr: &error,
                results: &json!({}),
            };
            script_run::ended(conn, item.id, &end).await?;
            operation::poke(conn, operation).await?;
        }
    }
    Ok(())
}

/// Why it has failed; nothing when it goes on.
fn verdict(item: &work_item::Interrupted) -> Option<String> {
    let name = &item.name;
    if !item.may_reboot {
        Some(format!(
            "the machine restarted while {name} ran; a script that restarts it on purpose says `may_reboot: true`"
        ))
    } else if item.attempt > REBOOTS {
        Some(format!(
            "the machine restarted {} times while {name} ran; {REBOOTS} times are allowed",
            item.attempt
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_may_restart_the_machine_may_do_so_a_few_times() {
        let item = |may_reboot, attempt| work_item::Interrupted {
            id: 1,
            name: "flash".into(),
            may_reboot,
            attempt,
            log: String::new(),
        };
        assert!(verdict(&item(false, 1)).unwrap().starts_with("the machine restarted while flash ran"));
        assert_eq!(verdict(&item(true, REBOOTS)), None);
        assert_eq!(
            verdict(&item(true, REBOOTS + 1)).unwrap(),
            "the machine restarted 6 times while flash ran; 5 times are allowed"
        );
    }
}
