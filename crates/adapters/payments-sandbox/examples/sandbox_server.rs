//! The API of the sandbox behind a socket, for programs that speak to Stripe. Prints its address first, and ends with its standard input.
//!
//! The only argument is the secret key. Webhooks of all events go to no one; they are read at `/v1/events`. Money that comes later is
//! there with the next call.
#![expect(clippy::print_stdout, reason = "the output of a command")]
#![expect(clippy::disallowed_methods, reason = "the clock of a program of its own")]

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use portico_payments_sandbox::{ApiRequest, Config, PageRequest, Sandbox};
use time::OffsetDateTime;

/// A request as it came.
struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let secret_key = std::env::args().nth(1).ok_or_else(|| io::Error::other("the secret key is missing"))?;
    let config = Config {
        secret_keys: vec![secret_key],
        public_url: url.clone(),
        seed: 1,
        settle_seconds: 0,
        ..Config::default()
    };
    let sandbox = Arc::new(Mutex::new(Sandbox::new(config)));
    println!("{url}");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sandbox = sandbox.clone();
            // A caller that goes away loses its answer only.
            thread::spawn(move || serve(stream, &sandbox).ok());
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// Answers one request, and closes the connection.
fn serve(mut stream: TcpStream, sandbox: &Mutex<Sandbox>) -> io::Result<()> {
    let request = read(&stream)?;
    let now = OffsetDateTime::now_utc();
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (status, headers, body) = {
        let mut sandbox = sandbox.lock().unwrap_or_else(PoisonError::into_inner);
        let (method, path, body) = (request.method.as_str(), request.path.as_str(), request.body.as_slice());
        if path.starts_with("/v1/") {
            let answer = sandbox.handle(ApiRequest { method, path, headers: &headers, body }, now);
            (answer.status, answer.headers, answer.body)
        } else {
            let answer = sandbox.page(PageRequest { method, path, body }, now);
            (answer.status, answer.headers, answer.body)
        }
    };
    write!(stream, "HTTP/1.1 {status} Answer\r\ncontent-length: {}\r\nconnection: close\r\n", body.len())?;
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    stream.write_all(b"\r\n")?;
    stream.write_all(&body)
}

fn read(stream: &TcpStream) -> io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        if name == "content-length" {
            length = value.parse().map_err(io::Error::other)?;
        }
        headers.push((name, value));
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    Ok(Request { method, path, headers, body })
}
