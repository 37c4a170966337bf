//! The API that is asked: rows by station, and a quota for all of them together, which changes. It
//! answers calls, and over HTTP on loopback.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use millstream::OperatorError;
use millstream::time::{Clock, Instant};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub(crate) const STATIONS: [&str; 4] = ["north", "east", "south", "west"];
pub(crate) const FIRST_QUOTA: u32 = 40;
/// From when on how many requests a second are allowed.
const QUOTAS: [(Duration, u32); 4] = [
    (Duration::ZERO, FIRST_QUOTA),
    (Duration::from_millis(1_000), 8),
    (Duration::from_millis(3_500), 100),
    (Duration::from_millis(4_000), 20),
];
const QUOTA_HEADER: &str = "x-quota-per-second";
const PAGE_ROWS: u64 = 10;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) station: String,
    pub(crate) number: u64,
    pub(crate) millimetres: u64,
}

/// An answer, which always says how many requests a second are allowed now.
pub(crate) struct Answer {
    pub(crate) quota: u32,
    pub(crate) content: Content,
}

pub(crate) enum Content {
    Rows { rows: Vec<Row>, next: Option<u64> },
    TooManyRequests { retry_after: Duration },
}

/// A way to ask the API.
pub(crate) trait Ask: Clone + Send + 'static {
    fn ask(
        &self,
        station: &'static str,
        from: u64,
    ) -> impl Future<Output = Result<Answer, OperatorError>> + Send;
}

/// The API itself. Clones are the same.
#[derive(Clone)]
pub(crate) struct Api(Arc<Mutex<Quota>>);

struct Quota {
    clock: Clock,
    started: Instant,
    rows: u64,
    /// Requests that may be made now, and as of when.
    allowance: f64,
    as_of: Instant,
    asked: u64,
    refused: u64,
}

impl Api {
    /// An API whose stations have so many rows each, and whose time begins now.
    pub(crate) fn start(rows: u64) -> Self {
        let clock = Clock::system();
        let (started, as_of) = (clock.now(), clock.now());
        let allowance = STATIONS.len() as f64;
        Self(Arc::new(Mutex::new(Quota {
            clock,
            started,
            rows,
            allowance,
            as_of,
            asked: 0,
            refused: 0,
        })))
    }

    /// How many requests there have been, and how many of them were refused.
    pub(crate) fn asked(&self) -> (u64, u64) {
        let quota = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (quota.asked, quota.refused)
    }

    pub(crate) fn answer(&self, station: &str, from: u64) -> Answer {
        let mut quota = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (per_second, granted) = quota.take();
        let content = if granted {
            let to = quota.rows.min(from + PAGE_ROWS);
            let row = |number| {
                let millimetres = (number * 7 + station.len() as u64) % 23;
                Row { station: station.to_owned(), number, millimetres }
            };
            Content::Rows {
                rows: (from..to).map(row).collect(),
                next: (to < quota.rows).then_some(to),
            }
        } else {
            Content::TooManyRequests { retry_after: Duration::from_secs(1) }
        };
        Answer { quota: per_second, content }
    }
}

impl Quota {
    /// The quota as it is now, and whether a request is within it. A burst may be as large as
    /// there are stations.
    fn take(&mut self) -> (u32, bool) {
        let now = self.clock.now();
        let since = now.saturating_since(self.started);
        let in_force = QUOTAS.iter().rev().find(|(from, _)| *from <= since);
        let per_second = in_force.map_or(FIRST_QUOTA, |(_, quota)| *quota);
        let earned = now.saturating_since(self.as_of).as_secs_f64() * f64::from(per_second);
        self.allowance = (self.allowance + earned).min(STATIONS.len() as f64);
        self.as_of = now;
        self.asked += 1;
        let granted = self.allowance >= 1.0;
        if granted {
            self.allowance -= 1.0;
        } else {
            self.refused += 1;
        }
        (per_second, granted)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let quota = [(QUOTA_HEADER, self.quota.to_string())];
        match self.content {
            Content::Rows { rows, next } => (quota, Json((rows, next))).into_response(),
            Content::TooManyRequests { retry_after } => {
                let wait = [("retry-after", retry_after.as_secs().to_string())];
                (StatusCode::TOO_MANY_REQUESTS, quota, wait).into_response()
            }
        }
    }
}

/// Asks over HTTP. The server lives as long as the clients of it.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    server: SocketAddr,
    _serving: Arc<JoinSet<()>>,
}

impl Client {
    /// Serves an API on loopback.
    pub(crate) async fn of(api: &Api) -> Result<Self, Box<dyn Error>> {
        let answer = async |State(api): State<Api>,
                            Path(station): Path<String>,
                            Query(query): Query<BTreeMap<String, u64>>| {
            api.answer(&station, query.get("from").copied().unwrap_or_default())
        };
        let app = Router::new().route("/rain/{station}", get(answer)).with_state(api.clone());
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let server = listener.local_addr()?;
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap_or_default() });
        let http =
            reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { http, server, _serving: Arc::new(serving) })
    }
}

impl Ask for Client {
    async fn ask(&self, station: &'static str, from: u64) -> Result<Answer, OperatorError> {
        let url = format!("http://{}/rain/{station}?from={from}", self.server);
        let response = self.http.get(url).send().await?;
        let number = |name| response.headers().get(name)?.to_str().ok()?.parse().ok();
        let quota = number(QUOTA_HEADER).and_then(|quota| u32::try_from(quota).ok());
        let quota = quota.unwrap_or(FIRST_QUOTA);
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            let retry_after = Duration::from_secs(number("retry-after").unwrap_or(1_u64));
            return Ok(Answer { quota, content: Content::TooManyRequests { retry_after } });
        }
        let body = response.error_for_status()?.bytes().await?;
        let (rows, next) = serde_json::from_slice(&body)?;
        Ok(Answer { quota, content: Content::Rows { rows, next } })
    }
}
