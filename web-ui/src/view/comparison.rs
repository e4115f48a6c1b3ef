//! A machine's result values beside those of its model: a small drawing and a sentence for each.
//!
//! A drawing is the values' histogram, the middle half as a band with the median in it, and the machine's own values
//! as marks. Everything it shows stands in the sentence too. Places are per cent of the drawing's width, so it needs
//! no script to fit its column.

use super::{Pill, Tone};
use crate::format::{capital, number};
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::model::machine::Machine;
use rackwright_region::model::result_value::{Comparison, ResultValue, Spread};

/// Bars of a histogram.
const BARS: usize = 32;
/// Fewer values than this have no distribution worth a drawing.
const LEAST: usize = 4;
/// Fewer values than this do not say what is unusual.
const ENOUGH: usize = 8;

/// The part of the machine's page.
#[derive(Debug, Clone, PartialEq, Template, WebTemplate)]
#[template(path = "machine_comparison.html")]
pub struct Compared {
    /// Machine.
    pub id: String,
    /// Vendor and product.
    pub model: String,
    /// Machines of the model that were looked at.
    pub machines: i64,
    /// One per value; those that stand out first.
    pub charts: Vec<Chart>,
    /// Values that are the same everywhere.
    pub same: Vec<String>,
    /// Values that too few machines have.
    pub few: Vec<String>,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it is.
    pub title: String,
    /// The script, and the model of the part that it measured.
    pub of: String,
    /// Unit and the like.
    pub about: String,
    /// Histogram: left end, width, top, height; per cent.
    pub bars: Vec<[String; 4]>,
    /// Middle half: left end, width, per cent.
    pub half: [String; 2],
    /// Median, per cent.
    pub median: String,
    /// This machine: place in per cent, run, text.
    pub own: Vec<(String, i64, String)>,
    /// Least and greatest value.
    pub ends: [String; 2],
    /// What the drawing shows.
    pub sentence: String,
    /// It stands out.
    pub unusual: Option<Pill>,
}

impl Compared {
    /// Of a machine.
    pub fn new(m: &Machine, comparison: &Comparison) -> Self {
        let s = &m.summary;
        let model = super::joined([s.vendor.as_deref(), s.product.as_deref()], " ");
        let (mut charts, mut same, mut few) = (Vec::new(), Vec::new(), Vec::new());
        for value in &comparison.values {
            let (Some(low), Some(high)) = (value.values.first(), value.values.last()) else { continue };
            if value.values.len() < LEAST {
                few.push(named(value));
            } else if low < high {
                charts.push(Chart::new(value, *low, *high));
            } else {
                same.push(format!("{} {}", named(value), number(*low)));
            }
        }
        charts.sort_by_key(|c| c.unusual.is_none());
        Self { id: s.id.to_string(), model, machines: comparison.machines, charts, same, few }
    }
}

/// Title of a value, as the script's header has it.
fn title(v: &ResultValue) -> String {
    if v.title.is_empty() { v.name.replace('_', " ") } else { v.title.clone() }
}

fn named(v: &ResultValue) -> String {
    format!("{} ({})", title(v), super::joined([Some(v.script.as_str()), Some(v.part.as_str())], ", "))
}

impl Chart {
    /// Of values between two that differ, ascending.
    fn new(v: &ResultValue, low: f64, high: f64) -> Self {
        // Halved, so that the greatest numbers there are have a distance too.
        let place = |value: f64| ((value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)).clamp(0.0, 1.0);
        let percent = |part: f64| format!("{:.1}", 2.0 + part * 96.0);
        let spread = v.spread();
        let width = |from: f64, to: f64| format!("{:.1}", ((place(to) - place(from)) * 96.0).max(0.5));
        let own = v.own.iter().map(|o| {
            let target = if o.target.is_empty() { String::new() } else { format!("{}: ", o.target) };
            (percent(place(o.value)), o.run, format!("{target}{}", number(o.value)))
        });
        Self {
            title: capital(&title(v)),
            of: super::joined([Some(v.script.as_str()), Some(v.part.as_str())], " · "),
            about: v.description.clone(),
            bars: bars(&v.values, place),
            half: [percent(place(spread.lower)), width(spread.lower, spread.upper)],
            median: percent(place(spread.median)),
            own: own.collect(),
            ends: [number(low), number(high)],
            sentence: sentence(v, &spread),
            unusual: unusual(v, &spread),
        }
    }
}

