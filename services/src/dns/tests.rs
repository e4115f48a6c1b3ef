use super::*;
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Answers with the query turned round; "wait" after a while, "none" never.
struct Mirror;

#[async_trait]
impl Respond for Mirror {
    fn respond(&self, query: &[u8], _: SocketAddr, _: Transport, answer: &mut Vec<u8>) -> Verdict {
        match query {
            b"none" => Verdict::Silent,
            b"wait" => Verdict::Waits,
            _ => {
                answer.extend(query.iter().rev());
                Verdict::Answered
            }
        }
    }

    async fn wait(&self, query: &[u8], _: SocketAddr, _: Transport, answer: &mut Vec<u8>) {
        answer.extend_from_slice(query);
    }

    async fn transfer(&self, query: &[u8], _: SocketAddr) -> Option<Vec<Vec<u8>>> {
        (query == b"all").then(|| vec![b"one".to_vec(), b"two".to_vec()])
    }
}

/// A port of the loopback that was free a moment ago.
fn free() -> SocketAddr {
    let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.local_addr().unwrap()
}

async fn started(address: SocketAddr) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let cancel = CancellationToken::new();
    let (sender, mut served) = tokio::sync::watch::channel(false);
    let stop = cancel.clone();
    let task = tokio::spawn(async move {
        let told = |now: Result<(), &io::Error>| {
            sender.send_replace(now.is_ok());
        };
        serve(address, Arc::new(Mirror), told, stop).await;
    });
    let up = tokio::time::timeout(Duration::from_secs(5), served.wait_for(|up| *up)).await;
    up.expect("served within 5 s").unwrap();
    (cancel, task)
}

#[tokio::test]
async fn datagrams_are_answered_at_once_later_or_not() {
    let address = free();
    let (cancel, task) = started(address).await;
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    client.connect(address).await.unwrap();
    for (query, answer) in [("none", None), ("abc", Some("cba")), ("wait", Some("wait"))] {
        client.send(query.as_bytes()).await.unwrap();
        let Some(answer) = answer else { continue };
        let mut buffer = [0; 16];
        let length = tokio::time::timeout(Duration::from_secs(5), client.recv(&mut buffer)).await;
        assert_eq!(&buffer[..length.expect("answered").unwrap()], answer.as_bytes());
    }
    cancel.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_connection_carries_many_queries_and_answers_of_many_messages() {
    let address = free();
    let (cancel, task) = started(address).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for (query, answers) in [("abc", vec!["cba"]), ("wait", vec!["wait"]), ("all", vec!["one", "two"])] {
        stream.write_u16(u16::try_from(query.len()).unwrap()).await.unwrap();
        stream.write_all(query.as_bytes()).await.unwrap();
        for answer in answers {
            let mut buffer = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut buffer).await.unwrap();
            assert_eq!(buffer, answer.as_bytes());
        }
    }
    cancel.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_port_that_another_has_is_waited_for() {
    let other = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = other.local_addr().unwrap();
    let cancel = CancellationToken::new();
    let (sender, mut served) = tokio::sync::watch::channel(None);
    let stop = cancel.clone();
    let task = tokio::spawn(async move {
        let told = |now: Result<(), &io::Error>| {
            sender.send_replace(Some(now.is_ok()));
        };
        serve(address, Arc::new(Mirror), told, stop).await;
    });
    let soon = Duration::from_secs(10);
    tokio::time::timeout(soon, served.wait_for(|up| *up == Some(false))).await.expect("told").unwrap();
    drop(other);
    tokio::time::timeout(soon, served.wait_for(|up| *up == Some(true))).await.expect("told").unwrap();
    cancel.cancel();
    task.await.unwrap();
}
