//! From power to cloud-init: what took how long, and where it stopped.
//!
//! Made of the events of one operation. Most of them say that something *has come about* (an address was given, the
//! kernel was fetched, the agent said hello), so each ends the phase that led to it. Work items have a beginning of
//! their own. What lies between the last evidence and the end is drawn too: that is where it waits, or stopped.

use crate::format;
use crate::view::Tone;
use askama::Template;
use rackwright_region::model::event::Event;
use rackwright_region::model::operation::{Operation, OperationDetail, WorkItem};
use time::OffsetDateTime;

/// Gaps shorter than this are not worth a line, seconds.
const GAP: f64 = 0.5;

/// The chart.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "timeline.html")]
pub struct Timeline {
    /// One per step of the operation.
    pub groups: Vec<Group>,
    /// Marks of the axis: place in per cent, text.
    pub ticks: Vec<(String, String)>,
    /// From the request to the end, or to now.
    pub total: String,
}

/// The phases of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What the region calls the step.
    pub label: String,
    /// In time.
    pub phases: Vec<Phase>,
}

/// A bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// What it is.
    pub label: String,
    /// More of it.
    pub detail: String,
    /// Colour.
    pub tone: Tone,
    /// Seconds since the request.
    start: f64,
    /// Seconds since the request.
    end: f64,
    /// Left end, per cent.
    pub x: String,
    /// Length, per cent.
    pub width: String,
    /// How long.
    pub seconds: String,
    /// A moment rather than a time: a change of status.
    pub moment: bool,
}

impl Phase {
    fn new(label: impl Into<String>, tone: Tone, start: f64, end: f64) -> Self {
        Self {
            label: label.into(),
            detail: String::new(),
            tone,
            start,
            end,
            x: String::new(),
            width: String::new(),
            seconds: String::new(),
            moment: false,
        }
    }

