//! Which machines a list shows. The conditions stand here once, for every statement that filters.

/// Which machines; `None` lets all through.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    /// Any of these statuses.
    pub statuses: Option<Vec<String>>,
    /// All of these tags.
    pub tags: Option<Vec<String>>,
    /// In this zone.
    pub zone: Option<&'a str>,
    /// In any of these pools.
    pub pools: Option<Vec<String>>,
    /// Of this user.
    pub owner: Option<&'a str>,
    /// Part of a name, an identifier, a serial number, a MAC or an address; lower case.
    pub text: Option<String>,
}

/// A checked query over the machines `m` that pass a [`Filter`], between the two halves of its text. The filter has
/// the parameters `$1` to `$6`; what else the query takes comes after them.
macro_rules! filtered {
    ($($query:ident)::+!($($row:ident,)? $before:literal, $after:literal), $filter:expr $(, $more:expr)*) => {
        $($query)::+!(
            $($row,)?
            $before
                + r#"($1::text[] IS NULL OR m.status = ANY($1))
               AND ($2::text[] IS NULL OR m.tags @> $2) AND ($3::text IS NULL OR m.zone = $3)
               AND ($4::text[] IS NULL OR m.pool = ANY($4))
               AND ($5::text IS NULL OR m.owner_id = (SELECT id FROM "user" WHERE name = $5))
               AND ($6::text IS NULL
                    OR strpos(lower(concat_ws(' ', m.hostname, m.id, m.description, m.vendor, m.product, m.system_serial)), $6) > 0
                    OR EXISTS (SELECT 1 FROM interface i WHERE i.machine_id = m.id
                               AND (strpos(i.mac, $6) > 0 OR strpos(coalesce(host(i.address), ''), $6) > 0)))"#
                + $after,
            $filter.statuses.as_deref(),
            $filter.tags.as_deref(),
            $filter.zone,
            $filter.pools.as_deref(),
            $filter.owner,
            $filter.text
            $(, $more)*
        )
    };
}

pub(super) use filtered;
