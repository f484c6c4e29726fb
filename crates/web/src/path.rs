//! Normalisation of the path of a request.
//!
//! Routing decodes percent-encodings before it matches, so a path compared before that could be spelled in many ways. It is
//! first brought into a normal form (RFC 3986 section 6.2.2), which is the only form that limits, aliases, routes, keys,
//! logs and metrics see. A path without a normal form is refused.

use std::borrow::Cow;

use actix_web::{
    dev::ServiceRequest,
    http::{
        Uri,
        header::{self, HeaderValue},
    },
};
use portico_kernel::Kind;

use crate::problem::Problem;

/// Why a path has no normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFault {
    /// It does not begin with a slash, as `*` does not.
    Relative,
    /// A percent sign without two hexadecimal digits, or bytes that are not UTF-8.
    Encoding,
    /// A control character.
    Control,
    /// A backslash, or a percent-encoded slash: servers and proxies interpret both differently.
    Slash,
    /// An empty segment that is not the last one.
    EmptySegment,
    /// A segment `.` or `..`. Clients resolve them before they send a request (RFC 3986 section 5.2.4).
    DotSegment,
    /// Longer than a URI may be.
    TooLong,
}

impl PathFault {
    /// A human-readable sentence.
    const fn detail(self) -> &'static str {
        match self {
            Self::Relative => "The path must begin with a slash.",
            Self::Encoding => "The path has a percent-encoding that is not valid.",
            Self::Control => "The path has a control character.",
            Self::Slash => "The path has a backslash or an encoded slash.",
            Self::EmptySegment => "The path has an empty segment.",
            Self::DotSegment => "The path has a dot segment.",
            Self::TooLong => "The path is too long.",
        }
    }

    /// The response to a request with such a path.
    pub fn problem(self) -> Problem {
        Problem::new(Kind::Malformed, "invalid_path", self.detail())
    }
}

/// The spelling of a path as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// In its normal form.
    Normal,
    /// In another form, which was replaced by the normal one.
    Replaced,
}

/// Normalises the target of a request: an origin form (RFC 9112 section 3.2.1) with a normal path. The host of an absolute
/// form replaces the `Host` header, as section 3.2.2 demands.
///
/// # Errors
/// When the path has no normal form; the request is then unchanged.
pub fn settle(request: &mut ServiceRequest) -> Result<Spelling, PathFault> {
    let uri = request.uri();
    let path = match normalize(uri.path())? {
        Cow::Borrowed(_) if uri.authority().is_none() => return Ok(Spelling::Normal),
        path => path,
    };
    let spelling = if path == uri.path() { Spelling::Normal } else { Spelling::Replaced };
    let authority = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let path = path.into_owned();
    replace(request, &path)?;
    if let Some(authority) = authority {
        request.headers_mut().insert(header::HOST, authority);
    }
    Ok(spelling)
}

/// Replaces the path of a request by one in its normal form, and keeps the query.
///
/// # Errors
/// When the path is too long.
pub fn replace(request: &mut ServiceRequest, path: &str) -> Result<(), PathFault> {
    let target = match request.query_string() {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    };
    retarget(request, &target)
}

/// Replaces the path of a request, in its normal form, and its query.
///
/// # Errors
/// When they are too long.
pub fn retarget(request: &mut ServiceRequest, target: &str) -> Result<(), PathFault> {
    let uri: Uri = target.parse().map_err(|_| PathFault::TooLong)?;
    request.match_info_mut().get_mut().update(&uri);
    request.head_mut().uri = uri;
    Ok(())
}

/// The normal form of a path: characters that RFC 3986 allows in a segment (`pchar`) are not encoded, all others are, in
/// upper-case digits. So it has a single interpretation for a router that decodes it once, in whole or in part.
///
/// # Errors
/// When it has none.
pub fn normalize(path: &str) -> Result<Cow<'_, str>, PathFault> {
    let normal = if path.bytes().all(|byte| UNENCODED[usize::from(byte)]) {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(recode(path.as_bytes())?)
    };
    let segments = normal.strip_prefix('/').ok_or(PathFault::Relative)?;
    // By bytes, as each request is read so: a search for each slash would take longer than the segments are.
    let mut segments = segments.as_bytes().split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            b"" if segments.peek().is_some() => return Err(PathFault::EmptySegment),
            b"." | b".." => return Err(PathFault::DotSegment),
            _ => {}
        }
    }
    Ok(normal)
}

