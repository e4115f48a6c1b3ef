//! A transaction that says when its COMMIT begins: until then whoever serves the request may do all of it again.

use super::standby;
use sqlx::{PgConnection, Postgres};
use std::ops::{Deref, DerefMut};

/// Rolled back unless it is committed.
#[derive(Debug)]
pub struct Transaction(sqlx::Transaction<'static, Postgres>);

impl Transaction {
    /// Commits. An error says nothing about whether it was carried out.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        standby::note_commit();
        self.0.commit().await
    }
}

impl From<sqlx::Transaction<'static, Postgres>> for Transaction {
    fn from(transaction: sqlx::Transaction<'static, Postgres>) -> Self {
        Self(transaction)
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}
