//! The accept loop, and what one connection may take.
//!
//! Hyper runs under it for HTTP/1 alone, with a timer: without one, its limit on slow heads would
//! not be in force.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use millstream_engine::time::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::ConsoleOptions;
use crate::deadline::Deadline;
use crate::routes::Routes;

/// More than a request of ours ever needs. Hyper takes no less.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// How long to wait when the system is out of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What the connections share.
struct Shared {
    routes: Routes,
    clock: Clock,
    options: ConsoleOptions,
}

/// Serves until it is dropped, and then no connection is left.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Routes,
    clock: Clock,
    options: ConsoleOptions,
) {
    let permits = Arc::new(Semaphore::new(options.connections_max));
    let shared = Arc::new(Shared { routes, clock, options });
    let mut connections = JoinSet::new();
    // Who comes while all permits are out waits in the system's backlog. Nobody closes the
    // semaphore.
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, Arc::clone(&shared), permit));
            }
            // The client's doing, and over.
            Err(error) if is_clients(error.kind()) => {}
            Err(error) => {
                tracing::warn!(%error, "console can't accept connections");
                shared.clock.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_clients(error: ErrorKind) -> bool {
    matches!(
        error,
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}

/// Serves one connection, until its client is done or too slow.
async fn connection(stream: TcpStream, shared: Arc<Shared>, permit: OwnedSemaphorePermit) {
    // Only a matter of speed.
    stream.set_nodelay(true).ok();
    let deadline = Deadline::new(shared.clock.clone(), shared.options.request_timeout);
    let (routes, renewed) = (&shared.routes, &deadline);
    let service = service_fn(|request: Request<Incoming>| async move {
        renewed.renew();
        let mut response = routes.answer(&request).await.into_response();
        if request.method() == Method::HEAD {
            // Hyper holds back the next answer until the body of the one before is written, so a
            // client that asks ahead and reads nothing costs us one answer and, without progress,
            // its connection. Where there is no body it would collect heads without end.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        Ok::<_, Infallible>(response)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(shared.options.head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        // Flattened into one buffer, answers would not wait for each other.
        .writev(true);
    let mut served = pin!(http.serve_connection(TokioIo::new(stream), service));
    let mut passed = pin!(deadline.passed());
    let reason = poll_fn(|cx| {
        if let Poll::Ready(ended) = served.as_mut().poll(cx) {
            return Poll::Ready(ended.err().map(|error| error.to_string()));
        }
        let passed = passed.as_mut().poll(cx);
        passed.map(|()| Some("the request took too long".to_owned()))
    });
    if let Some(reason) = reason.await {
        tracing::debug!(%reason, "closed a connection");
    }
    drop(permit);
}