/// Decodes percent-encodings, and encodes what must be encoded.
fn recode(path: &[u8]) -> Result<String, PathFault> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2).ok_or(PathFault::Encoding)?;
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (Some(high), Some(low)) = (digit(digits[0]), digit(digits[1])) else {
            return Err(PathFault::Encoding);
        };
        let byte = high << 4 | low;
        if byte == b'/' {
            return Err(PathFault::Slash);
        }
        decoded.push(byte);
        rest = tail;
    }
    let decoded = String::from_utf8(decoded).map_err(|_| PathFault::Encoding)?;
    if decoded.contains(char::is_control) {
        return Err(PathFault::Control);
    }
    if decoded.contains('\\') {
        return Err(PathFault::Slash);
    }
    let mut recoded = String::with_capacity(decoded.len() + 16);
    for byte in decoded.bytes() {
        if UNENCODED[usize::from(byte)] {
            recoded.push(char::from(byte));
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            let digit = |half: u8| char::from(DIGITS[usize::from(half & 15)]);
            recoded.extend(['%', digit(byte >> 4), digit(byte)]);
        }
    }
    Ok(recoded)
}

/// Whether a byte is unencoded in the normal form of a path.
static UNENCODED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = byte as u8 == b'/' || is_pchar(byte as u8);
        byte += 1;
    }
    table
};

/// Whether a byte is allowed unencoded in a segment: unreserved, sub-delims, `:` and `@` (RFC 3986 section 3.3).
const fn is_pchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equivalent_paths_have_one_form() {
        for (path, normal) in [
            ("/", "/"),
            ("/api/v1/auth/login", "/api/v1/auth/login"),
            ("/api/v1/auth/l%6fgin", "/api/v1/auth/login"),
            ("/%61pi/v%31/auth/%6C%6f%67%69%6e", "/api/v1/auth/login"),
            ("/previe%77/token", "/preview/token"),
            ("/api/docs/", "/api/docs/"),
            ("/a/%7Eana", "/a/~ana"),
            ("/a/%40b%3ac%2B%3b", "/a/@b:c+;"),
            ("/a/b%20c", "/a/b%20c"),
            ("/a/b\"{c}|^[]", "/a/b%22%7Bc%7D%7C%5E%5B%5D"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a%25b%2541", "/a%25b%2541"),
            ("/...", "/..."),
            ("/.well-known/x", "/.well-known/x"),
        ] {
            assert_eq!(normalize(path).as_deref(), Ok(normal), "{path}");
            assert_eq!(normalize(normal).as_deref(), Ok(normal), "{normal}");
        }
    }

    #[test]
    fn what_others_could_read_in_another_way_is_refused() {
        use PathFault::{Control, DotSegment, EmptySegment, Encoding, Relative, Slash};
        for (path, fault) in [
            ("", Relative),
            ("*", Relative),
            ("api", Relative),
            ("/a%", Encoding),
            ("/a%4", Encoding),
            ("/a%zz", Encoding),
            ("/a%+1", Encoding),
            ("/a%ff%fe", Encoding),
            ("/a%C0%AFb", Encoding),
            ("/a%00", Control),
            ("/a%0d%0a", Control),
            ("/a%7f", Control),
            ("/a%c2%85", Control),
            ("/a\\b", Slash),
            ("/a%5cb", Slash),
            ("/a%2fb", Slash),
            ("/%2F", Slash),
            ("//", EmptySegment),
            ("//evil.example", EmptySegment),
            ("/a//b", EmptySegment),
            ("/a//", EmptySegment),
            ("/.", DotSegment),
            ("/a/../b", DotSegment),
            ("/a/%2e%2E", DotSegment),
            ("/a/.%2e/b", DotSegment),
            ("/a/./b", DotSegment),
        ] {
            assert_eq!(normalize(path), Err(fault), "{path}");
        }
    }

    #[test]
    fn a_request_gets_the_normal_form_with_its_query_and_host() {
        use actix_web::test::TestRequest;
        for (target, expected, spelling, host) in [
            ("/a%62?x=%62", "/ab?x=%62", Spelling::Replaced, "outer.example"),
            ("/ab?x=1", "/ab?x=1", Spelling::Normal, "outer.example"),
            ("http://inner.example:81/ab", "/ab", Spelling::Normal, "inner.example:81"),
            ("http://inner.example/%61b?y", "/ab?y", Spelling::Replaced, "inner.example"),
        ] {
            let mut request =
                TestRequest::with_uri(target).insert_header((header::HOST, "outer.example")).to_srv_request();
            assert_eq!(settle(&mut request), Ok(spelling), "{target}");
            assert_eq!(request.uri().to_string(), expected, "{target}");
            assert_eq!(request.match_info().as_str(), expected.split('?').next().unwrap(), "{target}");
            assert_eq!(request.headers().get(header::HOST).unwrap(), host, "{target}");
        }
    }

    #[test]
    fn a_path_that_grows_too_long_is_refused() {
        use actix_web::test::TestRequest;
        let mut request = TestRequest::with_uri(&format!("/{}", "|".repeat(30_000))).to_srv_request();
        assert_eq!(settle(&mut request), Err(PathFault::TooLong));
    }
}
