//! Answers with one page of a list, and the links to the others (`Link`, RFC 8288).

use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody, http::header};
use portico_kernel::{CursorPage, List};
use serde::Serialize;

use crate::write::WithJson;

/// 200 with a page of a list, and `Link` to the others.
pub struct Listed<L>(pub L);

/// A page of a list that knows which others there are.
pub trait Linked {
    /// The relations of other pages, each with the parameter and the value that lead there.
    fn others(&self, request: &HttpRequest) -> Vec<(&'static str, &'static str, Option<String>)>;
}

impl<T> Linked for List<T> {
    fn others(&self, _: &HttpRequest) -> Vec<(&'static str, &'static str, Option<String>)> {
        let mut others = Vec::new();
        if self.page > 1 {
            others.push(("first", "page", Some("1".to_owned())));
            others.push(("prev", "page", Some((self.page - 1).to_string())));
        }
        if self.page.saturating_mul(self.limit) < self.total {
            others.push(("next", "page", Some((self.page + 1).to_string())));
        }
        others
    }
}

impl<T> Linked for CursorPage<T> {
    fn others(&self, request: &HttpRequest) -> Vec<(&'static str, &'static str, Option<String>)> {
        let mut others = Vec::new();
        if request.query_string().split('&').any(|pair| pair.starts_with("cursor=")) {
            others.push(("first", "cursor", None));
        }
        if let Some(cursor) = &self.next_cursor {
            others.push(("next", "cursor", Some(cursor.clone())));
        }
        others
    }
}

/// The value of `Link`; `None` where there is no other page. Targets are relative to the request, with its other parameters.
pub fn link(request: &HttpRequest, page: &impl Linked) -> Option<String> {
    let links: Vec<String> = page
        .others(request)
        .into_iter()
        .map(|(relation, parameter, value)| {
            let query = request.query_string().split('&').filter(|pair| !pair.is_empty());
            let kept = query.filter(|pair| pair.split('=').next() != Some(parameter));
            let kept = kept.map(|pair| pair.replace('<', "%3C").replace('>', "%3E"));
            let query: Vec<String> = kept.chain(value.map(|value| format!("{parameter}={value}"))).collect();
            let mark = if query.is_empty() { "" } else { "?" };
            format!("<{}{mark}{}>; rel=\"{relation}\"", request.path(), query.join("&"))
        })
        .collect();
    (!links.is_empty()).then(|| links.join(", "))
}

impl<L: Serialize + Linked> Responder for Listed<L> {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        if let Some(link) = link(request, &self.0) {
            response.insert_header((header::LINK, link));
        }
        response.with_json(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use portico_kernel::PageRequest;

    use super::*;

    fn of_page(uri: &str, page: u64, total: u64) -> String {
        let list = List::<u8>::new(Vec::new(), PageRequest { page, limit: 20 }, total);
        link(&TestRequest::with_uri(uri).to_http_request(), &list).unwrap_or_default()
    }

    #[test]
    fn a_list_links_to_the_pages_around() {
        assert_eq!(of_page("/sites", 1, 20), "");
        assert_eq!(of_page("/sites", 1, 21), "</sites?page=2>; rel=\"next\"");
        assert_eq!(
            of_page("/sites?q=a%20b&page=2&sort=-name", 2, 41),
            "</sites?q=a%20b&sort=-name&page=1>; rel=\"first\", </sites?q=a%20b&sort=-name&page=1>; rel=\"prev\", \
             </sites?q=a%20b&sort=-name&page=3>; rel=\"next\""
        );
        assert_eq!(
            of_page("/sites?page=9", 9, 0),
            "</sites?page=1>; rel=\"first\", </sites?page=8>; rel=\"prev\""
        );
        assert_eq!(
            of_page("/sites?pages=3&limit=20", 1, 21),
            "</sites?pages=3&limit=20&page=2>; rel=\"next\""
        );
    }

    #[test]
    fn a_list_by_cursor_links_to_its_beginning_and_on() {
        let of = |uri: &str, next: Option<&str>| {
            let page = CursorPage::<u8> { items: Vec::new(), next_cursor: next.map(str::to_owned) };
            link(&TestRequest::with_uri(uri).to_http_request(), &page).unwrap_or_default()
        };
        assert_eq!(of("/audit", None), "");
        assert_eq!(of("/audit?limit=5", Some("c1")), "</audit?limit=5&cursor=c1>; rel=\"next\"");
        assert_eq!(of("/audit?cursor=c1", None), "</audit>; rel=\"first\"");
        assert_eq!(
            of("/audit?cursor=c1&limit=5", Some("c2")),
            "</audit?limit=5>; rel=\"first\", </audit?limit=5&cursor=c2>; rel=\"next\""
        );
    }
}
