//! The hostile site: many hosts behind one address on loopback, told apart by the name they are
//! asked for, of fifty pages each. It keeps count of how fast each of them is asked.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{HOST, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use futures::stream;
use millstream::time::{Clock, Instant};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// How many pages of a host have a number. With the root and as much of the trap as is within reach
/// they are fifty.
const PAGES: u32 = 46;
/// Over how long requests are counted.
const WINDOW: Duration = Duration::from_millis(250);

/// How many requests a host may get within a window at this rate: one before the first wait, one
/// for a wait that began before the window, and one that was given up on its way.
pub(crate) fn allowed(per_second: u32) -> usize {
    per_second.div_ceil(4) as usize + 3
}

/// What a page does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Plain,
    Slow,
    Broken,
    FailsOnce,
    BusyOnce,
    Moved,
    Fails,
    Missing,
    Hangs,
    Endless,
    Loops,
}

impl Manner {
    /// What the page of this number does, on every host.
    pub(crate) const fn of(page: u32) -> Self {
        match page {
            5 => Self::Slow,
            8 => Self::Broken,
            11 => Self::FailsOnce,
            14 => Self::BusyOnce,
            17 => Self::Moved,
            20 => Self::Fails,
            23 => Self::Missing,
            26 => Self::Hangs,
            29 => Self::Endless,
            32 => Self::Loops,
            _ => Self::Plain,
        }
    }
}

/// The site, until it is dropped.
pub(crate) struct Site {
    hosts: usize,
    address: SocketAddr,
    state: Shared,
    _serving: JoinSet<()>,
}

type Shared = Arc<Mutex<Visits>>;

struct Visits {
    clock: Clock,
    /// The last requests to each host.
    lately: BTreeMap<String, VecDeque<Instant>>,
    busiest: usize,
    /// How often each page was asked for.
    times: BTreeMap<String, u32>,
    /// Told when somebody waits for a page that hangs.
    hanging: Arc<Notify>,
}

impl Site {
    pub(crate) async fn serve(hosts: usize) -> Result<Self, std::io::Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let visits = Visits {
            clock: Clock::system(),
            lately: BTreeMap::new(),
            busiest: 0,
            times: BTreeMap::new(),
            hanging: Arc::new(Notify::new()),
        };
        let state = Arc::new(Mutex::new(visits));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap_or_default() });
        Ok(Self { hosts, address, state, _serving: serving })
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.hosts).map(|host| format!("host-{host:02}.test"))
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until somebody waits for a page that hangs.
    #[cfg(test)]
    pub(crate) async fn hangs(&self) {
        let hanging = Arc::clone(&self.state.lock().unwrap().hanging);
        hanging.notified().await;
    }

    /// The most requests that any host got within a quarter of a second.
    pub(crate) fn busiest(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).busiest
    }
}

impl Visits {
    /// Notes a request, and says how often its page was asked for before.
    fn note(&mut self, host: &str, path: &str) -> u32 {
        let now = self.clock.now();
        let lately = self.lately.entry(host.to_owned()).or_default();
        lately.retain(|visit| now.saturating_since(*visit) < WINDOW);
        lately.push_back(now);
        self.busiest = self.busiest.max(lately.len());
        let times = self.times.entry(format!("{host}{path}")).or_default();
        *times += 1;
        *times - 1
    }
}

async fn answer(State(state): State<Shared>, headers: HeaderMap, uri: Uri) -> Response {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let (clock, hanging, before) = {
        let mut visits = state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = visits.note(host, uri.path());
        (visits.clock.clone(), Arc::clone(&visits.hanging), before)
    };
    let path = uri.path().trim_start_matches('/');
    if let Some(step) = path.strip_prefix("trap/").and_then(|step| step.parse::<u64>().ok()) {
        return Html(html("Tomorrow", &format!("<a href=/trap/{}>on</a>", step + 1)))
            .into_response();
    }
    let page = if path.is_empty() { 0 } else { path.parse().unwrap_or(PAGES) };
    if page >= PAGES {
        return StatusCode::NOT_FOUND.into_response();
    }
    let title = format!("{host}: {page}");
    let plain = Html(html(&title, &links(page)));
    match Manner::of(page) {
        Manner::Plain => plain.into_response(),
        Manner::Slow => {
            clock.sleep(Duration::from_millis(150)).await;
            plain.into_response()
        }
        Manner::Broken => Html(broken(&title)).into_response(),
        Manner::FailsOnce | Manner::BusyOnce if before > 0 => plain.into_response(),
        Manner::BusyOnce => (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "1")]).into_response(),
        Manner::FailsOnce | Manner::Fails => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Manner::Moved => (StatusCode::MOVED_PERMANENTLY, [(LOCATION, "/1")]).into_response(),
        Manner::Missing => StatusCode::NOT_FOUND.into_response(),
        Manner::Hangs => {
            hanging.notify_one();
            std::future::pending().await
        }
        Manner::Endless => {
            let more = stream::repeat_with(|| Ok::<_, Infallible>("and so on ".repeat(1000)));
            Body::from_stream(more).into_response()
        }
        Manner::Loops => (StatusCode::FOUND, [(LOCATION, "/32?again")]).into_response(),
    }
}

fn html(title: &str, body: &str) -> String {
    format!("<!doctype html><title>{title}</title><body>{body}</body>")
}

/// The root links to every page of its host and into the trap, the others to a few, and to what a
/// crawler must leave alone.
fn links(page: u32) -> String {
    let to = if page == 0 { 0..PAGES } else { page..(page + 4).min(PAGES) };
    let links = to.map(|to| format!("<p><a class=page href=\"/{to}#top\">{to}</a>\n"));
    let elsewhere =
        "<a href=mailto:nobody@site.test>a</a> <a href=http://else.test/>b</a> <a href=/>c</a>";
    let trap = if page == 0 { "<a href='trap/1'>calendar</a>" } else { "" };
    links.chain([elsewhere.to_owned(), trap.to_owned()]).collect()
}

/// A page that is no text, closes what it never opened and does not come to its end.
fn broken(title: &str) -> Vec<u8> {
    let mut page =
        format!("</div><TITLE>{title}<b><a href=/1 href=/2 \"><a href='/3>").into_bytes();
    page.extend([0xff, 0xfe, 0x00, b'<', b'/', b'a', b'<', b'!', b'-', b'-']);
    page
}
