//! The dashboard's two ends: axum, which gives each WebSocket a subscription to the hub, and
//! readers that speak the same protocol over pipes in memory, so that a thousand of them need no
//! thousand sockets.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use futures::StreamExt;
use millstream::hub::{BroadcastHub, Subscription};
use millstream::time::Clock;
use tokio::io::{DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite};

/// How much a pipe holds that nobody reads, as a socket would.
const PIPE_BYTES: usize = 512;

/// A web server, until it is dropped.
pub(crate) struct Dashboard {
    pipes: mpsc::Sender<DuplexStream>,
    _serving: JoinSet<()>,
}

#[derive(Clone)]
struct Shared {
    hub: BroadcastHub<Arc<str>>,
    wait: bool,
}

impl Dashboard {
    pub(crate) async fn serve(
        hub: &BroadcastHub<Arc<str>>,
        wait: bool,
        listen: Option<SocketAddr>,
    ) -> Result<Self, std::io::Error> {
        let page = || async { Html(include_str!("page.html")) };
        let app = Router::new().route("/", get(page)).route("/feed", get(subscribe));
        let app = app.with_state(Shared { hub: hub.clone(), wait });
        let mut serving = JoinSet::new();
        if let Some(address) = listen {
            let listener = TcpListener::bind(address).await?;
            let app = app.clone();
            serving.spawn(async move { axum::serve(listener, app).await.unwrap_or_default() });
        }
        let (pipes, connections) = mpsc::channel(16);
        let serve = axum::serve(Pipes(connections), app);
        serving.spawn(async move { serve.await.unwrap_or_default() });
        Ok(Self { pipes, _serving: serving })
    }
}

/// Subscribes, and only then answers: what is published after the handshake is not missed.
async fn subscribe(State(shared): State<Shared>, upgrade: WebSocketUpgrade) -> Response {
    let Shared { hub, wait } = shared;
    match if wait { hub.subscribe() } else { hub.subscribe_lossy() } {
        Ok(subscription) => upgrade.on_upgrade(move |socket| feed(socket, subscription)),
        Err(full) => (StatusCode::SERVICE_UNAVAILABLE, full.to_string()).into_response(),
    }
}

/// Sends what is published, until there is no more of it or nobody who takes it.
async fn feed(mut socket: WebSocket, mut subscription: Subscription<Arc<str>>) {
    while let Some(Ok(update)) = subscription.next().await {
        if socket.send(Message::text(&*update)).await.is_err() {
            return;
        }
    }
    // The other end may have gone already.
    drop(socket.send(Message::Close(None)).await);
}

/// Connections that come through a channel instead of a port.
struct Pipes(mpsc::Receiver<DuplexStream>);

impl axum::serve::Listener for Pipes {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(pipe) => (pipe, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Somebody with the dashboard before him.
pub(crate) struct Reader(WebSocketStream<DuplexStream>);

impl Reader {
    pub(crate) async fn connect(dashboard: &Dashboard) -> Result<Self, Box<dyn Error>> {
        let (ours, theirs) = duplex(PIPE_BYTES);
        dashboard.pipes.send(theirs).await?;
        let (socket, _) = client_async("ws://dashboard/feed", ours).await?;
        Ok(Self(socket))
    }

    /// Reads until there is no more.
    pub(crate) async fn read(mut self) -> Seen {
        let clock = Clock::system();
        let mut seen = Seen { measurements: 0, longest_pause: Duration::ZERO };
        let mut last = None;
        while let Some(Ok(message)) = self.0.next().await {
            if matches!(message, tungstenite::Message::Text(_)) {
                let now = clock.now();
                let pause = now.saturating_since(last.replace(now).unwrap_or(now));
                seen.longest_pause = seen.longest_pause.max(pause);
                seen.measurements += 1;
            }
        }
        seen
    }
}

/// What somebody has seen of the dashboard.
pub(crate) struct Seen {
    pub(crate) measurements: u64,
    /// The longest time from one to the next.
    pub(crate) longest_pause: Duration,
}
