//! Files that are compiled in compressed, as responses (ADR 109).

use std::io::{self, Read};

use actix_web::{
    HttpRequest, HttpResponse,
    body::SizedStream,
    http::header::{self, AcceptEncoding, Encoding, Header, HeaderValue},
    web::Bytes,
};
use futures_util::{Stream, stream};
use portico_embedded::Packed;
use tokio::task::yield_now;

use crate::conditional::not_modified;

/// Bytes that are unpacked at once: less than a tenth of a millisecond, and what the buffer of a connection is made for.
const PIECE: u64 = 16 * 1024;

/// 200 with the file: as it is in the program to a client that takes gzip, and unpacked to another; 304 when the client has it already.
/// For GET and HEAD.
pub fn respond(request: &HttpRequest, file: Packed, content_type: &str) -> HttpResponse {
    let gzip = takes_gzip(request);
    // Encodings of one file are different representations.
    let tag = format!("\"{:x}{}\"", file.fingerprint(), if gzip { "-gz" } else { "" });
    let is_known = not_modified(request, &tag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, tag))
        .insert_header((header::VARY, HeaderValue::from_static("accept-encoding")))
        // Kept, and asked for again each time: the next version of the program has another one.
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")));
    if is_known {
        return response.finish();
    }
    response.content_type(content_type);
    if gzip {
        return response.insert_header((header::CONTENT_ENCODING, "gzip")).body(file.gzip());
    }
    // `identity` keeps the server from compressing it again. A middleware removes it.
    response.insert_header((header::CONTENT_ENCODING, "identity"));
    response.body(SizedStream::new(file.length(), unpacked(file)))
}

/// The file a piece at a time, as the client takes it: whole files would be in memory once for each slow client. Others have their turn
/// between two pieces.
fn unpacked(file: Packed) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold(file.reader(), |mut reader| async move {
        yield_now().await;
        let mut piece = Vec::new();
        let read = reader.by_ref().take(PIECE).read_to_end(&mut piece);
        match read {
            Ok(0) => None,
            Ok(_) => Some((Ok(Bytes::from(piece)), reader)),
            Err(error) => Some((Err(error), reader)),
        }
    })
}

/// Whether the client takes gzip, and at least as gladly as the plain file.
fn takes_gzip(request: &HttpRequest) -> bool {
    AcceptEncoding::parse(request).is_ok_and(|accepted| {
        accepted.negotiate([&Encoding::gzip(), &Encoding::identity()].into_iter()) == Some(Encoding::gzip())
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn gzip_is_for_those_who_ask_for_it() {
        for (accepted, expected) in [
            ("gzip", true),
            ("gzip, deflate, br, zstd", true),
            ("br;q=1, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("br", false),
            ("identity;q=1, gzip;q=0.5", false),
            (";;;,,,", false),
        ] {
            let request = TestRequest::get().insert_header((header::ACCEPT_ENCODING, accepted));
            assert_eq!(takes_gzip(&request.to_http_request()), expected, "{accepted}");
        }
        assert!(!takes_gzip(&TestRequest::get().to_http_request()));
    }
}
