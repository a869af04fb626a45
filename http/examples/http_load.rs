//! Asks a server for keys, over several connections at once, and prints how many requests a second it has answered.
//!
//! `http_load URL get|put CONNECTIONS REQUESTS KEYS BYTES`: gets are of random keys `key00000000` to KEYS, puts of new keys
//! with random bytes. Every answer must be one of success, and that of a get have BYTES bytes.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::net::TcpStream;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Clone)]
struct Work {
    url: Uri,
    method: Method,
    requests: u64,
    keys: u64,
    bytes: usize,
    next: Arc<AtomicU64>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, method, connections, requests, keys, bytes] = arguments.as_slice() else {
        return Err("expected URL get|put CONNECTIONS REQUESTS KEYS BYTES".into());
    };
    let work = Work {
        url: url.parse()?,
        method: match method.as_str() {
            "get" => Method::GET,
            "put" => Method::PUT,
            other => return Err(format!("{other} is neither get nor put").into()),
        },
        requests: requests.parse()?,
        keys: keys.parse()?,
        bytes: bytes.parse()?,
        next: Arc::default(),
    };
    let mut connected = Vec::new();
    for _ in 0..connections.parse::<usize>()? {
        connected.push(connect(&work).await?);
    }
    let start = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for connection in connected {
        running.spawn(ask(connection, work.clone()));
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let rate = work.requests as f64 / start.elapsed().as_secs_f64();
    println!("{rate}");
    Ok(())
}

async fn connect(work: &Work) -> Result<http1::SendRequest<Full<Bytes>>, Failure> {
    let authority = work.url.authority().ok_or("the URL has no host")?;
    let stream = TcpStream::connect(authority.as_str()).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(mut sender: http1::SendRequest<Full<Bytes>>, work: Work) -> Result<(), Failure> {
    let host = work
        .url
        .authority()
        .map_or("", |host| host.as_str())
        .to_owned();
    loop {
        let number = work.next.fetch_add(1, Ordering::Relaxed);
        if number >= work.requests {
            return Ok(());
        }
        let (key, body) = if work.method == Method::GET {
            (random(number) % work.keys, Bytes::new())
        } else {
            (work.keys + number, random_bytes(number, work.bytes))
        };
        let request = Request::builder()
            .method(&work.method)
            .uri(format!("/api/v1/kv/key{key:08}"))
            .header("host", &host)
            .body(Full::new(body))?;
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let wrong = work.method == Method::GET && body.len() != work.bytes;
        if !status.is_success() || wrong {
            return Err(format!("key{key:08}: {status}, {} bytes", body.len()).into());
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood).
fn random(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn random_bytes(number: u64, length: usize) -> Bytes {
    let first = number.wrapping_mul(length as u64);
    let words = (0..length.div_ceil(8) as u64).map(|word| random(first + word).to_le_bytes());
    let mut bytes: Vec<u8> = words.flatten().collect();
    bytes.truncate(length);
    Bytes::from(bytes)
}
