//! A gateway between the program and the emulator. It speaks raw TCP, so that it can break connections
//! in ways that a router can't.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// The answer that the program gets.
#[derive(Clone, Debug)]
pub(super) enum BadReply {
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, then the others repeatedly, with pauses.
    Endless(Vec<u8>, Vec<u8>, Duration),
    /// These bytes, then a reset.
    Reset(Vec<u8>),
    /// Nothing, while the connection stays open.
    Silence,
}

/// Whether the emulator receives a request with a replaced answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    No,
    Yes,
}

/// Which answers are replaced, and how.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) method: &'static str,
    /// A suffix of the path; with a `*`, a substring.
    pub(super) path: &'static str,
    /// How many requests; the first ones.
    pub(super) times: usize,
    pub(super) arrives: Delivery,
    pub(super) reply: BadReply,
}

impl Rule {
    pub(super) fn new(method: &'static str, path: &'static str, reply: BadReply) -> Self {
        Self { method, path, times: usize::MAX, arrives: Delivery::Yes, reply }
    }

    fn hits(&self, method: &str, path: &str) -> bool {
        let fits = match self.path.strip_suffix('*') {
            Some(part) => path.contains(part),
            None => path.ends_with(self.path),
        };
        self.times > 0 && self.method == method && fits
    }
}

#[derive(Default)]
struct GatewayState {
    rules: Mutex<Vec<Rule>>,
    /// Every request, as `METHOD /path`.
    seen: Mutex<Vec<String>>,
    /// How many answers were replaced.
    hits: AtomicUsize,
}

/// A gateway on its own thread.
pub(super) struct Gateway {
    pub(super) address: SocketAddr,
    state: Arc<GatewayState>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Gateway {
    /// Passes all requests to the server at `behind`, until it has rules.
    pub(super) fn start(behind: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(GatewayState::default());
        let (stop, stopped) = oneshot::channel();
        let thread = {
            let state = Arc::clone(&state);
            std::thread::spawn(move || serve(&runtime, &listener, behind, &state, stopped))
        };
        Self { address, state, stop: Some(stop), thread: Some(thread) }
    }

    /// Sets the rules; the first one that matches a request applies.
    pub(super) fn rules(&self, rules: Vec<Rule>) {
        *self.state.rules.lock().unwrap() = rules;
    }

    /// How many answers were replaced so far.
    pub(super) fn hits(&self) -> usize {
        self.state.hits.load(Ordering::SeqCst)
    }

    /// Every request so far.
    pub(super) fn seen(&self) -> Vec<String> {
        self.state.seen.lock().unwrap().clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn serve(
    runtime: &Runtime,
    listener: &TcpListener,
    behind: SocketAddr,
    state: &Arc<GatewayState>,
    mut stopped: oneshot::Receiver<()>,
) {
    runtime.block_on(async {
        loop {
            tokio::select! {
                _ = &mut stopped => return,
                accepted = listener.accept() => {
                    let state = Arc::clone(state);
                    let (stream, _) = accepted.unwrap();
                    // Ignore clients that disconnect.
                    tokio::spawn(async move { drop(serve_connection(stream, behind, &state).await) });
                }
            }
        }
    });
}

/// Reads one request of a connection and answers it.
async fn serve_connection(
    mut client: TcpStream,
    behind: SocketAddr,
    state: &GatewayState,
) -> std::io::Result<()> {
    let Some((head, body)) = read_request(&mut client).await? else { return Ok(()) };
    let mut words = head.split_whitespace();
    let (method, target) = (words.next().unwrap_or("?"), words.next().unwrap_or("?"));
    let path = target.split('?').next().unwrap_or(target);
    state.seen.lock().unwrap().push(format!("{method} {path}"));
    let rule = {
        let mut rules = state.rules.lock().unwrap();
        let rule = rules.iter_mut().find(|rule| rule.hits(method, path));
        rule.map(|rule| {
            rule.times -= 1;
            state.hits.fetch_add(1, Ordering::SeqCst);
            rule.clone()
        })
    };
    let honest = match &rule {
        Some(Rule { arrives: Delivery::No, .. }) => Vec::new(),
        Some(_) | None => forward(&head, &body, behind).await?,
    };
    match rule.map(|rule| rule.reply) {
        None => client.write_all(&honest).await,
        Some(BadReply::Bytes(bytes)) => client.write_all(&bytes).await,
        Some(BadReply::Endless(head, piece, pause)) => {
            client.write_all(&head).await?;
            loop {
                client.write_all(&piece).await?;
                tokio::time::sleep(pause).await;
            }
        }
        Some(BadReply::Reset(bytes)) => {
            client.write_all(&bytes).await?;
            client.set_zero_linger()
        }
        // Until the client disconnects.
        Some(BadReply::Silence) => client.read_to_end(&mut Vec::new()).await.map(drop),
    }
}

/// A request's head, without its empty line, and body; `None` without a request.
async fn read_request(client: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    let mut body = bytes.split_off(end + 4);
    while body.len() < length.unwrap_or(0) {
        if client.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some((head, body)))
}

/// The emulator's answer, unchanged. `Host`, and so all URLs, are the gateway's.
async fn forward(head: &str, body: &[u8], behind: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(behind).await?;
    let head = format!("{head}\r\nconnection: close\r\n\r\n");
    server.write_all(head.as_bytes()).await?;
    server.write_all(body).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// A listener that must not receive a connection.
pub(super) struct UnusedListener(StdListener);

impl UnusedListener {
    pub(super) fn set() -> Self {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Where a connection would wait.
    #[track_caller]
    pub(super) fn is_untouched(&self) {
        let error = self.0.accept().expect_err("somebody connected");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}
