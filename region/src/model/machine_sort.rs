//! Orders of the list of machines.

/// What the list can be ordered by.
pub const COLUMNS: [&str; 10] =
    ["name", "status", "since", "power", "owner", "cores", "memory", "disks", "pool", "zone"];

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineSort {
    /// One of [`COLUMNS`].
    pub column: &'static str,
    /// Greatest first.
    pub descending: bool,
}

impl MachineSort {
    /// By name, least first.
    pub const NAME: Self = Self { column: "name", descending: false };

    /// Of its text: a column, with a hyphen before it for the greatest first.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, descending) = match text.strip_prefix('-') {
            Some(name) => (name, true),
            None => (text, false),
        };
        let column = COLUMNS.into_iter().find(|column| *column == name)?;
        Some(Self { column, descending })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_column_and_a_direction() {
        assert_eq!(MachineSort::parse("name"), Some(MachineSort::NAME));
        assert_eq!(MachineSort::parse("-memory"), Some(MachineSort { column: "memory", descending: true }));
        assert_eq!((MachineSort::parse("colour"), MachineSort::parse("")), (None, None));
    }
}
