//! The service's page on a socket.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::page_server::PageServer;

/// Sends bytes, and reads until the connection closes.
async fn exchange(server: &PageServer, bytes: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The server may reset the connection.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn head_requests_have_no_body_and_unknown_hosts_are_refused() {
    let server = PageServer::with_offers(5).await;
    let head = "HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = exchange(&server, head).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    for host in ["Host: evil.example\r\n", "", "Host: localhost\r\nHost: localhost\r\n"] {
        let request = format!("GET / HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
        let answer = exchange(&server, &request).await;
        assert!(answer.starts_with("HTTP/1.1 421"), "{host}: {answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn request_heads_are_limited() {
    let server = PageServer::start().await;
    let long = format!("GET /?q={} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(100_000));
    let answer = exchange(&server, &long).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "a: b\r\n".repeat(200));
    let answer = exchange(&server, &many).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn shutdown_is_quick_with_open_connections() {
    let server = PageServer::with_offers(5).await;
    let mut streams = Vec::new();
    for path in ["/events", "/events?offer=contoso/backup-vault", "/"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_u8().await.unwrap();
        streams.push(stream);
    }
    // A connection without a request.
    streams.push(TcpStream::connect(server.address).await.unwrap());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let address = server.address;
    #[expect(clippy::disallowed_methods, reason = "it is the real time that counts")]
    let began = Instant::now();
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let mut rest = Vec::new();
    streams[0].read_to_end(&mut rest).await.unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("event: hello"));
    assert!(TcpStream::connect(address).await.is_err());
}
