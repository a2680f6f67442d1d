//! Traces for an OpenTelemetry collector.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use crate::test_env::{TOKEN, TestEnv};

/// Receives one request and answers it as a collector does. Returns its head and body.
fn receive(mut stream: TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap()];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    (head, body)
}

#[test]
fn a_collector_receives_each_reconcile_and_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if sender.send(receive(stream)).is_err() {
                return;
            }
        }
    });
    let mut env = TestEnv::in_preview(&["vm"]);
    env.set_env("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}"));
    env.golive("apply --wait --poll 10ms").code(0);
    let (head, body) = received.recv().unwrap();
    assert!(head.starts_with("POST /v1/traces "), "{head}");
    let text = String::from_utf8_lossy(&body);
    for name in ["reconcile", "list offers", "golive", "get operation", "url.path"] {
        assert!(text.contains(name), "{name} is not in {text}");
    }
    assert!(!text.contains(TOKEN) && !head.contains(TOKEN));
}

#[test]
fn tracing_is_off_without_a_collector_and_an_unreachable_one_is_harmless() {
    let mut env = TestEnv::in_preview(&["vm"]);
    env.golive("apply --wait --poll 10ms").code(0);
    env.set_env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    env.golive("apply").code(0);
}
