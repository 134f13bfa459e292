//! A server: `tokio` tasks pass requests and answers through channels; what one makes another frees.

use blockyard_cli::installed::ProgramSize;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

use super::Job;

struct Request {
    body: Vec<u8>,
    headers: Vec<(String, String)>,
    answer: oneshot::Sender<String>,
}

/// Clients at the same time.
const CLIENTS: usize = 64;
/// Tasks that answer.
const SHARDS: usize = 8;

pub(crate) fn job(size: ProgramSize) -> Job {
    let requests = size.of(1_000, 5_000);
    Box::new(move || {
        let runtime = Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
        runtime.block_on(async move {
            let shards: Vec<_> = (0..SHARDS)
                .map(|_| {
                    let (sender, receiver) = mpsc::channel(64);
                    tokio::spawn(serve(receiver));
                    sender
                })
                .collect();
            let clients: Vec<_> =
                (0..CLIENTS).map(|client| tokio::spawn(ask(client, requests, shards.clone()))).collect();
            drop(shards);
            let mut answer = 0;
            for client in clients {
                answer += client.await.expect("a client");
            }
            answer
        })
    })
}

async fn serve(mut requests: mpsc::Receiver<Request>) {
    while let Some(request) = requests.recv().await {
        // A task for each, as most servers have it.
        tokio::spawn(async move {
            let sum: u64 = request.body.iter().map(|&byte| u64::from(byte)).sum();
            let headers: Vec<String> =
                request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let answer = format!("HTTP/1.1 200 OK\r\n{}\r\n{sum}", headers.concat());
            // A client that has gone needs no answer.
            let _ = request.answer.send(answer);
        });
    }
}

async fn ask(client: usize, requests: usize, shards: Vec<mpsc::Sender<Request>>) -> u64 {
    let mut rng = fastrand::Rng::with_seed(client as u64);
    let mut total = 0;
    for number in 0..requests {
        let (answer, answered) = oneshot::channel();
        let body = (0..rng.usize(16..2_000)).map(|at| at as u8).collect();
        let headers = (0..rng.usize(2..10))
            .map(|at| (format!("x-header-{at}"), format!("value {client} {number}")))
            .collect();
        let shard = &shards[rng.usize(..SHARDS)];
        shard.send(Request { body, headers, answer }).await.expect("a shard");
        total += answered.await.expect("an answer").len() as u64;
    }
    total
}
