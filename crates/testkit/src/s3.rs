//! A real S3 server in a process of its own: `moto`, from the Python package index.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, OnceLock, mpsc},
    time::Duration,
};

/// `moto`, one for all tests of this program. Ends with it, because its standard input ends then.
pub struct S3Server {
    /// `http://127.0.0.1:port`.
    pub url: String,
    // With its standard input, which has to stay open.
    _process: Mutex<Child>,
}

impl S3Server {
    /// Starts it, if this is the first test to ask for it. Its first start on a machine installs it.
    pub fn get() -> &'static Self {
        static SERVER: OnceLock<S3Server> = OnceLock::new();
        SERVER.get_or_init(|| {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/s3-server");
            let mut command = Command::new(script);
            command.args(["--port", "0"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
            let mut child = command.spawn().expect("scripts/s3-server runs");
            let stderr = BufReader::new(child.stderr.take().expect("its output"));
            let (found, wait) = mpsc::channel();
            std::thread::spawn(move || {
                let mut said = Vec::new();
                for line in stderr.lines().map_while(Result::ok) {
                    if let Some((_, url)) = line.split_once("Running on ") {
                        let _ = found.send(Ok(url.trim().to_owned()));
                    }
                    if said.len() < 50 {
                        said.push(line);
                    }
                }
                let _ = found.send(Err(said.join("\n")));
            });
            match wait.recv_timeout(Duration::from_secs(120)) {
                Ok(Ok(url)) => Self { url, _process: Mutex::new(child) },
                other => panic!("scripts/s3-server does not start: {other:?}"),
            }
        })
    }

    /// Makes a bucket, which the file store port cannot.
    pub fn make_bucket(&self, name: &str) {
        let host = self.url.trim_start_matches("http://");
        let mut connection = TcpStream::connect(host).expect("the server listens");
        let request =
            format!("PUT /{name} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("an answer");
        assert!(answer.split_whitespace().nth(1) == Some("200"), "{answer}");
    }
}
