//! A Redis server of a test's own.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::time::sleep;

/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running `redis-server` on 127.0.0.1, which keeps nothing on disk and stops with this value. Tests that need one fail
/// where none is installed; `scripts/test` installs one.
pub struct TestRedis {
    child: Child,
    port: u16,
}

impl TestRedis {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        Self::start_at(free_port()).await
    }

    /// Starts one on a port.
    pub async fn start_at(port: u16) -> Self {
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed: scripts/redis-server installs it");
        let server = Self { child, port };
        let deadline = Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(Instant::now() < deadline, "Redis does not start");
            sleep(Duration::from_millis(20)).await;
        }
        server
    }

    /// Makes it hang: connections stay open, and no command is answered. See [`TestRedis::resume`].
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Ends the pause.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// Runs a command through `redis-cli`, and returns what that printed.
    pub fn command(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(arguments)
            .output()
            .expect("redis-cli comes with redis-server");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{signal} is not sent");
    }

    /// Its address, as the setting `redis.url` has it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free at the moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
