//! A small connection pooler in the manner of PgBouncer, without TLS and passwords: it lends server sessions to
//! clients, counts what it passes on, and can pretend to be an old server.

use std::{
    collections::VecDeque,
    io::{Read, Result, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use super::database::cluster;

/// For how long a client keeps its server session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lend {
    /// Until it goes.
    ForSession,
    /// Until the end of its transaction; the session used last is lent first (PgBouncer's way).
    ForTransactionLastFirst,
    /// Until the end of its transaction; sessions take turns (`server_round_robin`).
    ForTransactionInTurns,
}

/// A running pooler; it runs as long as the test process.
pub struct Pooler {
    /// On 127.0.0.1.
    pub port: u16,
    /// Bytes passed on to clients.
    pub to_clients: Arc<AtomicU64>,
}

struct Pool {
    lend: Lend,
    dbname: String,
    idle: Mutex<VecDeque<UnixStream>>,
    to_clients: Arc<AtomicU64>,
}

impl Pooler {
    /// Starts a pooler for one database, with `sessions` server sessions open from the start.
    pub fn start(dbname: &str, lend: Lend, sessions: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let to_clients = Arc::new(AtomicU64::new(0));
        let pool =
            Pool { lend, dbname: dbname.to_owned(), idle: Mutex::default(), to_clients: Arc::clone(&to_clients) };
        let open: VecDeque<_> = (0..sessions).map(|_| pool.open().expect("a server session")).collect();
        *pool.idle.lock().expect("nobody failed") = open;
        let pool = Arc::new(pool);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let pool = Arc::clone(&pool);
                thread::spawn(move || drop(pool.serve(client)));
            }
        });
        Self { port, to_clients }
    }

    /// Connection settings through the pooler.
    pub fn dsn(&self, dbname: &str) -> String {
        format!("host=127.0.0.1 port={} user=postgres dbname={dbname}", self.port)
    }
}

/// A type byte (absent in the first message of a client) and the body.
fn message(from: &mut impl Read, typed: bool) -> Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    let start = usize::from(!typed);
    from.read_exact(&mut head[start..])?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    let mut body = vec![0; length - 4];
    from.read_exact(&mut body)?;
    Ok((head[0], body))
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = if kind == 0 { Vec::new() } else { vec![kind] };
    bytes.extend((body.len() as u32 + 4).to_be_bytes());
    bytes.extend(body);
    bytes
}

impl Pool {
    fn open(&self) -> Result<UnixStream> {
        let cluster = cluster();
        let mut server = UnixStream::connect(cluster.dir.join(format!(".s.PGSQL.{}", cluster.port)))?;
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        body.extend(format!("user\0postgres\0database\0{}\0client_encoding\0UTF8\0\0", self.dbname).bytes());
        server.write_all(&packet(0, &body))?;
        while message(&mut server, true)?.0 != b'Z' {}
        Ok(server)
    }

    fn borrow(&self) -> Result<UnixStream> {
        let mut idle = self.idle.lock().expect("nobody failed");
        let next = if self.lend == Lend::ForTransactionLastFirst { idle.pop_back() } else { idle.pop_front() };
        next.map_or_else(|| self.open(), Ok)
    }

    fn serve(&self, mut client: TcpStream) -> Result<()> {
        loop {
            let (_, body) = message(&mut client, false)?;
            match body[..4] {
                [0, 3, 0, 0] => break,
                // TLS is asked for: no. A cancel request: not for us.
                [4, 210, 22, 47] => client.write_all(b"N")?,
                _ => return Ok(()),
            }
        }
        let hello = [
            packet(b'R', &[0; 4]),
            packet(b'S', b"server_version\0999\0"),
            packet(b'K', &[0, 0, 0, 1, 0, 0, 0, 1]),
            packet(b'Z', b"I"),
        ];
        client.write_all(&hello.concat())?;

        let mut lent: Option<UnixStream> = None;
        loop {
            let (kind, body) = message(&mut client, true)?;
            if kind == b'X' {
                return Ok(());
            }
            let mut server = match lent.take() {
                Some(server) => server,
                None => self.borrow()?,
            };
            server.write_all(&packet(kind, &body))?;
            // A query or the end of a pipeline: answers up to the next "ready".
            let mut idle = false;
            if matches!(kind, b'Q' | b'S') {
                loop {
                    let (kind, body) = message(&mut server, true)?;
                    let bytes = packet(kind, &body);
                    client.write_all(&bytes)?;
                    self.to_clients.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    if kind == b'Z' {
                        idle = body == b"I";
                        break;
                    }
                }
            }
            if idle && self.lend != Lend::ForSession {
                self.idle.lock().expect("nobody failed").push_back(server);
            } else {
                lent = Some(server);
            }
        }
    }
}
