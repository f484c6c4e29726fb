//! A client that sends a request byte by byte as written: libraries normalise paths and join headers before they send them.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use portico_testkit::server::TestServer;
use serde_json::Value;

/// A connection to a server, opened again when the server closes it.
pub struct Wire {
    /// Host and port of the server.
    pub host: String,
    open: Option<BufReader<TcpStream>>,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// Body as JSON; null when it is not.
    pub json: Value,
}

impl Reply {
    /// A header; empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }
}

impl Wire {
    /// To a server.
    pub fn to(server: &TestServer) -> Self {
        Self { host: server.url.trim_start_matches("http://").to_owned(), open: None }
    }

    /// Sends a request with these header lines besides `Host`, and without a body.
    pub fn ask(&mut self, method: &str, target: &str, lines: &[&str]) -> Reply {
        let host = format!("Host: {}", self.host);
        self.ask_host(method, target, &[&[host.as_str()], lines].concat())
    }

    /// The same, where `Host` is among the lines.
    pub fn ask_host(&mut self, method: &str, target: &str, lines: &[&str]) -> Reply {
        let request =
            format!("{method} {target} HTTP/1.1\r\nContent-Length: 0\r\n{}\r\n\r\n", lines.join("\r\n"));
        // The server may have closed the connection since the last answer.
        if let Some(reply) = self.exchange(&request) {
            return reply;
        }
        self.open = None;
        self.exchange(&request).unwrap_or_else(|| panic!("no answer to {request}"))
    }

    fn exchange(&mut self, request: &str) -> Option<Reply> {
        let connection = match &mut self.open {
            Some(connection) => connection,
            closed => {
                let stream = TcpStream::connect(&self.host).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                closed.insert(BufReader::new(stream))
            }
        };
        connection.get_mut().write_all(request.as_bytes()).ok()?;
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if connection.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                text => lines.push(text.to_owned()),
            }
        }
        let status = lines.first()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut reply = Reply { status, headers, json: Value::Null };
        let mut body = vec![0; reply.header("content-length").parse().unwrap_or(0)];
        connection.read_exact(&mut body).ok()?;
        reply.json = serde_json::from_slice(&body).unwrap_or_default();
        if reply.header("connection").eq_ignore_ascii_case("close") {
            self.open = None;
        }
        Some(reply)
    }
}
