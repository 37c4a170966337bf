//! The frontier: what is still to be visited, each address once, and when that is over.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::Url;
use tokio::sync::Notify;

/// The most addresses that are ever let in: what bounds the memory of the whole job.
const ADDRESSES_MAX: usize = 10_000;
/// How many links may lie between a root and a page: some sites make up links without end.
const DEPTH_MAX: u32 = 3;

/// A page, and how many links there are between it and a root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) url: Url,
    depth: u32,
}

impl Address {
    pub(crate) fn root(host: &str) -> Option<Self> {
        Some(Self { url: Url::parse(&format!("http://{host}/")).ok()?, depth: 0 })
    }

    pub(crate) fn host(&self) -> String {
        self.url.host_str().unwrap_or_default().to_owned()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

/// Clones are the same frontier.
#[derive(Clone)]
pub(crate) struct Frontier(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    /// The one whose turn it is comes first.
    hosts: VecDeque<Host>,
    seen: BTreeSet<Url>,
}

struct Host {
    name: String,
    waiting: VecDeque<Address>,
    /// One of its pages was handed out, and is neither visited nor given up.
    busy: bool,
}

impl Frontier {
    /// Begins with these, and never leaves their hosts.
    pub(crate) fn new(roots: impl IntoIterator<Item = Option<Address>>) -> Self {
        let roots: Vec<Address> = roots.into_iter().flatten().collect();
        let seen = roots.iter().map(|root| root.url.clone()).collect();
        let host = |root: Address| Host { name: root.host(), waiting: [root].into(), busy: false };
        let state = State { hosts: roots.into_iter().map(host).collect(), seen };
        Self(Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }))
    }

    /// The next address, one of each host at a time and all hosts in turn, as soon as there is one;
    /// none when nothing is under way that could still find any.
    pub(crate) async fn hand_out(self) -> Option<(Address, Self)> {
        loop {
            let next = self.state().next();
            match next {
                Next::Address(address) => return Some((address, self)),
                Next::Wait => self.0.changed.notified().await,
                Next::End => return None,
            }
        }
    }

    /// The address was visited, or given up, and has these links.
    pub(crate) fn visited(&self, address: &Address, links: &[String]) {
        let mut state = self.state();
        if let Some(host) = state.host(address) {
            host.busy = false;
        }
        let depth = address.depth + 1;
        for link in links.iter().filter(|_| depth <= DEPTH_MAX) {
            let Ok(mut url) = address.url.join(link) else {
                continue;
            };
            url.set_fragment(None);
            state.add(Address { url, depth });
        }
        drop(state);
        self.0.changed.notify_one();
    }

    /// How many are known and neither visited nor given up.
    pub(crate) fn unvisited(&self) -> usize {
        let state = self.state();
        state.hosts.iter().map(|host| host.waiting.len() + usize::from(host.busy)).sum()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Next {
    Address(Address),
    Wait,
    End,
}

impl State {
    fn next(&mut self) -> Next {
        let free = |host: &Host| !host.busy && !host.waiting.is_empty();
        let Some(turn) = self.hosts.iter().position(free) else {
            let busy = self.hosts.iter().any(|host| host.busy);
            return if busy { Next::Wait } else { Next::End };
        };
        self.hosts.rotate_left(turn + 1);
        let address = self.hosts.back_mut().and_then(|host| {
            host.busy = true;
            host.waiting.pop_front()
        });
        address.map_or(Next::End, Next::Address)
    }

    fn host(&mut self, address: &Address) -> Option<&mut Host> {
        let name = address.url.host_str()?;
        self.hosts.iter_mut().find(|host| host.name == name)
    }

    /// Lets an address in, if it is new and on one of our hosts.
    fn add(&mut self, address: Address) {
        let known = self.seen.len() >= ADDRESSES_MAX || self.seen.contains(&address.url);
        if let Some(host) = self.host(&address)
            && !known
        {
            host.waiting.push_back(address.clone());
            self.seen.insert(address.url);
        }
    }
}
