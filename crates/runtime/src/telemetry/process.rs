//! Metrics of the process itself, from `/proc` (Linux only).

use std::fs;

/// Ticks per second. A constant of the Linux API (`USER_HZ`), whatever the kernel uses internally.
const TICKS: u64 = 100;

/// Records the current figures.
pub fn measure() {
    let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let (stat, limits) = (read("stat"), read("limits"));
    if let Some(stat) = Stat::parse(&stat) {
        metrics::counter!("process_cpu_seconds_total").absolute(stat.cpu_ticks / TICKS);
        metrics::gauge!("process_threads").set(stat.threads as f64);
        if let Some(booted) = booted(&fs::read_to_string("/proc/stat").unwrap_or_default()) {
            let started = booted as f64 + stat.started_ticks as f64 / TICKS as f64;
            metrics::gauge!("process_start_time_seconds").set(started);
        }
    }
    if let Some(bytes) = resident(&read("status")) {
        metrics::gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        metrics::gauge!("process_open_fds").set(files.count() as f64);
    }
    if let Some(most) = most_files(&limits) {
        metrics::gauge!("process_max_fds").set(most as f64);
    }
}

/// The fields used of `/proc/self/stat` (proc_pid_stat(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    started_ticks: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name of the program is in brackets, and may contain any character. The third field comes after it.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self { cpu_ticks: number(14)? + number(15)?, threads: number(20)?, started_ticks: number(22)? })
    }
}

/// When the machine started, from `/proc/stat`.
fn booted(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Memory in use, from `/proc/self/status`.
fn resident(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The soft limit on open files, from `/proc/self/limits`; `None` for unlimited.
fn most_files(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_linux_are_read() {
        let stat = "812 (a) b (c) S 1 812 812 0 -1 4194560 700 0 0 0 150 75 0 0 20 0 7 0 4242 1000 200 18446744073709551615";
        assert_eq!(Stat::parse(stat), Some(Stat { cpu_ticks: 225, threads: 7, started_ticks: 4242 }));
        assert_eq!(booted("cpu 1 2\nbtime 1790000000\nprocesses 7\n"), Some(1_790_000_000));
        assert_eq!(resident("Name:\tportico\nVmRSS:\t   40960 kB\n"), Some(40 << 20));
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(most_files(limits), Some(1024));
    }

    #[test]
    fn what_is_not_there_or_odd_is_left_out() {
        for text in ["", ")", "1 (x) S 1", "nonsense"] {
            assert_eq!(
                (Stat::parse(text), booted(text), resident(text), most_files(text)),
                (None, None, None, None)
            );
        }
        assert_eq!(most_files("Max open files  unlimited unlimited files"), None);
    }
}
