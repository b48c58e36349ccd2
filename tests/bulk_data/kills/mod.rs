//! Kills at every moment of a job's life. A client kicks off, polls, downloads and deletes, and the server is killed
//! again and again; what one server has answered must hold for the next one.
//!
//! `SMELT_KILLS` says how often, `SMELT_SEED` repeats a run.

mod books;
mod store;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use self::books::Books;
use self::store::{ASKS, Store};
use super::Server;

/// Longer than any start takes.
const START: u64 = 300_000;

/// Longest that something is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// When the server is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// A kick-off has been accepted.
    Accepted,
    /// A kick-off is being answered.
    Asking,
    /// Files are being written.
    Writing,
    /// Files get their names, the manifest is written, the job is recorded.
    Completing,
    /// A client has seen the end of a job.
    Ended,
    /// A job is being deleted.
    Deleting,
    /// A file is being sent.
    Downloading,
    /// The server was told to end in order.
    Draining,
}

const MOMENTS: &[Moment] = &[
    Moment::Accepted,
    Moment::Asking,
    Moment::Writing,
    Moment::Writing,
    Moment::Completing,
    Moment::Completing,
    Moment::Completing,
    Moment::Ended,
    Moment::Deleting,
    Moment::Deleting,
    Moment::Downloading,
    Moment::Draining,
];

/// Numbers that a seed decides (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// Lets up to so many microseconds pass: the moment is what is random, nothing is waited for.
    fn pass(&mut self, micros: u64) {
        thread::sleep(Duration::from_micros(self.below(micros as usize) as u64));
    }
}

/// A download that a kill has cut.
struct Cut {
    path: String,
    begun: Vec<u8>,
}

struct Play {
    dice: Dice,
    books: Books,
    cut: Option<Cut>,
}

// S-20 K-11 M-03 M-09 F-11 D-01 D-02 X-05 X-06
#[tokio::test]
async fn kills_break_nothing_that_was_promised() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("SMELT_SEED")
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 % 1_000_000);
    let kills = number("SMELT_KILLS").unwrap_or(20) as usize;
    println!("SMELT_SEED={seed} SMELT_KILLS={kills}");

    let began = Instant::now();
    let store = Store::new().await;
    let mut play = Play { dice: Dice(seed), books: Books::default(), cut: None };
    let mut home = tempfile::tempdir().unwrap();
    while play.books.kills < kills {
        store.mark(&mut play.books).await;
        if play.dice.below(6) == 0 {
            let mut child = Server::spawn(&store.args(), home.path());
            play.dice.pass(START);
            child.kill().unwrap();
            child.wait().unwrap();
            println!("{}: starting", play.books.kills);
            play.books.killed();
            continue;
        }
        let moment = play.dice.pick(MOMENTS);
        println!("{}: {moment:?}", play.books.kills);
        home = play.act(Server::start(&store.args(), &[], home), moment);
        play.books.killed();
    }
    store.mark(&mut play.books).await;
    let server = Server::start(&store.args(), &[], home);
    play.resume(&server);
    play.books.look(&server);
    play.books.close(&server).await;
    println!("{} in {:.1} s", play.books.told(), began.elapsed().as_secs_f64());
}

