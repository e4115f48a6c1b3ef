//! Hostile bytes for every decoder of network input: `rackwright-fuzz [--seconds N] [--only NAME] [--seed S] [--input FILE]`.
//!
//! Each decoder is fed with real packets, changed at random; an input on which it does something it did not do before is kept
//! and changed further, so that deep branches are reached without a compiler that counts them. Nothing may panic (arithmetic
//! that overflows does, in this build) or take seconds. What does is written to `target/fuzz` and named, and fails the run.

mod mutate;
mod targets;

use anyhow::{Context, Result, bail};
use mutate::Random;
use std::cell::RefCell;
use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use targets::{TARGETS, Target};

/// Nothing that fits into a datagram may take so long, also on a busy box.
const SLOW: Duration = Duration::from_secs(5);
/// Inputs that are kept of one decoder.
const KEPT: usize = 4000;
/// Where findings go, in the workspace.
const FINDINGS: &str = "target/fuzz";

thread_local! {
    /// Where this thread's last panic was, and what it said.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

struct Options {
    seconds: u64,
    only: Option<String>,
    seed: u64,
    input: Option<PathBuf>,
}

fn options() -> Result<Options> {
    let mut options = Options { seconds: 2, only: None, seed: 1, input: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--seconds" => options.seconds = value.parse().context("--seconds is for each decoder")?,
            "--only" => options.only = Some(value),
            "--seed" => options.seed = value.parse().context("--seed is a number")?,
            "--input" => options.input = Some(value.into()),
            _ => bail!("there is no option {argument}: --seconds, --only, --seed, --input"),
        }
    }
    Ok(options)
}

fn main() -> Result<ExitCode> {
    let options = options()?;
    std::panic::set_hook(Box::new(|info| PANIC.set(info.to_string())));
    let wanted = |target: &&Target| options.only.as_deref().is_none_or(|only| only == target.name);
    let targets: Vec<&Target> = TARGETS.iter().filter(wanted).collect();
    if targets.is_empty() {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        bail!("--only names one of {}", names.join(", "));
    }
    let input = options.input.as_ref();
    let input =
        input.map(|file| std::fs::read(file).with_context(|| file.display().to_string())).transpose()?;
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || -> Result<()> {
        while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            let finding = match &input {
                Some(input) => run(target, input).err(),
                None => fuzz(target, &options),
            };
            if let Some(finding) = finding {
                failed.store(true, Ordering::Relaxed);
                let file = keep(target, &finding.input)?;
                println!(
                    "{:12} FAILED: {}\n             input {}",
                    target.name,
                    finding.what,
                    file.display()
                );
            }
        }
        Ok(())
    };
    // One decoder for each processor at a time.
    let threads = std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done,
            Err(_) => bail!("a thread of the fuzzer itself panicked"),
        })
    })?;
    Ok(if failed.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// An input, and what was wrong with what came of it.
#[derive(Debug)]
struct Finding {
    input: Vec<u8>,
    what: String,
}

/// Feeds a decoder once: what it did, as a number.
fn run(target: &Target, input: &[u8]) -> Result<u64, Finding> {
    let begun = Instant::now();
    let fed = catch_unwind(AssertUnwindSafe(|| (target.feed)(input)));
    let finding = |what| Finding { input: input.to_vec(), what };
    let text = fed.map_err(|_| finding(PANIC.take()))?;
    if begun.elapsed() > SLOW {
        return Err(finding(format!("took {:?}", begun.elapsed())));
    }
    // Other numbers in the same places are no other behaviour.
    let mut hasher = DefaultHasher::new();
    for c in text.chars().filter(|c| !c.is_ascii_digit()).take(400) {
        c.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

fn fuzz(target: &Target, options: &Options) -> Option<Finding> {
    let mut random = Random::new(options.seed);
    let mut kept = (target.seeds)();
    let mut seen = HashSet::new();
    let (begun, limit) = (Instant::now(), Duration::from_secs(options.seconds));
    for seed in &kept {
        match run(target, seed) {
            Ok(did) => seen.insert(did),
            Err(finding) => return Some(finding),
        };
    }
    let mut fed = kept.len() as u64;
    while begun.elapsed() < limit {
        for _ in 0..64 {
            let (one, other) = (random.below(kept.len()), random.below(kept.len()));
            let input = random.mutate(&kept[one], &kept[other]);
            match run(target, &input) {
                Ok(did) if kept.len() < KEPT && seen.insert(did) => kept.push(input),
                Ok(_) => {}
                Err(finding) => return Some(finding),
            }
            fed += 1;
        }
    }
    println!("{:12} {fed:9} inputs, {:5} behaviours", target.name, seen.len());
    None
}

/// Writes an input down, for `--input`.
fn keep(target: &Target, input: &[u8]) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let file = Path::new(FINDINGS).join(format!("{}-{:016x}", target.name, hasher.finish()));
    std::fs::create_dir_all(FINDINGS)?;
    std::fs::write(&file, input)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_taken_and_a_decoder_that_panics_is_found() {
        for target in TARGETS {
            for seed in (target.seeds)() {
                let did = run(target, &seed);
                assert!(did.is_ok(), "{}: {did:?}", target.name);
            }
        }
        // Panics on what is one changed byte away from its seed.
        let weak = Target {
            name: "weak",
            feed: |input| {
                assert!(input.first() != Some(&0xff), "planted");
                String::new()
            },
            seeds: || vec![vec![1, 2, 3]],
        };
        let options = Options { seconds: 20, only: None, seed: 1, input: None };
        let finding = fuzz(&weak, &options).expect("the planted panic is found");
        assert_eq!(finding.input[0], 0xff);
    }
}
