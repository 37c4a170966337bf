//! Tests of the crawler on the hostile site, over loopback.

use millstream::time::Clock;
use tokio::sync::oneshot;

use super::site::Manner;
use super::*;

fn options(hosts: usize) -> Options {
    Options { hosts, in_flight: 32, per_host: 40, graph: false, metrics: None }
}

/// What must become of a page: its title, or why it has none.
fn expected(host: &str, page: u32) -> Result<String, String> {
    let failure = match Manner::of(page) {
        Manner::Moved => return Ok(format!("{host}: 1")),
        Manner::Fails => "status 500 Internal Server Error",
        Manner::Missing => "status 404 Not Found",
        Manner::Hangs => "no answer in time",
        Manner::Endless => "more than 262144 bytes",
        Manner::Loops => "more than 5 redirects",
        _ => return Ok(format!("{host}: {page}")),
    };
    Err(failure.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_hostile_pages_are_visited_once_each_at_their_hosts_pace() {
    let site = Site::serve(20).await.unwrap();
    let outcome = crawl(&options(20), &site, std::future::pending::<()>()).await.unwrap();

    let mut visited = BTreeMap::<String, Vec<Result<String, String>>>::new();
    for (address, title) in outcome.titles {
        visited.entry(address.to_string()).or_default().push(Ok(title));
    }
    for failure in outcome.failures {
        let reason = failure.error.to_string();
        visited.entry(failure.original.to_string()).or_default().push(Err(reason));
    }
    let mut all = BTreeMap::new();
    for host in site.hosts() {
        // Zero is the root, which has two addresses.
        let pages = (0..46).map(|page| (format!("/{page}"), expected(&host, page)));
        let trap = (1..=3).map(|step| (format!("/trap/{step}"), Ok("Tomorrow".to_owned())));
        let root = [("/".to_owned(), expected(&host, 0))];
        for (path, what) in pages.chain(trap).chain(root) {
            all.insert(format!("http://{host}{path}"), vec![what]);
        }
    }
    assert_eq!(all.len(), 1000);
    assert_eq!(visited, all);
    assert_eq!(outcome.unvisited, 0);
    let busiest = site.busiest();
    assert!(busiest <= site::allowed(40), "{busiest} requests in a quarter of a second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_faster_than_allowed_is_noticed() {
    let site = Site::serve(1).await.unwrap();
    let options = Options { per_host: 10_000, ..options(1) };
    crawl(&options, &site, std::future::pending::<()>()).await.unwrap();
    assert!(site.busiest() > site::allowed(40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stops_within_a_second_and_says_what_is_left() {
    let site = Site::serve(20).await.unwrap();
    let clock = Clock::system();
    let (stopped, stopped_at) = oneshot::channel();
    let midway = async {
        // By then one page hangs at least, others are under way, and many wait.
        site.hangs().await;
        stopped.send(clock.now()).unwrap();
    };
    let outcome = crawl(&options(20), &site, midway).await.unwrap();
    let since = clock.now().saturating_since(stopped_at.await.unwrap());
    assert!(since < Duration::from_secs(1), "{since:?} to stop");
    assert!(outcome.unvisited > 0);
    let mut visited: Vec<_> = outcome.failures.iter().map(|failure| &failure.original).collect();
    visited.extend(outcome.titles.keys());
    assert!(!visited.is_empty() && visited.len() + outcome.unvisited <= 1000);
    let all = visited.len();
    visited.sort();
    visited.dedup();
    assert_eq!(visited.len(), all, "each of them once");
}
