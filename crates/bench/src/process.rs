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
        /// The tick rate that Linux reports to programs on every server architecture (`getconf CLK_TCK`).
        const TICKS_PER_SECOND: f64 = 100.0;
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // The name of the program may hold anything; what follows the last parenthesis begins with field 3 (proc(5)).
        let fields: Vec<&str> =
            text.rsplit_once(')').context("/proc/PID/stat")?.1.split_ascii_whitespace().collect();
        let ticks =
            |field: usize| -> anyhow::Result<f64> { Ok(fields.get(field - 3).context("stat")?.parse()?) };
        Ok((ticks(14)? + ticks(15)?) / TICKS_PER_SECOND)
    }

    /// Memory that it holds, in MB (10⁶ bytes).
    pub fn resident_megabytes(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc/PID/status")?;
        let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024.0 / 1e6)
    }

    /// Memory that it holds for itself, without what it shares with files, in MB (10⁶ bytes).
    pub fn anonymous_megabytes(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid))?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Anonymous:"))
            .context("/proc/PID/smaps_rollup")?;
        let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024.0 / 1e6)
    }
}
