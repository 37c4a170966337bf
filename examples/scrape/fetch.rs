//! One page, fetched: how fast, for how long, how much of it, and what can go wrong.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use html5gum::{Token, Tokenizer};
use millstream::prelude::*;
use millstream::time::Clock;
use reqwest::header::{LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};

use crate::frontier::Address;

/// How long a single request may take, with its answer.
const TIMEOUT: Duration = Duration::from_millis(400);
const BYTES_MAX: usize = 256 * 1024;
const REDIRECTS_MAX: usize = 5;
/// How long a host may send us away for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

/// What is of interest in a page.
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) links: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("status {0}")]
    Status(StatusCode),
    #[error("no answer in time")]
    TooSlow,
    #[error("more than {BYTES_MAX} bytes")]
    TooLong,
    #[error("more than {REDIRECTS_MAX} redirects")]
    TooManyRedirects,
    #[error("no connection")]
    NoConnection,
}

impl Failure {
    /// Whether another attempt may help.
    pub(crate) fn may_pass(error: &OperatorError) -> bool {
        match error.get_ref().downcast_ref() {
            Some(Self::Status(status)) => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Some(Self::TooSlow | Self::NoConnection) => true,
            _ => false,
        }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() { Self::TooSlow } else { Self::NoConnection }
    }
}

/// Fetches pages from some hosts, each at its own pace. Clones share it.
#[derive(Clone)]
pub(crate) struct Fetcher {
    client: Client,
    paces: Arc<BTreeMap<String, RateLimiter>>,
}

impl Fetcher {
    /// All the hosts are at one address, and get so many requests in a second, each of them.
    pub(crate) fn new(
        hosts: impl Iterator<Item = String>,
        server: SocketAddr,
        per_second: u32,
    ) -> Result<Self, reqwest::Error> {
        let mut client = Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            // A redirect is a request too, and counts.
            .redirect(Policy::none());
        let mut paces = BTreeMap::new();
        for host in hosts {
            client = client.resolve(&host, server);
            let pace = RateLimiter::new(&host, Rate::per_second(per_second.max(1)));
            paces.insert(host, pace);
        }
        Ok(Self { client: client.build()?, paces: Arc::new(paces) })
    }

    /// One attempt, redirects included.
    pub(crate) async fn fetch(self, address: Address) -> Result<(Address, Page), Failure> {
        let mut url = address.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let pace = url.host_str().and_then(|host| self.paces.get(host));
            // A redirect may lead elsewhere, where we have no business.
            let Some(pace) = pace else {
                return Err(Failure::NoConnection);
            };
            pace.acquire(1).await;
            let response = self.client.get(url.clone()).send().await?;
            let status = response.status();
            if status.is_success() {
                return Ok((address, Page::parse(&read(response).await?)));
            }
            if status == StatusCode::TOO_MANY_REQUESTS {
                // The frontier asks nothing else of this host meanwhile.
                Clock::system().sleep(retry_after(&response)).await;
            }
            let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            url = match location.and_then(|to| url.join(to).ok()) {
                Some(to) if status.is_redirection() => to,
                _ => return Err(Failure::Status(status)),
            };
        }
        Err(Failure::TooManyRedirects)
    }
}

fn retry_after(response: &Response) -> Duration {
    let header = response.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok());
    let seconds = header.and_then(|after| after.parse().ok()).unwrap_or(1);
    Duration::from_secs(seconds).min(RETRY_AFTER_MAX)
}

async fn read(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > BYTES_MAX {
            return Err(Failure::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

impl Page {
    /// What there is in it, however broken it is.
    fn parse(html: &[u8]) -> Self {
        let mut page = Self { title: String::new(), links: Vec::new() };
        let mut in_title = false;
        for token in Tokenizer::new(html) {
            let Ok(token) = token;
            match token {
                Token::StartTag(tag) => {
                    in_title = **tag.name == *b"title" && page.title.is_empty();
                    let link = tag.attributes.get(b"href".as_slice());
                    if **tag.name == *b"a"
                        && let Some(link) = link
                    {
                        page.links.push(String::from_utf8_lossy(link).into_owned());
                    }
                }
                Token::String(text) if in_title => {
                    page.title = String::from_utf8_lossy(&text).trim().to_owned();
                }
                _ => in_title = false,
            }
        }
        page
    }
}
