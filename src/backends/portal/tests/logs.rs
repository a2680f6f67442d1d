//! What the log shows, and what it must not.

use std::io;
use std::sync::{LazyLock, PoisonError};

use tokio::net::TcpListener;
use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use super::*;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    /// Everything that is logged on this thread until the guard is dropped.
    fn listen(&self) -> DefaultGuard {
        // While there is only one dispatcher, a callsite that another test's thread reaches first
        // is switched off for all threads.
        static SECOND: LazyLock<Dispatch> =
            LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));
        LazyLock::force(&SECOND);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .without_time()
            .with_writer(self.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn each_request_is_one_line_for_debugging() {
    let log = Log::default();
    let _guard = log.listen();
    let echo = format!(r#"[{{"id":"{TOKEN}"}}, {{"id":"a b{TOKEN}"}}, "{TOKEN}"]"#);
    let server = ScriptedServer::new([with(502, TOKEN, &[("x", TOKEN)]), answer(200, &echo)]);
    let client = server.client();
    client.offers(&contoso()).await.unwrap();
    client.post(&vm(), &golive()).await.unwrap_err();
    let text = log.text();
    let requests: Vec<_> = text.lines().filter(|line| line.contains(": request ")).collect();
    assert_eq!(requests.len(), 3, "{text}");
    let path = "/api/publishers/contoso/offers";
    for part in ["call=\"list offers\"", "method=GET", path, "status=502", "attempt=1"] {
        assert!(requests[0].contains(part), "{part}: {text}");
    }
    assert!(requests[1].contains("status=200") && requests[1].contains("attempt=2"), "{text}");
    let id = golive().request_id;
    assert!(requests[2].contains(id.as_str()), "{text}");
    assert_eq!(text.matches("is skipped").count(), 3, "{text}");
    assert!(!text.contains("INFO"), "{text}");
    assert!(!text.contains(&TOKEN[..16]) && !text.contains(&TOKEN[40..]), "{text}");
}

#[tokio::test]
async fn the_layers_below_do_not_log_the_token_either() {
    let log = Log::default();
    let _guard = log.listen();
    let server = ScriptedServer::new([answer(200, r#"{"status":"Running"}"#)]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = server.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let transport = Arc::new(HttpTransport::new(&endpoint.parse().unwrap()).unwrap());
    let tokens = Arc::new(EnvToken::new(Some(TOKEN)).unwrap());
    client(&endpoint, transport, tokens, Settings::default()).status(&vm()).await.unwrap();
    assert_eq!(server.received()[0].headers["authorization"], format!("Bearer {TOKEN}"));
    let text = log.text();
    assert!(text.contains(": request "), "{text}");
    assert!(!text.contains(&TOKEN[..16]) && !text.contains(&TOKEN[40..]), "{text}");
}