/// The histogram: left end, width, top and height of each bar that is not empty.
fn bars(values: &[f64], place: impl Fn(f64) -> f64) -> Vec<[String; 4]> {
    let mut counts = [0_u32; BARS];
    for value in values {
        let bar = (place(*value) * BARS as f64) as usize;
        counts[bar.min(BARS - 1)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    let each = 96.0 / BARS as f64;
    let drawn = counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(at, count)| {
        // A lone value is still to be seen.
        let height = (f64::from(*count) / f64::from(most) * 62.0).max(5.0);
        [2.0 + at as f64 * each, each * 0.86, 64.0 - height, height].map(|n| format!("{n:.1}"))
    });
    drawn.collect()
}

/// In words: this machine, its place, the median, the middle half.
fn sentence(v: &ResultValue, spread: &Spread) -> String {
    let own = v.own.iter().map(|o| {
        let target = if v.own.len() > 1 { format!("{}: ", o.target) } else { String::new() };
        format!(
            "{target}{}, {} of {}",
            number(o.value),
            ordinal(v.place(o.value), v.values.len()),
            v.values.len()
        )
    });
    format!(
        "This machine {}. Median {}, the middle half {} to {}.",
        own.collect::<Vec<_>>().join("; "),
        number(spread.median),
        number(spread.lower),
        number(spread.upper)
    )
}

/// `highest`, `2nd highest`, …, `lowest`
fn ordinal(place: usize, all: usize) -> String {
    if place == all {
        return "lowest".into();
    }
    let ending = match (place % 10, place % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    if place == 1 { "highest".into() } else { format!("{place}{ending} highest") }
}

/// Whether a value of this machine lies farther from the middle half than three times its width (Tukey's outer
/// fences). Whether that is good or bad, the value alone does not say.
fn unusual(v: &ResultValue, spread: &Spread) -> Option<Pill> {
    if v.values.len() < ENOUGH {
        return None;
    }
    let reach = (spread.upper - spread.lower) * 3.0;
    let low = v.own.iter().any(|o| o.value < spread.lower - reach);
    let high = v.own.iter().any(|o| o.value > spread.upper + reach);
    let text = match (low, high) {
        (true, true) => "Far below and above",
        (true, false) => "Far below the others",
        (false, true) => "Far above the others",
        (false, false) => return None,
    };
    Some(Pill::new(Tone::Warning, text))
}

#[cfg(test)]
impl Compared {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        use super::sample::MARKUP;
        use rackwright_region::model::result_value::OwnValue;
        let own = |value| OwnValue { target: MARKUP.into(), run: 3, value };
        let value = |values: &[f64], mine| ResultValue {
            script: MARKUP.into(),
            hardware_type: "storage".into(),
            part: MARKUP.into(),
            name: MARKUP.into(),
            title: MARKUP.into(),
            description: MARKUP.into(),
            values: values.into(),
            own: vec![own(mine)],
        };
        let values =
            vec![value(&[1.0, 2.0, 3.0, 4.0], 2.0), value(&[5.0, 5.0, 5.0, 5.0], 5.0), value(&[1.0], 1.0)];
        Self::new(&super::sample::hostile(), &Comparison { machines: 4, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;
    use rackwright_region::model::result_value::OwnValue;

    fn value(values: &[f64], own: &[f64]) -> ResultValue {
        let one = |value: &f64| OwnValue { target: String::new(), run: 7, value: *value };
        ResultValue {
            script: "disk-read".into(),
            hardware_type: "storage".into(),
            part: "MZQL21T9".into(),
            name: "read_mib_per_second".into(),
            title: "Sequential read".into(),
            description: "MiB per second".into(),
            values: values.into(),
            own: own.iter().map(one).collect(),
        }
    }

    fn compared(values: Vec<ResultValue>) -> Compared {
        Compared::new(&sample::machine(), &Comparison { machines: 9, values })
    }

    #[test]
    fn a_chart_says_in_words_what_it_draws() {
        let fleet = [10.0, 20.0, 30.0, 40.0, 50.0];
        let shown = compared(vec![value(&fleet, &[40.0])]);
        let chart = &shown.charts[0];
        assert_eq!(chart.sentence, "This machine 40, 2nd highest of 5. Median 30, the middle half 20 to 40.");
        assert_eq!((chart.half.clone(), chart.median.as_str()), (["26.0".into(), "48.0".into()], "50.0"));
        assert_eq!(chart.own, [("74.0".to_owned(), 7, "40".to_owned())]);
        assert_eq!(chart.bars.len(), 5);
        let html = shown.to_string();
        assert!(html.contains(&format!("aria-label=\"{}\"", chart.sentence)), "{html}");
        assert!(html.contains("9 machines") && html.contains("Supermicro SYS-111C-NR"), "{html}");
    }

    #[test]
    fn what_stands_out_comes_first() {
        let even = [100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 106.0, 107.0];
        let mut slow = even;
        slow[0] = 20.0;
        let shown = compared(vec![value(&even, &[101.0]), value(&slow, &[20.0])]);
        assert_eq!(shown.charts[0].unusual, Some(Pill::new(Tone::Warning, "Far below the others")));
        assert_eq!(shown.charts[1].unusual, None);
    }

    #[test]
    fn values_without_a_distribution_are_named_and_not_drawn() {
        let shown = compared(vec![value(&[4.0; 6], &[4.0]), value(&[1.0, 2.0], &[1.0])]);
        assert!(shown.charts.is_empty());
        assert_eq!(shown.same, ["Sequential read (disk-read, MZQL21T9) 4"]);
        assert_eq!(shown.few, ["Sequential read (disk-read, MZQL21T9)"]);
    }

    /// Scripts are other people's: whatever number they report has a place.
    #[test]
    fn numbers_at_the_end_of_the_scale_stay_in_the_drawing() {
        let wide = [f64::MIN, -1.0, 0.0, 1.0, f64::MAX];
        let chart = &compared(vec![value(&wide, &[f64::MAX])]).charts[0];
        assert_eq!((chart.median.as_str(), chart.own[0].0.as_str()), ("50.0", "98.0"));
        assert!(!chart.to_owned().bars.iter().flatten().any(|n| n.contains("NaN") || n.contains("inf")));
    }

    #[test]
    fn a_machine_alone_of_its_kind_has_no_charts() {
        let html = Compared::new(&sample::machine(), &Comparison::default()).to_string();
        assert!(html.contains("hidden"), "{html}");
    }

    #[test]
    fn places_are_counted_as_people_do() {
        let said = [1, 2, 3, 4, 11, 22, 30].map(|place| ordinal(place, 30)).join(", ");
        assert_eq!(
            said,
            "highest, 2nd highest, 3rd highest, 4th highest, 11th highest, 22nd highest, lowest"
        );
    }
}
