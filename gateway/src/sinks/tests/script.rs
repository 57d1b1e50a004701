//! The sender's loop against a sink in this process that answers by a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;

use super::{readings, write};
use crate::clock::Clock;
use crate::config::{SinkPlan, Token};
use crate::sinks::line::Mapping;
use crate::sinks::sender::{Door, Parts, SinkView, run};
use crate::sinks::verdict::Answer;
use giot_store::{SinkRow, Store};

/// How the script answers one request.
type Judge = dyn Fn(&[String]) -> Option<Answer> + Send + Sync;

#[derive(Default)]
struct Sink {
    /// Answers to the next requests; then 204.
    script: Mutex<VecDeque<Answer>>,
    /// Judges bodies that the script lets through.
    judge: Mutex<Option<Box<Judge>>>,
    taken: Mutex<Vec<String>>,
    n_requests: Mutex<usize>,
    compressed: Mutex<Vec<bool>>,
    /// The next answer to the question whether it is there, if it is another than yes.
    ping: Mutex<Option<Answer>>,
}

struct Way(Arc<Sink>);

impl Door for Way {
    async fn write(&self, lines: Vec<u8>, is_compressed: bool) -> Answer {
        let lines: Vec<String> = String::from_utf8(lines).unwrap().lines().map(str::to_owned).collect();
        *self.0.n_requests.lock().unwrap() += 1;
        self.0.compressed.lock().unwrap().push(is_compressed);
        if let Some(answer) = self.0.script.lock().unwrap().pop_front() {
            return answer;
        }
        if let Some(answer) = self.0.judge.lock().unwrap().as_ref().and_then(|judge| judge(&lines)) {
            return answer;
        }
        self.0.taken.lock().unwrap().extend(lines);
        Answer::Status(204, String::new())
    }

    async fn ping(&self) -> Answer {
        self.0.ping.lock().unwrap().take().unwrap_or(Answer::Status(204, String::new()))
    }
}

struct Running {
    dir: TempDir,
    store: Store,
    sink: Arc<Sink>,
    view: watch::Receiver<SinkView>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

fn plan(lag_ms: u64) -> SinkPlan {
    SinkPlan {
        name: "s".to_owned(),
        url: String::new(),
        org: String::new(),
        bucket: String::new(),
        token: Token::None,
        ca_file: None,
        gateway: "g".to_owned(),
        metrics: Vec::new(),
        since_us: None,
        lag_ms,
        interval_ms: 5,
        gzip: true,
    }
}

impl Running {
    fn start(dir: TempDir, sink: Sink, plan: SinkPlan) -> Self {
        let store = Store::open(dir.path()).unwrap();
        let sink = Arc::new(sink);
        let (view, seen) = watch::channel(SinkView::new("s".to_owned()));
        let (stop, stopping) = watch::channel(false);
        let parts = Parts {
            plan,
            door: Way(Arc::clone(&sink)),
            mapping: Arc::new(Mapping { gateway: "g".to_owned(), ..Mapping::default() }),
            reader: store.reader(),
            writer: store.writer(),
            clock: Clock::system(None),
            view,
            stopping,
        };
        let task = tokio::spawn(run(parts));
        Self { dir, store, sink, view: seen, stop, task }
    }

    async fn commit(&self, minute: i64) {
        let batch = readings("n0", "soil_moisture", &[(minute, minute as f64)]);
        self.store.writer().commit(batch).await.unwrap();
    }

    /// Waits until the sink's view is as wanted.
    async fn until(&mut self, what: &str, is_so: impl FnMut(&SinkView) -> bool) -> SinkView {
        let seen = tokio::time::timeout(Duration::from_secs(20), self.view.wait_for(is_so)).await;
        seen.unwrap_or_else(|_| panic!("{what}: never")).unwrap().clone()
    }

    /// Waits until the sink took so many lines.
    async fn taken(&mut self, n: usize) -> Vec<String> {
        let sink = Arc::clone(&self.sink);
        self.until("taken", |_| sink.taken.lock().unwrap().len() >= n).await;
        sink.taken.lock().unwrap().clone()
    }

    async fn stop(self) -> (TempDir, SinkRow, Store) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap().unwrap();
        let row = self.store.reader().sinks().unwrap().remove(0);
        (self.dir, row, self.store)
    }
}

fn folder(n: i64) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    write(&store, "n0", &(0..n).map(|minute| (minute, minute as f64)).collect::<Vec<_>>());
    store.close().unwrap();
    dir
}

