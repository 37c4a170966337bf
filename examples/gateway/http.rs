//! The gateway's HTTP side, and the clients that put a load on it.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use comfy_table::{Table, presets};
use millstream::random::Random;
use millstream::source::QueueHandle;
use millstream::time::Clock;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::request::{Answer, Request};
use crate::{Crashes, Options, SERVICES, ask, name};

/// The server, until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    answers: Arc<Mutex<Answers>>,
    _serving: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(
        listen: Option<SocketAddr>,
        requests: QueueHandle<Request>,
    ) -> Result<Self, std::io::Error> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(listen.unwrap_or(any)).await?;
        let address = listener.local_addr()?;
        let app = Router::new().route("/{service}/{item}", get(answer)).with_state(requests);
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap_or_default() });
        Ok(Self { address, answers: Arc::default(), _serving: serving })
    }

    /// The status that is answered.
    #[cfg(test)]
    pub(crate) async fn get(&self, path: &str) -> u16 {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = http.get(format!("http://{}/{path}", self.address)).send().await.unwrap();
        response.status().as_u16()
    }

    /// Puts clients to it, and crashes services meanwhile.
    pub(crate) async fn load(&self, options: &Options, crashes: &Crashes) {
        if options.listen.is_some() {
            return std::future::pending().await;
        }
        let mut clients = JoinSet::new();
        for client in 0..options.clients {
            let answers = Arc::clone(&self.answers);
            clients.spawn(ask_often(self.address, client, options.requests, answers));
        }
        let crashing = async {
            crash(crashes, options.crashes).await;
            std::future::pending().await
        };
        tokio::select! {
            _ = clients.join_all() => {}
            () = crashing => {}
        }
    }

    /// Shows how they fared, and fails if a request had no answer.
    pub(crate) fn show(&self) -> ExitCode {
        let Answers(answers) = *self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::new();
        let header = ["service", "answered", "503: too busy", "502: failed", "no answer"];
        table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(header);
        for (name, counts) in SERVICES.iter().zip(answers) {
            let mut row = vec![(*name).to_owned()];
            row.extend(counts.map(|count| count.to_string()));
            table.add_row(row);
        }
        println!("{table}");
        let unanswered: u64 = answers.iter().map(|[.., none]| none).sum();
        ExitCode::from(u8::from(unanswered > 0))
    }
}

/// How many answers there were: by service, those with a result, 503, 502, and none.
#[derive(Default)]
struct Answers([[u64; 4]; 3]);

impl Answers {
    fn count(&mut self, service: usize, status: Option<StatusCode>) {
        let column = match status {
            Some(StatusCode::OK) => 0,
            Some(StatusCode::SERVICE_UNAVAILABLE) => 1,
            Some(StatusCode::BAD_GATEWAY) => 2,
            _ => 3,
        };
        let cell = self.0.get_mut(service).and_then(|row| row.get_mut(column));
        cell.into_iter().for_each(|count| *count += 1);
    }
}

async fn answer(
    State(requests): State<QueueHandle<Request>>,
    Path((service, item)): Path<(String, String)>,
) -> Response {
    let Some(service) = SERVICES.iter().position(|name| *name == service) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match ask(&requests, service, item).await {
        Answer::Result(body) => body.into_response(),
        Answer::Shed => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")]).into_response(),
        Answer::Failed => StatusCode::BAD_GATEWAY.into_response(),
    }
}

async fn crash(crashes: &Crashes, times: u64) {
    let mut random = Random::new(3);
    for _ in 0..times {
        Clock::system().sleep(Duration::from_millis(50 + random.below(100))).await;
        crashes.crash(random.below(3) as usize);
    }
}

/// One client, which thinks for a while between requests.
async fn ask_often(
    server: SocketAddr,
    client: usize,
    requests: usize,
    answers: Arc<Mutex<Answers>>,
) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap_or_default();
    let mut random = Random::fork(5, client, 0);
    for request in 0..requests {
        let service = random.below(3) as usize;
        let url = format!("http://{server}/{}/{client}-{request}", name(service));
        let status = http.get(url).send().await.map(|response| response.status());
        answers.lock().unwrap_or_else(PoisonError::into_inner).count(service, status.ok());
        Clock::system().sleep(Duration::from_millis(random.below(150))).await;
    }
}
