//! What else the machine did during a measurement: time taken by the hypervisor, waiting for disks, and other processes.

use std::{collections::HashMap, time::Instant};

use anyhow::Context;

use crate::process::StatFields;

/// A share of the machine above which a measurement counts as disturbed.
const TOLERATED: f64 = 0.05;

/// Parent of the threads of the kernel. What they do during a measurement is mostly the input and output of it.
const KTHREADD: u32 = 2;

/// Ticks of all processors together since the machine started (`/proc/stat`, proc(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Machine {
    /// Of processes and the kernel for them; without interrupts.
    busy: u64,
    waiting: u64,
    stolen: u64,
    total: u64,
}

impl Machine {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu ")).context("/proc/stat")?;
        let ticks: Vec<u64> = line.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        // user, nice, system, idle, iowait, irq, softirq, steal; the guests that follow are a part of user and nice.
        let [user, nice, system, _, waiting, _, _, stolen, ..] = ticks[..] else {
            anyhow::bail!("/proc/stat has {} numbers", ticks.len());
        };
        Ok(Self { busy: user + nice + system, waiting, stolen, total: ticks.iter().take(8).sum() })
    }
}

/// A process, with the ticks of its own and of its ended children.
#[derive(Clone, Copy)]
struct Process {
    parent: u32,
    ticks: u64,
}

fn processes() -> anyhow::Result<HashMap<u32, Process>> {
    let mut found = HashMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // It may have ended meanwhile.
        let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let stat = StatFields::parse(&text)?;
        let ticks = (14..=17).map(|field| stat.number(field)).sum::<anyhow::Result<u64>>()?;
        found.insert(pid, Process { parent: u32::try_from(stat.number(4)?)?, ticks });
    }
    Ok(found)
}

/// The ticks of some processes and of all that descend from them.
fn ticks_of(roots: &[u32], processes: &HashMap<u32, Process>) -> u64 {
    let belongs = |mut pid: u32| {
        loop {
            if roots.contains(&pid) {
                return true;
            }
            match processes.get(&pid) {
                Some(process) if process.parent != pid => pid = process.parent,
                _ => return false,
            }
        }
    };
    processes.iter().filter(|(pid, _)| belongs(**pid)).map(|(_, process)| process.ticks).sum()
}

/// The state of the machine when a measurement began.
pub struct Watch {
    begin: Instant,
    roots: Vec<u32>,
    machine: Machine,
    ours: u64,
    load: f64,
}

impl Watch {
    /// Begins. This process and `others` belong to the measurement, with all that descends from them.
    pub fn begin(others: &[u32]) -> anyhow::Result<Self> {
        let roots: Vec<u32> =
            [std::process::id(), KTHREADD].into_iter().chain(others.iter().copied()).collect();
        let ours = ticks_of(&roots, &processes()?);
        Ok(Self { begin: Instant::now(), roots, machine: machine()?, ours, load: load()? })
    }

    /// What happened since.
    pub fn end(self) -> anyhow::Result<Disturbance> {
        let now = machine()?;
        let ours = ticks_of(&self.roots, &processes()?).saturating_sub(self.ours);
        let total = now.total.saturating_sub(self.machine.total).max(1) as f64;
        let busy = now.busy.saturating_sub(self.machine.busy);
        Ok(Disturbance {
            seconds: self.begin.elapsed().as_secs_f64(),
            load: (self.load, load()?),
            stolen: now.stolen.saturating_sub(self.machine.stolen) as f64 / total,
            waiting: now.waiting.saturating_sub(self.machine.waiting) as f64 / total,
            others: busy.saturating_sub(ours) as f64 / total,
        })
    }
}

fn machine() -> anyhow::Result<Machine> {
    Machine::parse(&std::fs::read_to_string("/proc/stat")?)
}

/// Processes that ran or wanted to, on average over the last minute.
fn load() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_ascii_whitespace().next().context("/proc/loadavg")?.parse()?)
}

/// What else the machine did. Shares are of the time of all processors.
#[derive(Clone, Copy, Debug)]
pub struct Disturbance {
    /// Duration of the measurement.
    pub seconds: f64,
    /// Load averages of a minute, at the begin and at the end. They include the measurement itself.
    pub load: (f64, f64),
    /// Time that the hypervisor gave to others.
    pub stolen: f64,
    /// Time without work while a disk was waited for. Also that of the measurement itself.
    pub waiting: f64,
    /// Time of processes that do not belong to the measurement.
    pub others: f64,
}

impl Disturbance {
    /// Whether figures that were taken meanwhile are doubtful.
    pub fn is_large(&self) -> bool {
        self.stolen > TOLERATED || self.others > TOLERATED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_all_processors_is_read() {
        let text = "cpu  100 10 50 800 20 3 4 30 7 1\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 5\n";
        assert_eq!(
            Machine::parse(text).unwrap(),
            Machine { busy: 160, waiting: 20, stolen: 30, total: 1017 },
            "guests are not counted twice"
        );
        assert!(Machine::parse("cpu  1 2 3\n").is_err());
        assert!(Machine::parse("").is_err());
    }

    #[test]
    fn descendants_belong_to_a_process_and_others_do_not() {
        let process = |parent, ticks| Process { parent, ticks };
        let all = HashMap::from([
            (1, process(0, 1000)),
            (10, process(1, 1)),
            (11, process(10, 2)),
            (12, process(11, 4)),
            (20, process(1, 8)),
            // The parent is gone.
            (30, process(29, 16)),
        ]);
        assert_eq!(ticks_of(&[10], &all), 7);
        assert_eq!(ticks_of(&[11, 20], &all), 14);
        assert_eq!(ticks_of(&[99], &all), 0);
    }

    #[test]
    fn more_than_a_twentieth_of_the_machine_is_a_disturbance() {
        let quiet = Disturbance { seconds: 1.0, load: (9.0, 9.0), stolen: 0.05, waiting: 0.5, others: 0.05 };
        assert!(!quiet.is_large(), "neither the load nor waiting for disks is that of others");
        assert!(Disturbance { stolen: 0.06, ..quiet }.is_large());
        assert!(Disturbance { others: 0.06, ..quiet }.is_large());
    }
}
