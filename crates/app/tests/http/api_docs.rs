//! The API document and its page: what is compressed in the program is sent to each client in a form that it takes.

use std::{collections::BTreeMap, io::Read};

use portico_testkit::server::TestServer;
use reqwest::{Method, redirect::Policy};

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// The files that are compressed in the program.
const PACKED: [(&str, &str); 3] = [
    ("/api/openapi.json", "application/json"),
    ("/api/docs/swagger-ui.css", STYLE),
    ("/api/docs/swagger-ui-bundle.js", SCRIPT),
];

/// An answer with its bytes as they come.
struct Raw {
    status: u16,
    headers: BTreeMap<String, String>,
    vary: String,
    bytes: Vec<u8>,
}

impl Raw {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }
}

async fn ask(server: &TestServer, method: Method, path: &str, headers: &[(&str, &str)]) -> Raw {
    let http = reqwest::Client::builder().build().unwrap();
    let mut request = http.request(method, format!("{}{path}", server.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let vary = response.headers().get_all("vary").iter().map(|vary| vary.to_str().unwrap());
    let vary = vary.collect::<Vec<_>>().join(", ");
    let headers =
        response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    Raw { status, headers: headers.collect(), vary, bytes: response.bytes().await.unwrap().to_vec() }
}

fn unpacked(gzip: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(gzip).read_to_end(&mut plain).unwrap();
    plain
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_gets_the_same_bytes_packed_or_not() {
    TestServer::shared(async |server| {
        for (path, content_type) in PACKED {
            let plain = ask(server, Method::GET, path, &[]).await;
            assert_eq!((plain.status, plain.header("content-type")), (200, content_type), "{path}");
            for (accepted, encoding) in [
                ("gzip, deflate, br, zstd", "gzip"),
                ("gzip", "gzip"),
                ("br", ""),
                ("identity", ""),
                ("gzip;q=0", ""),
                ("*;q=0.5", ""),
            ] {
                let answer = ask(server, Method::GET, path, &[("accept-encoding", accepted)]).await;
                let is_packed = encoding == "gzip";
                assert_eq!(
                    (answer.status, answer.header("content-encoding")),
                    (200, encoding),
                    "{path} {accepted}"
                );
                assert_eq!(
                    answer.header("content-length"),
                    answer.bytes.len().to_string(),
                    "{path} {accepted}"
                );
                assert_eq!(answer.header("content-type"), content_type, "{path} {accepted}");
                assert_eq!(answer.header("cache-control"), "no-cache", "{path} {accepted}");
                assert!(answer.vary.contains("accept-encoding"), "{path} {accepted}: {}", answer.vary);
                assert_eq!(answer.header("etag") == plain.header("etag"), !is_packed, "{path} {accepted}");
                if is_packed {
                    assert!(answer.bytes.len() * 3 < plain.bytes.len(), "{path}: {}", answer.bytes.len());
                    assert!(unpacked(&answer.bytes) == plain.bytes, "{path} {accepted}");
                } else {
                    assert!(answer.bytes == plain.bytes, "{path} {accepted}");
                }
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_twice_to_who_keeps_it() {
    TestServer::shared(async |server| {
        for (path, _) in PACKED {
            for accepted in ["identity", "gzip"] {
                let full = ask(server, Method::GET, path, &[("accept-encoding", accepted)]).await;
                let head = ask(server, Method::HEAD, path, &[("accept-encoding", accepted)]).await;
                assert_eq!((head.status, head.bytes.len()), (200, 0), "{path} {accepted}");
                for name in ["content-length", "content-type", "content-encoding", "etag", "cache-control"] {
                    assert_eq!(head.header(name), full.header(name), "{path} {accepted} {name}");
                }
                let tag = full.header("etag");
                for method in [Method::GET, Method::HEAD] {
                    let headers = [("accept-encoding", accepted), ("if-none-match", tag)];
                    let same = ask(server, method, path, &headers).await;
                    assert_eq!((same.status, same.bytes.len()), (304, 0), "{path} {accepted}");
                    assert_eq!(same.header("etag"), tag, "{path} {accepted}");
                    assert!(same.vary.contains("accept-encoding"), "{path} {accepted}: {}", same.vary);
                }
                // Another encoding is another representation.
                let other = if accepted == "gzip" { "identity" } else { "gzip" };
                let headers = [("accept-encoding", other), ("if-none-match", tag)];
                assert_eq!(ask(server, Method::GET, path, &headers).await.status, 200, "{path} {other}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_the_file_of_the_repository() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let file = std::fs::read(file).unwrap();
    assert!(portico::api_docs::DOCUMENT.unpack().unwrap() == file);
    TestServer::shared(async |server| {
        assert!(ask(server, Method::GET, "/api/openapi.json", &[]).await.bytes == file);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_has_all_that_it_loads() {
    TestServer::shared(async |server| {
        let page = ask(server, Method::GET, "/api/docs/", &[]).await;
        let page = String::from_utf8(page.bytes).unwrap();
        let mut loaded = Vec::new();
        for (before, content_type) in
            [("<script src=\"", SCRIPT), ("<link rel=\"stylesheet\" href=\"", STYLE)]
        {
            for rest in page.split(before).skip(1) {
                let name = rest.split('"').next().unwrap();
                let file = ask(server, Method::GET, &format!("/api/docs/{name}"), &[]).await;
                assert_eq!((file.status, file.header("content-type")), (200, content_type), "{name}");
                loaded.push(name);
            }
        }
        assert_eq!(loaded, ["swagger-ui-bundle.js", "docs.js", "swagger-ui.css", "docs.css"]);
        let script = ask(server, Method::GET, "/api/docs/docs.js", &[]).await;
        assert!(String::from_utf8(script.bytes).unwrap().contains("\"/api/openapi.json\""));
        // What Swagger UI has for other pages is not in the program.
        let other = ask(server, Method::GET, "/api/docs/swagger-ui-es-bundle.js", &[]).await;
        assert_eq!(other.status, 404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_its_files_answer_head_as_get() {
    TestServer::shared(async |server| {
        let http = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        let ask = async |method: Method, path: &str| {
            http.request(method, format!("{}{path}", server.url)).send().await.unwrap()
        };
        for (path, status) in [
            ("/api/docs", 302),
            ("/api/docs/", 200),
            ("/api/docs/docs.css", 200),
            ("/api/docs/docs.js", 200),
            ("/api/docs/swagger-ui.css", 200),
        ] {
            let (get, head) = (ask(Method::GET, path).await, ask(Method::HEAD, path).await);
            assert_eq!((get.status().as_u16(), head.status().as_u16()), (status, status), "{path}");
            for name in ["location", "content-type", "content-length", "content-security-policy"] {
                assert_eq!(head.headers().get(name), get.headers().get(name), "{path} {name}");
            }
            assert!(head.bytes().await.unwrap().is_empty(), "{path}");
        }
    })
    .await;
}