fn line(minute: i64) -> String {
    format!(
        "soil_moisture,device=n0,gateway=g,probe=0 value={minute}.0,quality=0i {}",
        1_700_000_000_000_000 + minute * 60_000_000
    )
}

#[tokio::test]
async fn history_and_news_arrive_and_the_cursor_is_kept() {
    let mut running = Running::start(folder(150), Sink::default(), plan(60_000));
    let mut taken = running.taken(150).await;
    taken.sort();
    let mut expected: Vec<String> = (0..150).map(line).collect();
    expected.sort();
    assert_eq!(taken, expected);
    running.commit(200).await;
    assert_eq!(running.taken(151).await.last(), Some(&line(200)));
    let (_dir, row, _store) = running.stop().await;
    assert_eq!((row.n_sent, row.state.as_str()), (151, "ok"));
    assert!(row.journal_sent > row.journal_id, "what was just sent is not safe yet");
}

#[tokio::test]
async fn a_bad_line_is_set_aside_and_the_others_arrive() {
    let sink = Sink::default();
    let judge = |lines: &[String]| {
        lines.contains(&line(7)).then(|| Answer::Status(400, "partial write: field type conflict".to_owned()))
    };
    *sink.judge.lock().unwrap() = Some(Box::new(judge));
    let mut running = Running::start(folder(40), sink, plan(60_000));
    let view = running.until("a line set aside", |view| view.n_parked == 1).await;
    assert_eq!(view.state, "ok");
    let taken = running.taken(39).await;
    assert!(!taken.contains(&line(7)));
    let (_dir, row, store) = running.stop().await;
    let parked = store.reader().parked_lines(row.id, 10).unwrap();
    assert_eq!((parked.len(), parked[0].line.as_str()), (1, line(7).as_str()));
    assert!(parked[0].reason.contains("type conflict"), "{}", parked[0].reason);
}

#[tokio::test]
async fn a_sink_that_refuses_everything_keeps_nothing_and_loses_nothing() {
    let sink = Sink::default();
    *sink.judge.lock().unwrap() =
        Some(Box::new(|_| Some(Answer::Status(400, "bucket is required".to_owned()))));
    let mut running = Running::start(folder(300), sink, plan(60_000));
    let view = running.until("rejecting", |view| view.state == "rejecting").await;
    assert!(view.detail.contains("bucket is required"), "{view:?}");
    let (_dir, row, store) = running.stop().await;
    assert_eq!((row.n_parked, row.n_sent), (0, 0));
    assert!(store.reader().backlog(&row).unwrap().n_readings >= 300);
}

#[tokio::test]
async fn a_series_that_is_refused_does_not_hold_up_the_others() {
    let sink = Sink::default();
    let judge = |lines: &[String]| {
        let is_odd = |line: &String| line.starts_with("odd");
        lines.iter().any(is_odd).then(|| Answer::Status(400, "field type conflict".to_owned()))
    };
    *sink.judge.lock().unwrap() = Some(Box::new(judge));
    let mut running = Running::start(folder(30), sink, plan(60_000));
    running.taken(30).await;
    let odd: Vec<_> = (0..500).map(|minute| (minute, 1.0)).collect();
    running.store.writer().commit(readings("n0", "odd", &odd)).await.unwrap();
    running.commit(40).await;
    running.taken(31).await;
    let view = running.until("a refused series", |view| view.n_parked == 500).await;
    assert_eq!(view.state, "ok");
    let (_dir, row, store) = running.stop().await;
    let n_listed = store.reader().parked_lines(row.id, 1_000).unwrap().len();
    assert!((1..500).contains(&n_listed), "{n_listed} lines to look at");
}

#[tokio::test]
async fn compression_is_given_up_where_it_is_not_understood() {
    for status in [400, 415] {
        let sink = Sink::default();
        *sink.script.lock().unwrap() = [Answer::Status(status, "cannot parse \u{1f}".to_owned())].into();
        let mut running = Running::start(folder(40), sink, plan(60_000));
        running.taken(40).await;
        running.commit(50).await;
        running.taken(41).await;
        let compressed = running.sink.compressed.lock().unwrap().clone();
        assert_eq!(compressed[..2], [true, false], "{status}");
        assert!(compressed[2..].iter().all(|compressed| !compressed));
        assert_eq!(running.stop().await.1.n_parked, 0);
    }
}

