//! Notifications: rules, and what they let through. A trigger writes the latter beside the event (migration 0020).

use super::DbError;
use crate::model::event::{Event, Level};
use crate::model::notification::{Notification, NotificationQuery, NotificationRule, NotificationState};
use crate::model::page::MAX_LIMIT;
use sqlx::PgConnection;

/// A rule, and its sealed secret.
pub type Stored = (NotificationRule, Option<Vec<u8>>);

struct RuleRow {
    name: String,
    enabled: bool,
    kinds: Vec<String>,
    level: String,
    pool: Option<String>,
    channel: serde_json::Value,
    secret: Option<Vec<u8>>,
}

impl TryFrom<RuleRow> for Stored {
    type Error = DbError;

    fn try_from(r: RuleRow) -> Result<Self, DbError> {
        let rule = NotificationRule {
            name: r.name,
            enabled: r.enabled,
            kinds: r.kinds,
            level: Level::parse(&r.level),
            pool: r.pool,
            channel: serde_json::from_value(r.channel).map_err(|_| DbError::Corrupt { what: "channel" })?,
            secret: None,
            has_secret: r.secret.is_some(),
        };
        Ok((rule, r.secret))
    }
}

/// All rules, by name.
pub async fn rules(conn: &mut PgConnection) -> Result<Vec<Stored>, DbError> {
    let rows = sqlx::query_as!(
        RuleRow,
        "SELECT name, enabled, kinds, level, pool, channel, secret FROM notification_rule ORDER BY name"
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// A rule by name.
pub async fn find_rule(conn: &mut PgConnection, name: &str) -> Result<Option<Stored>, DbError> {
    let row = sqlx::query_as!(
        RuleRow,
        "SELECT name, enabled, kinds, level, pool, channel, secret FROM notification_rule WHERE name = $1",
        name
    )
    .fetch_optional(conn)
    .await?;
    row.map(Stored::try_from).transpose()
}

/// Writes a rule with its sealed secret.
pub async fn put_rule(
    conn: &mut PgConnection,
    rule: &NotificationRule,
    secret: Option<&[u8]>,
) -> Result<(), DbError> {
    let channel = serde_json::to_value(&rule.channel).map_err(|_| DbError::Corrupt { what: "channel" })?;
    sqlx::query!(
        "INSERT INTO notification_rule (name, enabled, kinds, level, pool, channel, secret) VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (name) DO UPDATE SET enabled = $2, kinds = $3, level = $4, pool = $5, channel = $6, secret = $7",
        rule.name,
        rule.enabled,
        &rule.kinds,
        rule.level.as_str(),
        rule.pool,
        channel,
        secret
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes a rule with its notifications; false when there is none.
pub async fn delete_rule(conn: &mut PgConnection, name: &str) -> Result<bool, DbError> {
    let done = sqlx::query!("DELETE FROM notification_rule WHERE name = $1", name).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

fn event(stored: serde_json::Value) -> Result<Event, DbError> {
    serde_json::from_value(stored).map_err(|_| DbError::Corrupt { what: "event" })
}

/// Notifications, newest first, as a user has seen them or not; with `pools` those about the machines in them only.
pub async fn list(
    conn: &mut PgConnection,
    query: &NotificationQuery,
    user: i64,
    pools: Option<&[String]>,
) -> Result<Vec<Notification>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT n.id, r.name AS rule, n.state, n.state = 'shown' AND n.id > u.notifications_seen AS "unread!",
                  n.attempt, n.error, n.created_at, n.sent_at, n.event
           FROM notification n JOIN notification_rule r ON r.id = n.rule_id JOIN "user" u ON u.id = $5
           WHERE n.id < $1 AND n.state = $2
             AND ($3::text[] IS NULL OR n.machine_id IN (SELECT id FROM machine WHERE pool = ANY($3)))
           ORDER BY n.id DESC LIMIT $4"#,
        query.before.unwrap_or(i64::MAX),
        query.state.unwrap_or(NotificationState::Shown).as_str(),
        pools,
        query.limit.unwrap_or(100).clamp(1, MAX_LIMIT),
        user
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Notification {
                id: r.id,
                rule: r.rule,
                state: NotificationState::parse(&r.state).ok_or(DbError::Corrupt { what: "state" })?,
                unread: r.unread,
                attempt: r.attempt,
                error: r.error,
                created_at: r.created_at.into(),
                sent_at: r.sent_at.map(Into::into),
                event: event(r.event)?,
            })
        })
        .collect()
}

/// How many on the page a user has not seen, counted to a hundred; with `pools` those about the machines in them only.
pub async fn unread(conn: &mut PgConnection, user: i64, pools: Option<&[String]>) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM (
             SELECT 1 FROM notification n
             WHERE n.state = 'shown' AND n.id > (SELECT notifications_seen FROM "user" WHERE id = $1)
               AND ($2::text[] IS NULL OR n.machine_id IN (SELECT id FROM machine WHERE pool = ANY($2))) LIMIT 100) unread"#,
        user,
        pools
    )
    .fetch_one(conn)
    .await?)
}

