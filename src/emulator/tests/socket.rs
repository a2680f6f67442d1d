//! On a socket, in real time but without waiting for it.

use pretty_assertions::assert_eq;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::clock::SystemClock;
use crate::emulator::serve;

struct Server {
    emulator: Emulator,
    address: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

async fn server(seed: &str) -> Server {
    let emulator = Emulator::new(seed_of(seed), Arc::new(SystemClock));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move {
        drop(stopped.await);
    };
    let task = tokio::spawn(serve(emulator.clone(), listener, shutdown));
    Server { emulator, address, stop, task }
}

impl Server {
    /// Sends a request as it is and reads until the connection ends or enough has come.
    async fn exchange(&self, method: &str, path: &str, most: usize) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let request = format!(
            "{method} /api/publishers/{path}?api-version=2017-10-31 HTTP/1.1\r\nHost: {}\r\n\
             Authorization: Bearer t\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let mut chunk = [0; 4096];
        while answer.len() < most {
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(read) => answer.extend_from_slice(&chunk[..read]),
            }
        }
        String::from_utf8(answer).unwrap()
    }

    async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap().unwrap();
    }
}

const MANY: usize = 1 << 20;

#[tokio::test]
async fn a_client_is_served_and_the_server_shuts_down() {
    let server = server("{profile: documented, stepTime: 0s, offers: {contoso/vm: {}}}").await;
    let answer = server.exchange("POST", "contoso/offers/vm/golive", MANY).await;
    assert!(answer.starts_with("HTTP/1.1 202 Accepted\r\n"), "{answer}");
    let absolute = format!("operation-location: http://{}/api/publishers/contoso", server.address);
    assert!(answer.contains(&absolute), "{answer}");
    let answer = server.exchange("GET", "contoso/offers/vm", MANY).await;
    assert!(answer.contains("\"status\":\"Succeeded\""), "{answer}");
    let address = server.address.clone();
    server.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_reset_leaves_not_a_byte() {
    let server = server(
        "{offers: {contoso/vm: {}}, faults: [
           {path: '*/golive', action: {reset: before}}, {path: '*/golive', nth: 2, action: {reset: after}}]}",
    )
    .await;
    for accepted in [0, 1] {
        assert_eq!(server.exchange("POST", "contoso/offers/vm/golive", MANY).await, "");
        assert_eq!(server.emulator.journal().golives("contoso/vm").accepted, accepted);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_cut_body_ends_early_and_an_endless_one_does_not_hold_the_server() {
    let server = server(
        "{offers: {contoso/vm: {}}, faults: [
           {path: '*/vm', action: {cutBody: 12}}, {path: '*/status', action: {endlessBody: true}}]}",
    )
    .await;
    let answer = server.exchange("GET", "contoso/offers/vm", MANY).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.len(), 12, "{answer}");
    assert!(head.contains("content-length: "), "{head}");
    let answer = server.exchange("GET", "contoso/offers/vm/status", MANY).await;
    assert!(answer.len() >= MANY);
    server.stop().await;
}
