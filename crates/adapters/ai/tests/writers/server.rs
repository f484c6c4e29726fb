//! A server with the chat completions API as OpenAI documents it, and faults on demand.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

/// The key that the server requires.
pub const KEY: &str = "sk-test-0123456789";

/// How the server answers a request.
#[derive(Clone)]
pub enum Reply {
    /// A completion generated from the schema alone.
    Model,
    /// A completion with this content.
    Content(String),
    /// A completion truncated at its limit.
    CutOff(String),
    /// A refusal.
    Refusal,
    /// Another status, with headers and a body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// These bytes, and then the connection is closed.
    Raw(Vec<u8>),
    /// A completion once [`Server::gate`] is closed.
    Held,
    /// A completion without usage, from a server that supports neither response_format (400) nor the newer name of the
    /// limit.
    Old,
}

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    /// Bodies of the requests so far.
    pub requests: Arc<Mutex<Vec<Value>>>,
    /// Replies that are held wait until it is closed.
    pub gate: Arc<Semaphore>,
}

impl Server {
    /// A server that gives these replies, and then repeats the last one.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            replies: Arc::new(Mutex::new(replies.into_iter().collect())),
            requests: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        };
        let (replies, requests, gate) =
            (server.replies.clone(), server.requests.clone(), server.gate.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (replies, requests, gate) = (replies.clone(), requests.clone(), gate.clone());
                tokio::spawn(async move { serve(stream, replies, requests, gate).await });
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn requests(&self) -> Vec<Value> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    requests: Arc<Mutex<Vec<Value>>>,
    gate: Arc<Semaphore>,
) -> Option<()> {
    let (head, body) = read(&mut stream).await?;
    let head = head.to_lowercase();
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    requests.lock().unwrap().push(request.clone());
    let reply = {
        let mut replies = replies.lock().unwrap();
        if replies.len() > 1 { replies.pop_front()? } else { replies.front().cloned()? }
    };
    if let Some(problem) = refusal(&head, &request) {
        return answer(&mut stream, problem.0, &[], &json!({"error": {"message": problem.1}}).to_string())
            .await;
    }
    match reply {
        Reply::Raw(bytes) => stream.write_all(&bytes).await.ok(),
        Reply::Status(status, headers, body) => answer(&mut stream, status, &headers, &body).await,
        Reply::Held => {
            let _ = gate.acquire().await;
            answer(&mut stream, 200, &[], &completion(&made_up(&request), "stop", true)).await
        }
        Reply::Model => answer(&mut stream, 200, &[], &completion(&made_up(&request), "stop", true)).await,
        Reply::Content(text) => answer(&mut stream, 200, &[], &completion(&text, "stop", true)).await,
        Reply::CutOff(text) => answer(&mut stream, 200, &[], &completion(&text, "length", true)).await,
        Reply::Refusal => {
            let message = json!({"role": "assistant", "content": null, "refusal": "I can't help with that."});
            let body = json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
            answer(&mut stream, 200, &[], &body.to_string()).await
        }
        Reply::Old => {
            let complain =
                |text: &str| json!({"error": {"message": text, "type": "invalid_request_error"}}).to_string();
            if request.get("max_completion_tokens").is_none() {
                let text = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.";
                return answer(&mut stream, 400, &[], &complain(text)).await;
            }
            match request["response_format"]["type"].as_str() {
                Some("json_schema") => answer(&mut stream, 400, &[], &complain("unknown json_schema")).await,
                Some(_) => answer(&mut stream, 400, &[], &complain("response_format is not supported")).await,
                None => {
                    let fenced = format!("Sure! Here you are:\n```json\n{}\n```", made_up(&request));
                    answer(&mut stream, 200, &[], &completion(&fenced, "stop", false)).await
                }
            }
        }
    }
}

/// Requests that OpenAI refuses.
fn refusal(head: &str, request: &Value) -> Option<(u16, &'static str)> {
    if !head.starts_with("post /v1/chat/completions http/1.1") {
        return Some((404, "Unknown request URL"));
    }
    if !head.contains(&format!("authorization: bearer {KEY}")) {
        return Some((401, "Incorrect API key provided"));
    }
    if !head.contains("content-type: application/json") {
        return Some((400, "We could not parse the JSON body of your request"));
    }
    let messages = request["messages"].as_array();
    let well_formed = messages.is_some_and(|messages| {
        !messages.is_empty()
            && messages.iter().all(|message| {
                matches!(message["role"].as_str(), Some("system" | "user" | "assistant"))
                    && message["content"].is_string()
            })
    });
    if request["model"] != "test-model" || !well_formed {
        return Some((400, "Invalid value for 'messages' or 'model'"));
    }
    None
}

/// The answer of a model that knows only the schema: a value for every field, null where that is allowed.
fn made_up(request: &Value) -> String {
    let schema = &request["response_format"]["json_schema"]["schema"];
    let schema = match schema {
        // Without a response_format the rules end with the schema.
        Value::Null => {
            let rules = request["messages"][0]["content"].as_str().unwrap_or_default();
            let text = rules.rsplit_once("schema of the answer:\n").map_or("", |(_, schema)| schema);
            serde_json::from_str(text).unwrap_or_default()
        }
        schema => schema.clone(),
    };
    // Facts are copied from the data, as a good model does.
    let prompt: Value = serde_json::from_str(request["messages"][1]["content"].as_str().unwrap_or_default())
        .unwrap_or_default();
    instance(&schema, "", &prompt["data"]).to_string()
}

fn instance(schema: &Value, name: &str, data: &Value) -> Value {
    let nullable = schema["type"].is_array();
    let content = &data["content"];
    match (schema["type"].as_str(), name) {
        (_, "address") => data["business"]["location"].clone(),
        (_, "images" | "plans") if content[name].is_array() => content[name].clone(),
        (_, "items") if content["items"][0]["quote"].is_string() => content["items"].clone(),
        _ if nullable => Value::Null,
        (Some("object"), _) => {
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            let fields: Map<String, Value> = properties
                .iter()
                .map(|(name, schema)| (name.clone(), instance(schema, name, data)))
                .collect();
            Value::Object(fields)
        }
        (Some("array"), _) => Value::Array((0..3).map(|_| instance(&schema["items"], name, data)).collect()),
        (Some("boolean"), _) => false.into(),
        (_, "url") => "#contact".into(),
        (_, "html" | "answer") => "<p>A plain <strong>paragraph</strong> about the work.</p>".into(),
        _ => format!("A good {name} of a few words").into(),
    }
}

fn completion(content: &str, finish: &str, counted: bool) -> String {
    let mut body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_790_000_000, "model": "test-model",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}],
    });
    if counted {
        body["usage"] = json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150});
    }
    body.to_string()
}

async fn answer(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
    body: &str,
) -> Option<()> {
    let mut head =
        format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        head.push_str("content-type: application/json\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.ok()
}

async fn read(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = head.lines().find_map(|line| {
            line.to_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok()
        });
        let body = end + 4;
        if bytes.len() >= body + length.unwrap_or_default() {
            return Some((head, bytes.split_off(body)));
        }
    }
}
