//! Child processes: started, watched from `/proc`, and gone with the value that holds them.

use std::{fs::File, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// A server that has to be ready within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// The tick rate that Linux reports to programs on every server architecture (`getconf CLK_TCK`).
const TICKS_PER_SECOND: f64 = 100.0;

/// A running server. Dropping it kills it.
pub struct Server {
    child: Child,
    pid: u32,
    output: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts a command. What it writes to standard error goes into the file `log`.
    pub fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{program} cannot be started"))?;
        let pid = child.id().context("the server ended at once")?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        Ok(Self { child, pid, output })
    }

    /// Waits for a line of its output in which `pick` finds something.
    pub async fn line<T>(&mut self, pick: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        timeout(PATIENCE, async {
            while let Some(line) = self.output.next_line().await? {
                if let Some(found) = pick(&line) {
                    return Ok(found);
                }
            }
            bail!("the server ended before it was ready")
        })
        .await
        .context("the server took too long to be ready")?
    }

    /// Sends SIGTERM, and waits until the process has ended.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let sent =
            Command::new("sh").args(["-c", "kill -TERM \"$0\"", &self.pid.to_string()]).status().await?;
        if !sent.success() {
            bail!("the server was gone before it was told to stop");
        }
        // Its output is not used any more, but is read so that no write fails or blocks.
        let rest = async { while let Ok(Some(_)) = self.output.next_line().await {} };
        let (status, ()) = timeout(PATIENCE, async { tokio::join!(self.child.wait(), rest) })
            .await
            .context("the server did not stop")?;
        let status = status?;
        if !status.success() {
            bail!("the server stopped with {status}");
        }
        Ok(())
    }

    /// Kills it (SIGKILL), and waits until it is gone.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Processor time that it has used so far, in seconds.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let stat = StatFields::parse(&text)?;
        Ok((stat.number(14)? + stat.number(15)?) as f64 / TICKS_PER_SECOND)
    }

    /// Waits until what earlier requests left to be done in the background is done: until it uses less than a twentieth of a
    /// processor. Five seconds at most.
    pub async fn settle(&self) -> anyhow::Result<()> {
        const LOOK: Duration = Duration::from_millis(250);
        let mut before = self.cpu_seconds()?;
        for _ in 0..20 {
            tokio::time::sleep(LOOK).await;
            let now = self.cpu_seconds()?;
            if now - before < 0.05 * LOOK.as_secs_f64() {
                break;
            }
            before = now;
        }
        Ok(())
    }

    /// Memory that it holds, and of which kind it is.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        Memory::parse(&std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid))?)
    }
}

/// Resident memory of a process, in MB (10⁶ bytes).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// All of it.
    pub resident: f64,
    /// Heap and stacks, which nothing but the process fills.
    pub anonymous: f64,
    /// Pages of files, mostly of the program itself; the system takes them back when it needs memory.
    pub of_files: f64,
}

impl Memory {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let megabytes = |name: &str| -> anyhow::Result<f64> {
            let line =
                text.lines().find_map(|line| line.strip_prefix(name)).context("/proc/PID/smaps_rollup")?;
            Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0 / 1e6)
        };
        let (resident, anonymous) = (megabytes("Rss:")?, megabytes("Anonymous:")?);
        Ok(Self { resident, anonymous, of_files: resident - anonymous })
    }
}

/// The fields of `/proc/PID/stat`, with the numbers that proc(5) gives them.
pub struct StatFields<'a>(Vec<&'a str>);

impl<'a> StatFields<'a> {
    /// Splits them.
    pub fn parse(text: &'a str) -> anyhow::Result<Self> {
        // The name of the program may hold anything; what follows the last parenthesis begins with field 3.
        Ok(Self(text.rsplit_once(')').context("/proc/PID/stat")?.1.split_ascii_whitespace().collect()))
    }

    /// A field from 4 on that is a number and not negative.
    pub fn number(&self, field: usize) -> anyhow::Result<u64> {
        let text = self.0.get(field - 3).context("/proc/PID/stat")?;
        // The times of ended children may have wrapped to -1 on some kernels.
        Ok(text.parse::<i64>()?.try_into().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name_of_the_program() {
        let text = "42 (a ) b) S 7 42 42 0 -1 4194304 1 2 3 4 50 60 70 80 20 0 1";
        let stat = StatFields::parse(text).unwrap();
        assert_eq!([4, 14, 15, 16, 17].map(|field| stat.number(field).unwrap()), [7, 50, 60, 70, 80]);
        assert!(stat.number(99).is_err());
        assert!(StatFields::parse("").is_err());
    }

    #[test]
    fn memory_is_split_into_anonymous_pages_and_those_of_files() {
        let text = "55d0-7ffe ---p 00000000 00:00 0 [rollup]\nRss:               40000 kB\nPss:               1 kB\n\
            Anonymous:         15000 kB\n";
        let memory = Memory::parse(text).unwrap();
        assert_eq!((memory.resident, memory.anonymous), (40.96, 15.36));
        assert!((memory.of_files - 25.6).abs() < 1e-9);
    }
}
