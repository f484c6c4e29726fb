//! Feeds random and mutated inputs to every parser of untrusted input: the same inputs for the same seed.
//!
//! Findings are panics, inputs that take longer than 100 ms, results that change when they are parsed once more, results that could
//! do harm in a browser, which a separate tokenizer judges, and credentials that are accepted although they were never issued.

mod corpus;
mod edge;
mod harm;
mod inputs;
mod openid;
mod targets;
mod tokens;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use clap::Args;

use self::{
    inputs::Inputs,
    targets::{FuzzTarget, TARGETS},
};

/// The most time that one input may take.
const MOST_TIME: Duration = Duration::from_millis(100);

/// How often a slow input is tried again: on a busy machine other processes slow it down, too.
const TRIES: usize = 5;

/// DnsOutcome after which a target is stopped.
const ENOUGH: usize = 5;

/// Inputs between two looks at the clock.
const BATCH: u64 = 64;

/// Random and mutated inputs for everything that reads what strangers send.
#[derive(Args)]
pub struct Fuzz {
    /// How long each target is fed; instead of a number of inputs.
    #[arg(long)]
    seconds: Option<u64>,
    /// How many inputs each target gets.
    #[arg(long, default_value_t = 100_000)]
    inputs: u64,
    /// Seed of the random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Feed only the target of this name; may be repeated.
    #[arg(long)]
    only: Vec<String>,
}

/// What came of feeding one target.
struct Outcome {
    inputs: u64,
    accepted: u64,
    slowest: Duration,
    findings: Vec<String>,
}

/// Runs it. Returns whether nothing was found.
pub fn run(arguments: &Fuzz) -> anyhow::Result<bool> {
    let wanted =
        |target: &&FuzzTarget| arguments.only.is_empty() || arguments.only.iter().any(|n| n == target.name);
    let targets: Vec<&FuzzTarget> = TARGETS.iter().filter(wanted).collect();
    if targets.is_empty() {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        anyhow::bail!("--only: the targets are {}", names.join(", "));
    }
    // A panic is a finding, which is reported with its input; a backtrace each would bury it.
    std::panic::set_hook(Box::new(|_| {}));
    println!("{:<16} {:>12} {:>12} {:>12} {:>9}", "target", "inputs", "accepted", "slowest ms", "findings");
    let mut clean = true;
    for target in targets {
        let outcome = feed(target, arguments);
        println!(
            "{:<16} {:>12} {:>12} {:>12.1} {:>9}",
            target.name,
            outcome.inputs,
            outcome.accepted,
            outcome.slowest.as_secs_f64() * 1e3,
            outcome.findings.len()
        );
        for finding in &outcome.findings {
            println!("    {finding}");
        }
        clean &= outcome.findings.is_empty();
    }
    let _ = std::panic::take_hook();
    Ok(clean)
}

fn feed(target: &FuzzTarget, arguments: &Fuzz) -> Outcome {
    let mut inputs = Inputs::new(arguments.seed, (target.corpus)());
    let mut outcome = Outcome { inputs: 0, accepted: 0, slowest: Duration::ZERO, findings: Vec::new() };
    let started = Instant::now();
    let is_over = |inputs: u64| match arguments.seconds {
        Some(seconds) => inputs.is_multiple_of(BATCH) && started.elapsed() >= Duration::from_secs(seconds),
        None => inputs >= arguments.inputs,
    };
    while !is_over(outcome.inputs) && outcome.findings.len() < ENOUGH {
        let input = inputs.next();
        outcome.inputs += 1;
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| (target.check)(&input)));
        let mut took = began.elapsed();
        for _ in 0..TRIES {
            if took <= MOST_TIME {
                break;
            }
            let again = Instant::now();
            let _ = catch_unwind(AssertUnwindSafe(|| (target.check)(&input)));
            took = took.min(again.elapsed());
        }
        outcome.slowest = outcome.slowest.max(took);
        let finding = match result {
            Ok(Ok(accepted)) => {
                outcome.accepted += u64::from(accepted);
                (took > MOST_TIME).then(|| format!("took {} ms", took.as_millis()))
            }
            Ok(Err(finding)) => Some(finding),
            Err(_) => Some("panicked".to_owned()),
        };
        outcome.findings.extend(finding.map(|finding| format!("{finding}: {}", shown(&input))));
    }
    outcome
}

/// An input as it can be pasted into a test; only the beginning of a long one.
fn shown(input: &str) -> String {
    let beginning: String = input.chars().take(400).collect();
    format!("{beginning:?} ({} bytes)", input.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A short run in the ordinary tests; `portico-bench fuzz` is the long one.
    #[test]
    fn a_short_run_finds_nothing() {
        let arguments = Fuzz { seconds: None, inputs: 2_000, seed: 7, only: Vec::new() };
        for target in TARGETS {
            let outcome = feed(target, &arguments);
            assert_eq!(outcome.findings, Vec::<String>::new(), "{}", target.name);
            assert_eq!(outcome.inputs, 2_000);
            assert!(outcome.accepted > 0, "{}: nothing gets through, so nothing is tested", target.name);
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        let corpus = &["one", "two"];
        let take = |seed| {
            let mut inputs = Inputs::new(seed, corpus);
            (0..100).map(|_| inputs.next()).collect::<Vec<_>>()
        };
        assert_eq!(take(1), take(1));
        assert_ne!(take(1), take(2));
    }
}
