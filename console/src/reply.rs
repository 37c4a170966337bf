//! An answer, with the headers that every answer carries.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

/// An answer before it is HTTP.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    content: &'static str,
    body: String,
}

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
pub(crate) const JSON: &str = "application/json";
pub(crate) const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is shown changes all the time, is nothing to render as a page, and nobody else's business.
const ALWAYS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
];

impl Reply {
    pub(crate) const fn ok(content: &'static str, body: String) -> Self {
        Self { status: StatusCode::OK, content, body }
    }

    pub(crate) const fn text(status: StatusCode, body: String) -> Self {
        Self { status, content: TEXT, body }
    }

    /// An answer that says no more than its status does.
    pub(crate) fn bare(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or("error");
        Self::text(status, format!("{}\n", reason.to_ascii_lowercase()))
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        for (name, value) in ALWAYS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}
