//! What an EAS client does: single puts over HTTP, a watch, commits over HTTP in batches.

use crate::Wish;
use crate::http::authorization;
use crate::measure::{Figures, Window};
use crate::wire::{Wire, bad, frame_index, request};
use std::cell::Cell;
use std::io::Result;
use std::rc::Rc;
use std::time::Instant;

/// Most entries that are put and not committed: keeps the queue short, so that latency means something.
const AHEAD_MAX: u64 = 2_000;

/// Puts by `connections`, pushed to one watcher, committed in `batch`es. Counts what is committed.
pub async fn flow(wish: &Wish) -> Result<Figures> {
    let window = Window::new(wish.seconds());
    let headers = authorization(wish);
    let path = wish.text("path").to_owned();
    let mut watch = Wire::connect(wish.text("address")).await?;
    watch.upgrade(&format!("{path}?_watch_=true&_window_=1000"), &headers).await?;
    let ahead = Rc::new(Cell::new(0_u64));
    let put = request("POST", &path, &headers, &wish.body());
    for _ in 0..wish.connections() {
        let mut wire = Wire::connect(wish.text("address")).await?;
        let (put, ahead) = (put.clone(), ahead.clone());
        tokio::task::spawn_local(async move {
            let mut body = Vec::new();
            loop {
                if ahead.get() >= AHEAD_MAX {
                    tokio::time::sleep(std::time::Duration::from_micros(200)).await;
                    continue;
                }
                ahead.set(ahead.get() + 1);
                let sent = wire.send(&put).await.is_ok();
                if !sent || !matches!(wire.response(&mut body).await, Ok(200)) {
                    return;
                }
            }
        });
    }
    let mut committer = Wire::connect(wish.text("address")).await?;
    let (mut figures, mut body) = (Figures::new(window), Vec::new());
    let batch = wish.number("batch", 100) as usize;
    let (mut indexes, mut began) = (Vec::new(), Instant::now());
    while Instant::now() < window.until {
        let message = watch.message().await?;
        if indexes.is_empty() {
            began = Instant::now();
        }
        indexes.push(frame_index(&message.data).to_string());
        if indexes.len() < batch {
            continue;
        }
        let commit = request("PUT", &format!("{path}?_indexes_={}", indexes.join(",")), &headers, b"");
        committer.send(&commit).await?;
        match committer.response(&mut body).await? {
            200 => figures.add(window, began, indexes.len() as u64),
            status => return Err(bad(format!("a commit was answered with {status}"))),
        }
        ahead.set(ahead.get().saturating_sub(indexes.len() as u64));
        indexes.clear();
    }
    Ok(figures)
}
