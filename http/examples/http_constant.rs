//! A server that answers every request with the same bytes: what there is to compare the service with.
//!
//! `http_constant BYTES` prints its URL and serves until its standard input ends.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use std::error::Error;
use std::io::Read as _;
use tokio::net::TcpListener;

fn main() -> Result<(), Box<dyn Error>> {
    let length = std::env::args().nth(1).ok_or("expected BYTES")?.parse()?;
    let body = Bytes::from(vec![b'x'; length]);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.min(4))
        .enable_all()
        .build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    println!("http://{}", listener.local_addr()?);
    let router = Router::new().fallback(move || {
        let body = body.clone();
        async move { ([(CONTENT_TYPE, "application/octet-stream")], body) }
    });
    runtime.spawn(async { axum::serve(listener, router).await });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
