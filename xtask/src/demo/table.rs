//! The live table of the machines.
//!
//! On a terminal it is redrawn in place; elsewhere a line is printed whenever a machine does something new.

use super::drive::Board;
use super::result::Machine;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the table is drawn.
const PERIOD: Duration = Duration::from_millis(500);

/// Draws until `done` says so, and once more then.
pub fn draw_until(board: &Board, done: impl Fn() -> bool) {
    let started = Instant::now();
    let mut said = BTreeMap::new();
    let mut drawn = 0;
    loop {
        let last = done();
        let machines = board.look();
        if std::io::stdout().is_terminal() {
            drawn = redraw(&machines, drawn);
        } else {
            say_news(&machines, &mut said, started);
        }
        if last {
            return;
        }
        std::thread::sleep(PERIOD);
    }
}

fn redraw(machines: &[Machine], drawn: usize) -> usize {
    let mut text = String::new();
    if drawn > 0 {
        text += &format!("\x1b[{drawn}A");
    }
    for machine in machines {
        text += &format!("\r\x1b[2K{}\n", line(machine));
    }
    let mut output = std::io::stdout().lock();
    // A terminal that is gone needs no table.
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).ok();
    machines.len()
}

fn say_news(machines: &[Machine], said: &mut BTreeMap<String, String>, started: Instant) {
    for machine in machines {
        let line = line(machine);
        if said.get(&machine.name) != Some(&line) {
            println!("{:>6.1} s  {line}", started.elapsed().as_secs_f64());
            said.insert(machine.name.clone(), line);
        }
    }
}

/// One machine: name, id, the parts that are done with their seconds, what it does now.
fn line(machine: &Machine) -> String {
    let id = machine.id.as_deref().unwrap_or("-");
    let done: Vec<_> =
        machine.phases.iter().map(|phase| format!("✓ {} {:.0} s", phase.name, phase.seconds)).collect();
    let now = match (&machine.error, machine.through) {
        (Some(error), _) => format!("✗ {error}"),
        (None, true) => "done".to_owned(),
        (None, false) => format!("… {}", machine.now),
    };
    format!("{:<10} {id:<7} {}  {now}", machine.name, done.join("  "))
}

#[cfg(test)]
mod tests {
    use super::super::result::Phase;
    use super::*;

    #[test]
    fn a_line_tells_the_way_so_far() {
        let machine = Machine {
            name: "bios-1".to_owned(),
            id: Some("abc123".to_owned()),
            now: "commission: inventory".to_owned(),
            phases: vec![Phase { name: "enlist", seconds: 9.6 }],
            ..Machine::default()
        };
        assert_eq!(line(&machine), "bios-1     abc123  ✓ enlist 10 s  … commission: inventory");
    }
}
