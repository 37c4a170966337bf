//! What is answered to which path.

use std::sync::Arc;

use hyper::body::Body;
use hyper::{Method, Request, StatusCode};
use millstream_engine::graph::GraphView;

use crate::guard::Guard;
use crate::recorder::Metrics;
use crate::reply::{EXPOSITION, JSON, Reply, TEXT};
use crate::watched::Watched;
use crate::{exposition, graph};

/// Nothing reads the body of a request, but one that is small is forgiven.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// Answers requests.
pub(crate) struct Routes {
    guard: Guard,
    metrics: Metrics,
    watched: Arc<Watched>,
}

/// What there is to ask for.
enum Route {
    Metrics,
    Health,
    Readiness,
    Graph,
    Dot,
    Mermaid,
}

impl Route {
    /// The route of a path, which has to be spelled as it is: nothing is decoded or resolved.
    fn find(path: &str) -> Option<Self> {
        match path {
            "/metrics" => Some(Self::Metrics),
            "/healthz" => Some(Self::Health),
            "/readyz" => Some(Self::Readiness),
            "/graph" => Some(Self::Graph),
            "/graph.dot" => Some(Self::Dot),
            "/graph.mmd" => Some(Self::Mermaid),
            _ => None,
        }
    }
}

impl Routes {
    pub(crate) const fn new(guard: Guard, metrics: Metrics, watched: Arc<Watched>) -> Self {
        Self { guard, metrics, watched }
    }

    pub(crate) async fn answer<B: Body>(&self, request: &Request<B>) -> Reply {
        if let Some(refusal) = self.guard.refusal(request) {
            return Reply::bare(refusal);
        }
        if request.body().size_hint().lower() > BODY_BYTES_MAX {
            return Reply::bare(StatusCode::PAYLOAD_TOO_LARGE);
        }
        let Some(route) = Route::find(request.uri().path()) else {
            return Reply::bare(StatusCode::NOT_FOUND);
        };
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return Reply::bare(StatusCode::METHOD_NOT_ALLOWED);
        }
        match route {
            Route::Metrics => self.metrics().await,
            Route::Health => self.health(),
            Route::Readiness => self.readiness(),
            Route::Graph => Reply::ok(JSON, graph::to_json(&self.watched.jobs()).to_string()),
            Route::Dot => self.picture(GraphView::to_dot),
            Route::Mermaid => self.picture(GraphView::to_mermaid),
        }
    }

    async fn metrics(&self) -> Reply {
        let metrics = self.metrics.clone();
        // It may take long where there are many samples, so not on a worker of the runtime.
        let Ok(mut text) = tokio::task::spawn_blocking(move || metrics.render()).await else {
            return Reply::bare(StatusCode::INTERNAL_SERVER_ERROR);
        };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&exposition::render(&self.watched.current()));
        Reply::ok(EXPOSITION, text)
    }

    fn health(&self) -> Reply {
        verdict("failed", &self.watched.failed())
    }

    fn readiness(&self) -> Reply {
        verdict("not ready", &self.watched.missing())
    }

    fn picture(&self, draw: impl Fn(&GraphView) -> String) -> Reply {
        match self.watched.jobs().last() {
            Some(job) => Reply::ok(TEXT, draw(&job.observer.graph())),
            None => Reply::bare(StatusCode::NOT_FOUND),
        }
    }
}

/// Good if nothing is wrong.
fn verdict(what: &str, wrong: &[String]) -> Reply {
    if wrong.is_empty() {
        return Reply::ok(TEXT, "ok\n".to_owned());
    }
    let text = format!("{what}: {}\n", wrong.join(", "));
    Reply::text(StatusCode::SERVICE_UNAVAILABLE, text)
}