    fn of(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

/// Something seen, in time.
enum Piece<'a> {
    Step(&'a str),
    Status(&'a str),
    Boot { stage: &'a str, detail: &'a str },
    Agent(&'a str),
    CloudInit { stage: &'a str, failed: bool, detail: &'a str },
    Work { item: &'a WorkItem, end: Option<f64> },
}

/// What was last seen, which tells what the next evidence means.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Nothing,
    Boot,
    Loader,
    Work,
}

struct Drawing {
    groups: Vec<Group>,
    /// Until when everything is drawn, seconds.
    until: f64,
    seen: Seen,
}

impl Timeline {
    /// Of an operation, its events (oldest first) and its work.
    pub fn new(detail: &OperationDetail, events: &[Event], now: OffsetDateTime) -> Self {
        let op = &detail.operation;
        let since = |at: OffsetDateTime| (at - op.created_at.0).as_seconds_f64().max(0.0);
        let end = since(op.finished_at.map_or(now, |t| t.0));
        let mut pieces: Vec<(f64, Piece<'_>)> =
            events.iter().filter_map(|e| Some((since(e.at.0), piece(e)?))).collect();
        for item in &detail.items {
            if let Some(given) = item.given_at {
                let finished = item.finished_at.map(|t| since(t.0));
                pieces.push((since(given.0), Piece::Work { item, end: finished }));
            }
        }
        pieces.sort_by(|a, b| a.0.total_cmp(&b.0));
        let first = Group { label: first_step(detail, events), phases: Vec::new() };
        let mut drawing = Drawing { groups: vec![first], until: 0.0, seen: Seen::Nothing };
        for (at, piece) in pieces {
            drawing.add(at, &piece, end);
        }
        drawing.close(op, end);
        drawing.lay_out(end)
    }
}

/// What an event says, if it belongs to the chart.
fn piece(event: &Event) -> Option<Piece<'_>> {
    let text = |name: &str| event.data.get(name).and_then(|v| v.as_str()).unwrap_or_default();
    match event.kind.as_str() {
        "operation.step" => Some(Piece::Step(&event.message)),
        "machine.status" => Some(Piece::Status(&event.message)),
        "machine.boot" => Some(Piece::Boot { stage: text("stage"), detail: &event.message }),
        "machine.agent" => Some(Piece::Agent(&event.message)),
        // One `finish` per stage of cloud-init; the rest of its chatter is for the log.
        "machine.cloud-init" => (text("event_type") != "start").then(|| Piece::CloudInit {
            stage: text("name"),
            failed: text("result") == "FAIL",
            detail: &event.message,
        }),
        _ => None,
    }
}

/// The event log names a step when it is entered, and the first one is entered by the request itself.
fn first_step(detail: &OperationDetail, events: &[Event]) -> String {
    let op = &detail.operation;
    if !events.iter().any(|e| e.kind == "operation.step") {
        return format::capital(&op.step.replace('-', " "));
    }
    let name = match op.kind.as_str() {
        "power" => "Power command",
        "release" | "exit-rescue" => "Switching off",
        // A machine that was just enlisted is already up when its commissioning begins.
        "commission"
            if events
                .iter()
                .take_while(|e| e.kind != "operation.step")
                .any(|e| e.kind == "machine.agent") =>
        {
            "In the ephemeral environment already"
        }
        _ => "Switching off",
    };
    name.into()
}

impl Drawing {
    fn add(&mut self, at: f64, piece: &Piece<'_>, end: f64) {
        match piece {
            Piece::Step(label) => self.step(at, label),
            Piece::Status(change) => {
                let (change, why) = change.split_once(": ").unwrap_or((change, ""));
                let mut moment = Phase::new(change, Tone::Taken, at, at).of(why);
                moment.moment = true;
                self.push(moment);
            }
            Piece::Boot { stage, detail } => self.boot(at, stage, detail),
            Piece::Agent(detail) => self.until_now(at, "Kernel and agent", Tone::Busy, detail, Seen::Work),
            Piece::CloudInit { stage, failed, detail } => {
                let label = if self.seen == Seen::Boot || self.seen == Seen::Loader {
                    format!("Kernel, init, {stage}")
                } else {
                    format!("cloud-init {stage}")
                };
                let tone = if *failed { Tone::Bad } else { Tone::Busy };
                self.until_now(at, &label, tone, detail, Seen::Work);
            }
            Piece::Work { item, end: finished } => self.work(at, item, finished.unwrap_or(end)),
        }
    }

    fn step(&mut self, at: f64, label: &str) {
        let empty = self.groups.last().is_none_or(|g| g.phases.iter().all(|p| p.moment));
        if empty && let Some(group) = self.groups.last() {
            let label = if group.label.starts_with("Switching") { "Power command" } else { "The whole step" };
            self.until_now(at, label, Tone::Busy, "", self.seen);
        } else if at - self.until >= GAP {
            self.until_now(at, "Waiting", Tone::Quiet, "", self.seen);
        }
        self.groups.push(Group { label: format::capital(label), phases: Vec::new() });
    }

    fn boot(&mut self, at: f64, stage: &str, detail: &str) {
        let (label, tone, seen) = match stage {
            "discover" if self.seen == Seen::Loader => ("Boot loader starts", Tone::Busy, Seen::Boot),
            "discover" if self.seen == Seen::Work => ("Restart and firmware", Tone::Busy, Seen::Boot),
            "discover" => ("Power and firmware", Tone::Busy, Seen::Boot),
            "ack" => ("Address by DHCP", Tone::Good, Seen::Boot),
            "loader" => ("Boot loader fetched", Tone::Good, Seen::Loader),
            "script" => ("Boot decision", Tone::Good, Seen::Boot),
            "kernel" => ("Kernel fetched", Tone::Good, Seen::Boot),
            "initrd" => ("Initial RAM disk fetched", Tone::Good, Seen::Boot),
            "refused" => ("Asked for what is not there", Tone::Bad, Seen::Boot),
            other => (other, Tone::Quiet, Seen::Boot),
        };
        self.until_now(at, label, tone, detail, seen);
    }

    fn work(&mut self, at: f64, item: &WorkItem, end: f64) {
        if at - self.until >= GAP {
            self.until_now(at, "Waiting", Tone::Quiet, "", self.seen);
        }
        let name = match &item.subject {
            Some(subject) => format!("{}: {subject}", format::capital(&item.kind)),
            None => format::capital(&item.kind),
        };
        let (tone, detail) = match item.status.as_str() {
            "failed" => (Tone::Bad, &item.error),
            "done" => (Tone::Good, &item.message),
            _ => (Tone::Good, &item.message),
        };
        self.push(Phase::new(name, tone, at, end).of(detail));
        self.until = self.until.max(end);
        self.seen = Seen::Work;
    }

    /// A phase from what is drawn until `at`; repeats of the same evidence lengthen it.
    fn until_now(&mut self, at: f64, label: &str, tone: Tone, detail: &str, seen: Seen) {
        self.seen = seen;
        let start = self.until.min(at);
        self.until = self.until.max(at);
        let last = self.groups.last_mut().and_then(|g| g.phases.last_mut());
        if let Some(last) = last.filter(|p| p.label == label && !p.moment) {
            last.end = at;
            last.detail = detail.into();
            return;
        }
        self.push(Phase::new(label, tone, start, at).of(detail));
    }

    fn push(&mut self, phase: Phase) {
        if let Some(group) = self.groups.last_mut() {
            group.phases.push(phase);
        }
    }

    /// What comes after the last evidence.
    fn close(&mut self, op: &Operation, end: f64) {
        let rest = end - self.until;
        let phase =
            |label: &str, tone, detail: &str| Phase::new(label, tone, end - rest.max(0.0), end).of(detail);
        match op.status.as_str() {
            "running" if rest >= GAP => self.push(phase("Waiting now", Tone::Busy, &op.message)),
            "failed" => self.push(phase("Stopped here", Tone::Bad, op.error.as_deref().unwrap_or_default())),
            "aborted" => self.push(phase("Aborted", Tone::Warning, op.error.as_deref().unwrap_or_default())),
            "done" if rest >= GAP => self.push(phase("Finishing", Tone::Quiet, "")),
            _ => {}
        }
        self.groups.retain(|g| !g.phases.is_empty());
    }

    fn lay_out(mut self, end: f64) -> Timeline {
        let all = end.max(1.0);
        let percent = |seconds: f64| format!("{:.2}", (seconds / all * 100.0).clamp(0.0, 100.0));
        for phase in self.groups.iter_mut().flat_map(|g| &mut g.phases) {
            let length = (phase.end - phase.start).max(0.0);
            // A bar that short could not be seen.
            let shown = length.max(all * 0.004);
            phase.x = percent(phase.start.min(all - shown));
            phase.width = percent(shown);
            phase.seconds = if phase.moment {
                format!("at {}", format::duration(phase.start))
            } else {
                format::duration(length)
            };
        }
        let step = tick(all);
        let count = (all / step * 0.97) as usize;
        let ticks = (0..=count).map(|i| i as f64 * step).map(|t| (percent(t), short(t))).collect();
        Timeline { groups: self.groups, ticks, total: format::duration(end) }
    }
}

/// Seconds between the marks of an axis of that length: six marks at most.
fn tick(length: f64) -> f64 {
    const STEPS: [f64; 16] = [
        0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14_400.0,
        86_400.0,
    ];
    STEPS.into_iter().find(|s| length / s <= 6.0).unwrap_or(length / 6.0)
}

/// A mark's text.
fn short(seconds: f64) -> String {
    let tenths = |number: f64| (number * 10.0).round() / 10.0;
    if seconds < 120.0 {
        format!("{} s", tenths(seconds))
    } else if seconds < 3600.0 {
        format!("{} min", tenths(seconds / 60.0))
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    fn rows(timeline: &Timeline) -> Vec<(String, Vec<(String, String)>)> {
        let phases = |g: &Group| g.phases.iter().map(|p| (p.label.clone(), p.seconds.clone())).collect();
        timeline.groups.iter().map(|g| (g.label.clone(), phases(g))).collect()
    }

    fn pair(label: &str, seconds: &str) -> (String, String) {
        (label.into(), seconds.into())
    }

    #[test]
    fn each_piece_of_evidence_ends_the_phase_that_led_to_it() {
        let (detail, events) = sample::deployment();
        let timeline = Timeline::new(&detail, &events, crate::view::sample_now());
        assert_eq!(
            rows(&timeline)[..3],
            [
                (
                    "Switching off".to_owned(),
                    vec![pair("Ready → Deploying", "at 0.0 s"), pair("Power command", "1.5 s")]
                ),
                ("Switching on, to boot from the network".to_owned(), vec![pair("Power command", "0.5 s")]),
                (
                    "Waiting for the ephemeral environment".to_owned(),
                    vec![
                        pair("Power and firmware", "2.0 s"),
                        pair("Address by DHCP", "0.3 s"),
                        pair("Boot loader fetched", "0.2 s"),
                        pair("Boot loader starts", "0.5 s"),
                        pair("Address by DHCP", "0.1 s"),
                        pair("Boot decision", "0.1 s"),
                        pair("Kernel fetched", "0.4 s"),
                        pair("Initial RAM disk fetched", "1.0 s"),
                        pair("Kernel and agent", "2.4 s"),
                    ]
                ),
            ]
        );
        let last = timeline.groups.last().unwrap();
        assert_eq!(
            last.phases.iter().map(|p| p.label.as_str()).collect::<Vec<_>>(),
            [
                "Restart and firmware",
                "Address by DHCP",
                "Boot decision",
                "Kernel, init, init-network",
                "cloud-init modules-config",
                "cloud-init modules-final",
                "Deploying → Deployed"
            ]
        );
        assert_eq!(timeline.total, "1 min 02 s");
    }

    #[test]
    fn a_failure_shows_where_it_stopped_and_why() {
        let (mut detail, events) = sample::deployment();
        detail.operation.status = "failed".into();
        detail.operation.error = Some("cloud-init never reported".into());
        let until_boot: Vec<_> = events.into_iter().filter(|e| e.kind != "machine.cloud-init").collect();
        let timeline = Timeline::new(&detail, &until_boot, crate::view::sample_now());
        let stopped = timeline.groups.last().unwrap().phases.last().unwrap();
        assert_eq!((stopped.label.as_str(), stopped.tone), ("Stopped here", Tone::Bad));
        assert_eq!(stopped.detail, "cloud-init never reported");
        assert_eq!(stopped.seconds, "15 s");
    }

    #[test]
    fn one_that_runs_goes_on_until_now() {
        let (mut detail, mut events) = sample::deployment();
        detail.operation.status = "running".into();
        detail.operation.finished_at = None;
        detail.operation.message = "it has an address and fetched nothing".into();
        detail.items.clear();
        events.truncate(5);
        let now = detail.operation.created_at.0 + time::Duration::seconds(64);
        let timeline = Timeline::new(&detail, &events, now);
        let waiting = timeline.groups.last().unwrap().phases.last().unwrap().clone();
        assert_eq!((waiting.label.as_str(), waiting.seconds.as_str()), ("Waiting now", "1 min 00 s"));
        assert_eq!(waiting.detail, "it has an address and fetched nothing");
        assert_eq!(timeline.ticks.len(), 5);
    }

    #[test]
    fn marks_are_few_and_round() {
        assert_eq!([3.0 * 0.2, 60.0, 150.0].map(short), ["0.6 s", "60 s", "2.5 min"]);
        assert_eq!([3.0, 62.0, 100.0, 4000.0].map(tick), [0.5, 15.0, 30.0, 1800.0]);
        assert_eq!([short(90.0), short(150.0)], ["90 s", "2.5 min"]);
    }
}
