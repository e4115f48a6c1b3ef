//! Shows how a build goes: its steps as lines, transfers as a bar.

use indicatif::{ProgressBar, ProgressStyle};
use rackwright_images::Progress;
use std::time::Duration;

/// A bar for bytes, or a spinner while their number is not known.
pub fn bytes_bar(total: Option<u64>, what: &str) -> ProgressBar {
    let style = match total {
        Some(_) => ProgressStyle::with_template("{msg:24} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}"),
        None => ProgressStyle::with_template("{spinner} {msg} {bytes} {elapsed}"),
    };
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(what.to_owned());
    bar
}

/// Runs a build and draws its progress.
pub fn show<T>(build: impl FnOnce(&mut rackwright_images::ProgressFn<'_>) -> T) -> T {
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(200));
    let built = build(&mut |progress| match progress {
        Progress::Step(step) => {
            spinner.println(format!("  {step}"));
            spinner.set_message(step.to_owned());
        }
        Progress::Line(line) => spinner.set_message(line.chars().take(100).collect::<String>()),
        Progress::Bytes { done, total } => {
            let of = total.map_or_else(String::new, |t| format!(" of {} MiB", t >> 20));
            spinner.set_message(format!("{} MiB{of}", done >> 20));
        }
    });
    spinner.finish_and_clear();
    built
}
