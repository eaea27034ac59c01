//! The platform's queues as its simulator plays them: batches in, and a consumer inside that counts what it is given.

use crate::Wish;
use crate::measure::{Figures, Window};
use crate::wire::{Wire, bad, request};
use std::cell::Cell;
use std::io::Result;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Sends batches by `connections`, never more than `ahead` entries before the consumer. Counts what is delivered.
pub async fn flow(wish: &Wish) -> Result<Figures> {
    let window = Window::new(wish.seconds());
    let batch = wish.number("batch", 100);
    let ahead_max = wish.number("ahead", 5_000);
    let put = request("POST", wish.text("path"), "", &wish.body().repeat(batch as usize));
    let count = request("GET", wish.text("path"), "", b"");
    let mut counter = Wire::connect(wish.text("address")).await?;
    let mut body = Vec::new();
    let mut delivered = async || {
        counter.send(&count).await?;
        counter.response(&mut body).await?;
        String::from_utf8_lossy(&body).parse::<u64>().map_err(|_| bad("no count"))
    };
    let before = delivered().await?;
    let (sent, seen) = (Rc::new(Cell::new(before)), Rc::new(Cell::new(before)));
    for _ in 0..wish.connections() {
        let mut wire = Wire::connect(wish.text("address")).await?;
        let (put, sent, seen) = (put.clone(), sent.clone(), seen.clone());
        tokio::task::spawn_local(async move {
            let mut body = Vec::new();
            while Instant::now() < window.until {
                if sent.get() >= seen.get() + ahead_max {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                }
                sent.set(sent.get() + batch);
                let asked = wire.send(&put).await.is_ok();
                if !asked || !matches!(wire.response(&mut body).await, Ok(200)) {
                    return;
                }
            }
        });
    }
    let mut figures = Figures::new(window);
    while Instant::now() < window.until {
        let began = Instant::now();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let count = delivered().await?;
        figures.add(window, began, count - seen.get());
        seen.set(count);
    }
    Ok(figures)
}
