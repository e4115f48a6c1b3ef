//! A machine's result values beside those of the other machines of its model.

use serde::{Deserialize, Serialize};

/// What scripts measured on a machine, each value beside the same one of machines with the same vendor and product.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Comparison {
    /// Machines of the model that were looked at, this one among them; the latest commissioned, 100 at most.
    pub machines: i64,
    /// By kind of hardware, script, part and value.
    pub values: Vec<ResultValue>,
}

/// One value of one script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ResultValue {
    /// Script.
    pub script: String,
    /// `node`, `cpu`, `memory`, `storage`, `network`, `gpu`.
    pub hardware_type: String,
    /// Model of the disk or card that was measured, since a machine has unlike ones; empty for the whole machine.
    pub part: String,
    /// Name of the value.
    pub name: String,
    /// Its title in the script's header, or empty.
    pub title: String,
    /// Its description there, which says the unit, or empty.
    pub description: String,
    /// The latest value of each machine and target, this machine's among them, ascending.
    pub values: Vec<f64>,
    /// Those of this machine.
    pub own: Vec<OwnValue>,
}

/// A value of the machine in question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OwnValue {
    /// The disk's serial or the NIC's MAC; empty for the whole machine.
    pub target: String,
    /// The script run it is of.
    pub run: i64,
    /// The value.
    pub value: f64,
}

/// Quartiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// A quarter of the values lies below.
    pub lower: f64,
    /// Half of them does.
    pub median: f64,
    /// A quarter of them lies above.
    pub upper: f64,
}

impl ResultValue {
    /// The quartiles of all values, by linear interpolation.
    pub fn spread(&self) -> Spread {
        let at = |part: f64| {
            let place = part * self.values.len().saturating_sub(1) as f64;
            let value = |i: f64| self.values.get(i as usize).copied().unwrap_or_default();
            value(place.floor()) * (1.0 - place.fract()) + value(place.ceil()) * place.fract()
        };
        Spread { lower: at(0.25), median: at(0.5), upper: at(0.75) }
    }

    /// The place of a value from the top, beginning with 1.
    pub fn place(&self, value: f64) -> usize {
        1 + self.values.iter().filter(|other| **other > value).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> ResultValue {
        let text = String::new;
        let (script, hardware_type, part, name, title, description) =
            (text(), text(), text(), text(), text(), text());
        let own = Vec::new();
        ResultValue { script, hardware_type, part, name, title, description, values: values.into(), own }
    }

    #[test]
    fn quartiles_lie_between_values() {
        assert_eq!(of(&[1.0, 2.0, 3.0, 4.0]).spread(), Spread { lower: 1.75, median: 2.5, upper: 3.25 });
        assert_eq!(of(&[7.0]).spread(), Spread { lower: 7.0, median: 7.0, upper: 7.0 });
    }

    #[test]
    fn equal_values_share_a_place() {
        let values = of(&[1.0, 5.0, 5.0, 9.0]);
        assert_eq!([9.0, 5.0, 1.0].map(|v| values.place(v)), [1, 2, 4]);
    }
}