/// A user has seen those on the page up to this one.
pub async fn see(conn: &mut PgConnection, user: i64, upto: i64) -> Result<(), DbError> {
    sqlx::query!(
        r#"UPDATE "user" SET notifications_seen = greatest(notifications_seen, least($2, (SELECT coalesce(max(id), 0) FROM notification)))
           WHERE id = $1"#,
        user,
        upto
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A notification that its holder is to send.
#[derive(Debug)]
pub struct Claimed {
    /// Number; the same in every try.
    pub id: i64,
    /// Only its holder has it.
    pub epoch: i64,
    /// Which try this is, from 1.
    pub attempt: i32,
    /// The rule, and its sealed secret.
    pub rule: Stored,
    /// What happened.
    pub event: Event,
}

/// Takes one that is due. It is this holder's for `seconds`; then anybody's. Those of a rule that is disabled wait.
pub async fn claim(conn: &mut PgConnection, seconds: f64) -> Result<Option<Claimed>, DbError> {
    let row = sqlx::query!(
        r#"WITH due AS (
             SELECT n.id FROM notification n JOIN notification_rule r ON r.id = n.rule_id
             WHERE n.state = 'pending' AND n.next_attempt_at <= now() AND r.enabled
             ORDER BY n.next_attempt_at FOR UPDATE OF n SKIP LOCKED LIMIT 1)
           UPDATE notification n SET epoch = n.epoch + 1, attempt = n.attempt + 1,
                  next_attempt_at = now() + make_interval(secs => $1)
           FROM due, notification_rule r WHERE n.id = due.id AND r.id = n.rule_id
           RETURNING n.id, n.epoch, n.attempt, n.event, r.name, r.enabled, r.kinds, r.level, r.pool, r.channel, r.secret"#,
        seconds
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| {
        let rule = RuleRow {
            name: r.name,
            enabled: r.enabled,
            kinds: r.kinds,
            level: r.level,
            pool: r.pool,
            channel: r.channel,
            secret: r.secret,
        };
        let (rule, event) = (rule.try_into()?, event(r.event)?);
        Ok(Claimed { id: r.id, epoch: r.epoch, attempt: r.attempt, rule, event })
    })
    .transpose()
}

/// The receiver has taken it. Nothing is written when somebody else holds it by now.
pub async fn sent(conn: &mut PgConnection, claimed: &Claimed) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE notification SET state = 'sent', sent_at = now(), error = NULL WHERE id = $1 AND epoch = $2 AND state = 'pending'",
        claimed.id,
        claimed.epoch
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// It was not taken: again after `seconds`, or never.
pub async fn put_back(
    conn: &mut PgConnection,
    claimed: &Claimed,
    again_in: Option<f64>,
    error: &str,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE notification SET state = CASE WHEN $3::float8 IS NULL THEN 'failed' ELSE 'pending' END, error = $4,
                next_attempt_at = now() + make_interval(secs => coalesce($3, 0))
         WHERE id = $1 AND epoch = $2 AND state = 'pending'",
        claimed.id,
        claimed.epoch,
        again_in,
        error.chars().filter(|c| *c != '\0').take(1000).collect::<String>()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How many were refused once at least and are tried again, and how many were given up.
pub async fn troubles(conn: &mut PgConnection) -> Result<(i64, i64), DbError> {
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE state = 'pending') AS "again!", count(*) FILTER (WHERE state = 'failed') AS "failed!"
           FROM notification WHERE state IN ('pending', 'failed') AND error IS NOT NULL"#
    )
    .fetch_one(conn)
    .await?;
    Ok((row.again, row.failed))
}

/// Forgets those of more than thirty days ago, a thousand at most; how many.
pub async fn forget(conn: &mut PgConnection) -> Result<u64, DbError> {
    let gone = sqlx::query!(
        "DELETE FROM notification WHERE id IN (SELECT id FROM notification WHERE created_at < now() - interval '30 days' LIMIT 1000)"
    );
    Ok(gone.execute(conn).await?.rows_affected())
}
