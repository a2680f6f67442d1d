//! The HTTP form, in real time, against servers on this machine.

use std::io::Write;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

fn transport(endpoint: &str) -> HttpTransport {
    HttpTransport::new(&endpoint.parse().unwrap()).unwrap()
}

fn get(url: &str) -> http::Request<Bytes> {
    http::Request::get(url).body(Bytes::new()).unwrap()
}

/// A server that reads one request and answers with these bytes, for each connection.
async fn raw_server(answer: Vec<u8>, after: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&answer).await;
            after(stream);
        }
    });
    endpoint
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let server = ScriptedServer::new([with(307, "there", &[("location", "/elsewhere")])]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = server.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let response = transport(&endpoint).send(get(&endpoint)).await.unwrap();
    assert_eq!((response.status().as_u16(), response.body().as_ref()), (307, b"there".as_slice()));
    assert_eq!(response.headers()["location"], "/elsewhere");
    let seen = server.received();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].headers["user-agent"], concat!("golive/", env!("CARGO_PKG_VERSION")));
    assert_eq!(seen[0].headers["accept-encoding"], "gzip");
    assert!(!seen[0].headers.contains_key("referer"));
}

#[tokio::test]
async fn a_gzip_bomb_is_bounded() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1024 * 1024];
    for _ in 0..64 {
        encoder.write_all(&zeros).unwrap();
    }
    let body = encoder.finish().unwrap();
    assert!(body.len() < 100_000);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let endpoint = raw_server([head.into_bytes(), body].concat(), drop).await;
    let error = transport(&endpoint).send(get(&endpoint)).await.unwrap_err();
    assert!(matches!(error, TransportError::TooLong), "{error:?}");
}

#[tokio::test]
async fn a_refused_connection_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = transport(&endpoint).send(get(&endpoint)).await.unwrap_err();
    assert!(matches!(error, TransportError::NotSent { .. }), "{error:?}");
}

#[tokio::test]
async fn a_failed_handshake_is_not_sent() {
    let endpoint = raw_server(b"HTTP/1.1 400 No TLS here\r\n\r\n".to_vec(), drop).await;
    let endpoint = endpoint.replace("http://", "https://");
    let error = transport(&endpoint).send(get(&endpoint)).await.unwrap_err();
    assert!(matches!(error, TransportError::NotSent { .. }), "{error:?}");
}

#[tokio::test]
async fn a_reset_or_a_cut_is_lost() {
    let reset = |stream: TcpStream| stream.set_zero_linger().unwrap();
    for answer in [
        b"".to_vec(),
        b"HTTP/1.1 200 OK\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut".to_vec(),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab".to_vec(),
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nsoup".to_vec(),
        b"no HTTP at all\r\n\r\n".to_vec(),
    ] {
        for after in [reset, drop] {
            let endpoint = raw_server(answer.clone(), after).await;
            let error = transport(&endpoint).send(get(&endpoint)).await.unwrap_err();
            let lost = matches!(error, TransportError::Lost { .. } | TransportError::Cut { .. });
            assert!(lost, "{error:?}");
        }
    }
}

#[tokio::test]
async fn in_process_a_broken_body_is_lost_and_a_long_one_bounded() {
    let broken = futures_util::stream::iter([
        Ok(Bytes::from_static(b"{\"a\":")),
        Err(std::io::Error::other("cut")),
    ]);
    let long =
        futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![0; 4096])));
    let server = ScriptedServer::new([
        Response::new(Body::from_stream(broken)),
        Response::new(Body::from_stream(long)),
        dropped(),
    ]);
    let transport = InProcessTransport::new(server.router());
    let url = "http://localhost/x";
    let error = transport.send(get(url)).await.unwrap_err();
    assert!(matches!(error, TransportError::Cut { .. }), "{error:?}");
    let error = transport.send(get(url)).await.unwrap_err();
    assert!(matches!(error, TransportError::TooLong), "{error:?}");
    let error = transport.send(get(url)).await.unwrap_err();
    assert!(matches!(error, TransportError::Lost { .. }), "{error:?}");
}