impl Play {
    /// Serves until a kill.
    fn act(&mut self, server: Server, moment: Moment) -> TempDir {
        self.resume(&server);
        self.books.look(&server);
        let busy = 2 + self.dice.below(3);
        while self.books.unfinished().len() < busy {
            self.kick_off(&server);
        }
        if self.dice.below(2) == 0 {
            // Else few jobs would live through three kills.
            let oldest = self.books.unfinished().swap_remove(0);
            let answer = server.ended(&oldest, &[]);
            self.books.seen(&server, &oldest, &answer);
            self.kick_off(&server);
        }
        match moment {
            Moment::Accepted => {
                self.kick_off(&server);
                server.kill()
            }
            Moment::Asking => {
                let ask = self.dice.pick(ASKS);
                let stream = begin(&server, "GET", ask);
                self.dice.pass(4_000);
                let base = server.base.clone();
                let home = server.kill();
                if let (202, head) = heard(stream) {
                    let location = head.lines().find_map(|line| line.strip_prefix("content-location: ")).unwrap();
                    self.books.accepted(location.strip_prefix(&base).unwrap(), ask);
                }
                home
            }
            Moment::Writing => {
                let parts = 1 + self.dice.below(8);
                let path = self.books.unfinished().swap_remove(0);
                watch(&server, &path, |names| {
                    names.iter().filter(|name| has_ending(name, "part")).count() >= parts || is_whole(names)
                });
                server.kill()
            }
            Moment::Completing => {
                let path = self.books.unfinished().swap_remove(0);
                let step = self.dice.below(4);
                watch(&server, &path, |names| match step {
                    0 => names.iter().any(|name| !name.starts_with('.')),
                    1 => names.iter().any(|name| name == "report.json"),
                    2 => names.iter().any(|name| name == "manifest.json"),
                    _ => is_whole(names),
                });
                self.dice.pass(2_000);
                server.kill()
            }
            Moment::Ended => {
                let path = self.dice.pick(&self.books.unfinished());
                let answer = server.ended(&path, &[]);
                self.books.seen(&server, &path, &answer);
                server.kill()
            }
            Moment::Deleting => {
                let known = [self.books.unfinished(), self.books.completed()].concat();
                let path = self.dice.pick(&known);
                let stream = begin(&server, "DELETE", &path);
                self.dice.pass(3_000);
                let home = server.kill();
                self.books.deleted(&path, heard(stream).0 == 202);
                home
            }
            Moment::Downloading => {
                if self.books.completed().is_empty() {
                    let path = self.dice.pick(&self.books.unfinished());
                    let answer = server.ended(&path, &[]);
                    self.books.seen(&server, &path, &answer);
                }
                let Some(path) = self.books.completed().pop() else { return server.kill() };
                let manifest = server.manifest(&path);
                let files = manifest["output"].as_array().unwrap();
                let largest = files.iter().max_by_key(|file| file["fileSize"].as_u64()).unwrap();
                let path = largest["url"].as_str().unwrap().strip_prefix(&server.base).unwrap().to_owned();
                let mut stream = begin(&server, "GET", &path);
                let mut some = vec![0; 4_096 + self.dice.below(largest["fileSize"].as_u64().unwrap() as usize / 2)];
                stream.read_exact(&mut some).unwrap();
                let head = some.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
                self.cut = Some(Cut { path, begun: some.split_off(head) });
                server.kill()
            }
            Moment::Draining => {
                server.signal("-TERM");
                self.dice.pass(20_000);
                server.kill()
            }
        }
    }

    fn kick_off(&mut self, server: &Server) {
        let ask = self.dice.pick(ASKS);
        let path = server.kick_off(ask).strip_prefix(&server.base).unwrap().to_owned();
        self.books.accepted(&path, ask);
    }

    /// Goes on with a download that was cut.
    fn resume(&mut self, server: &Server) {
        let Some(Cut { path, mut begun }) = self.cut.take() else { return };
        let whole = server.get(&path);
        let rest = server.get_with(&path, &[("Range", &format!("bytes={}-", begun.len()))]);
        assert_eq!((whole.status, rest.status), (200, 206), "{path}");
        begun.extend(rest.body);
        assert!(begun == whole.body, "{path}: another file than before");
    }
}

/// Sends a request whose answer may never come.
fn begin(server: &Server, method: &str, path: &str) -> TcpStream {
    let mut stream = server.connect();
    let request = format!("{method} {}{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", server.prefix());
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Status and head of an answer as far as it came; 0 when it did not.
fn heard(mut stream: TcpStream) -> (u16, String) {
    let mut bytes = Vec::new();
    // The connection ends with the server.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match text.split_once("\r\n\r\n") {
        Some((head, _)) => (head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap(), head.to_owned()),
        None => (0, String::new()),
    }
}

/// Looks at the files of a job until they are as wanted.
fn watch(server: &Server, path: &str, wanted: impl Fn(&[String]) -> bool) {
    let directory = server.home.path().join("state/jobs").join(path.rsplit('/').next().unwrap());
    let deadline = Instant::now() + PATIENCE;
    while !wanted(&names(&directory)) {
        assert!(Instant::now() < deadline, "nothing happens: {}", server.log());
        thread::yield_now();
    }
}

/// Names of what is in a directory; of none when there is none.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Whether everything of an export is there but its record.
fn is_whole(names: &[String]) -> bool {
    names.iter().any(|name| name == "manifest.json") && !names.iter().any(|name| name.starts_with('.'))
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == ending)
}