#[tokio::test]
async fn wrong_rights_are_said_and_nothing_is_lost() {
    let sink = Sink::default();
    *sink.judge.lock().unwrap() =
        Some(Box::new(|_| Some(Answer::Status(401, "unauthorized access".to_owned()))));
    let mut running = Running::start(folder(10), sink, plan(60_000));
    let view = running.until("forbidden", |view| view.state == "forbidden" && view.n_waiting > 0).await;
    assert_eq!((view.detail.as_str(), view.n_waiting), ("HTTP 401: unauthorized access", 10));
    let n_requests = *running.sink.n_requests.lock().unwrap();
    assert_eq!(n_requests, 1, "a person is needed: asked once a minute");
    let (dir, row, store) = running.stop().await;
    assert_eq!(row.state, "forbidden");
    store.close().unwrap();
    // The person has mended it: the next start sends.
    let mut running = Running::start(dir, Sink::default(), plan(60_000));
    running.taken(10).await;
}

#[tokio::test]
async fn what_a_restarting_sink_may_have_lost_is_sent_again() {
    let mut running = Running::start(folder(3), Sink::default(), plan(60_000));
    running.taken(3).await;
    running.commit(4).await;
    running.taken(4).await;
    running.sink.script.lock().unwrap().push_back(Answer::None("connection reset".to_owned()));
    running.commit(5).await;
    running.until("away", |view| view.state == "away").await;
    let taken = running.taken(9).await;
    let count = |minute| taken.iter().filter(|taken| **taken == line(minute)).count();
    assert_eq!([0, 1, 2, 4, 5].map(count), [2, 2, 2, 2, 1]);
    running.stop().await;
}

#[tokio::test]
async fn a_restart_that_no_request_met_is_noticed_too() {
    let mut running = Running::start(folder(3), Sink::default(), plan(60_000));
    running.taken(3).await;
    running.commit(4).await;
    running.taken(4).await;
    *running.sink.ping.lock().unwrap() = Some(Answer::None("the connection broke".to_owned()));
    let taken = running.taken(8).await;
    assert_eq!(taken.iter().filter(|taken| **taken == line(4)).count(), 2);
    let (_dir, row, _store) = running.stop().await;
    assert!(row.epoch > 1);
}

#[tokio::test]
async fn too_much_at_once_is_halved() {
    let sink = Sink::default();
    let judge = |lines: &[String]| (lines.len() > 10).then(|| Answer::Status(413, String::new()));
    *sink.judge.lock().unwrap() = Some(Box::new(judge));
    let mut running = Running::start(folder(60), sink, plan(60_000));
    running.taken(60).await;
    assert_eq!(running.stop().await.1.n_parked, 0);
}

#[tokio::test]
async fn a_busy_sink_is_left_alone_for_as_long_as_it_asks() {
    // Longer than the first pause of its own, with all its jitter.
    let asked = Duration::from_millis(1_500);
    for status in [429, 503] {
        let sink = Sink::default();
        *sink.script.lock().unwrap() = [Answer::Later(status, "busy".to_owned(), 1_500)].into();
        let mut running = Running::start(folder(3), sink, plan(60_000));
        let view = running.until("busy or away", |view| !view.detail.is_empty()).await;
        let refused = crate::clock::monotonic();
        assert!(view.detail.ends_with("(asks to be left alone for 2 s)"), "{}", view.detail);
        running.taken(3).await;
        let waited = refused.elapsed() + Duration::from_millis(50);
        assert!(waited >= asked, "{status}: {waited:?}");
        assert_eq!(*running.sink.n_requests.lock().unwrap(), 2, "{status}: asked once more");
        running.stop().await;
    }
}

#[tokio::test]
async fn a_line_that_is_refused_again_is_the_same_line() {
    let sink = Sink::default();
    let judge = |lines: &[String]| {
        lines.contains(&line(2)).then(|| Answer::Status(422, "field type conflict".to_owned()))
    };
    *sink.judge.lock().unwrap() = Some(Box::new(judge));
    let mut running = Running::start(folder(5), sink, plan(60_000));
    running.until("a refused line", |view| view.n_parked == 1).await;
    let n_requests = *running.sink.n_requests.lock().unwrap();
    // It restarts, and gets everything again.
    *running.sink.ping.lock().unwrap() = Some(Answer::None("the connection broke".to_owned()));
    running.taken(8).await;
    running.commit(6).await;
    running.taken(9).await;
    assert!(*running.sink.n_requests.lock().unwrap() > n_requests + 2, "it was refused again");
    let (_dir, row, store) = running.stop().await;
    assert_eq!(row.n_parked, 1);
    let parked = store.reader().parked_lines(row.id, 10).unwrap();
    assert_eq!(parked.iter().map(|parked| parked.line.clone()).collect::<Vec<_>>(), [line(2)]);
}
