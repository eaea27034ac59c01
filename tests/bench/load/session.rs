//! Our own socket protocol.

use crate::Wish;
use crate::http::authorization;
use crate::measure::{Figures, Talk, Window, closed_loop};
use crate::wire::{Wire, bad, frame_index, message};
use edgequeue::queue::entry::Index;
use edgequeue::wire::PutEntry;
use edgequeue::wire::v1::client::{ClientCommand, ClientRequest};
use edgequeue::wire::v1::server::{ServerEvent, events};
use edgequeue::wire::v1::subprotocol::SUBPROTOCOL;
use std::cell::Cell;
use std::collections::VecDeque;
use std::io::Result;
use std::rc::Rc;
use std::time::{Duration, Instant};

async fn open(wish: &Wish, user: u64, window: u64) -> Result<Wire> {
    let mut wire = Wire::connect(wish.text("address")).await?;
    let path = format!("{}?_watch_=true&_window_={window}", wish.text("path"));
    let headers = format!(
        "{}Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\nX-EAS-QueueService-Uid: user{user}\r\n",
        authorization(wish)
    );
    wire.upgrade(&path, &headers).await?;
    Ok(wire)
}

async fn next(wire: &mut Wire) -> Result<Vec<ServerEvent>> {
    let all = events(wire.message().await?.data.into()).map_err(|_| bad("no server message"))?;
    match all.iter().find_map(|said| match said {
        ServerEvent::Answered(answered) if answered.status != 0 => Some(answered),
        _ => None,
    }) {
        Some(refused) => Err(bad(format!("refused with {}: {}", refused.status, refused.text))),
        None => Ok(all),
    }
}

fn put(wish: &Wish, entries: u64) -> Vec<u8> {
    let entry = PutEntry { data: wish.body().into(), ..PutEntry::default() };
    let entries = std::iter::repeat_n(entry, entries as usize).collect();
    let mut out = Vec::new();
    ClientRequest { id: 1, command: ClientCommand::Put(entries, false) }.write(&mut out);
    message(&out)
}

struct Putter {
    wire: Wire,
    message: Vec<u8>,
    entries: u64,
}

impl Talk for Putter {
    async fn once(&mut self) -> Result<u64> {
        self.wire.send(&self.message).await?;
        next(&mut self.wire).await?;
        Ok(self.entries)
    }
}

/// Puts with acknowledgement, each connection one after the other.
pub async fn puts(wish: &Wish) -> Result<Figures> {
    let entries = wish.number("entries", 1);
    let mut talks = Vec::new();
    for user in 0..wish.connections() {
        talks.push(Putter { wire: open(wish, user, 0).await?, message: put(wish, entries), entries });
    }
    closed_loop(talks, wish.seconds()).await
}

/// Batches put by one session, pushed to another, and committed by it in batches. An entry counts when its commit is
/// acknowledged. At most `ahead` entries are put and not committed.
pub async fn flow(wish: &Wish) -> Result<Figures> {
    let window = Window::new(wish.seconds());
    let batch = wish.number("batch", 100);
    let ahead_max = wish.number("ahead", 2_000);
    let ahead = Rc::new(Cell::new(0_u64));
    let mut producer = open(wish, 0, 0).await?;
    let (batch_put, produced) = (put(wish, batch), ahead.clone());
    tokio::task::spawn_local(async move {
        let mut unanswered = 0;
        loop {
            while produced.get() + batch <= ahead_max && unanswered < 8 {
                produced.set(produced.get() + batch);
                unanswered += 1;
                if producer.send(&batch_put).await.is_err() {
                    return;
                }
            }
            if unanswered == 0 {
                tokio::time::sleep(Duration::from_micros(200)).await;
                continue;
            }
            match next(&mut producer).await {
                Ok(all) => unanswered -= all.len(),
                Err(_) => return,
            }
        }
    });
    let mut consumer = open(wish, 1, 1_000).await?;
    let mut figures = Figures::new(window);
    let (mut indexes, mut sent) = (Vec::new(), VecDeque::new());
    while Instant::now() < window.until {
        for said in next(&mut consumer).await? {
            match said {
                ServerEvent::Pushed(frame) => indexes.push(Index(frame_index(&frame))),
                ServerEvent::Answered(_) => {
                    let began: Instant = sent.pop_front().ok_or_else(|| bad("an answer nobody asked for"))?;
                    figures.add(window, began, batch);
                    ahead.set(ahead.get().saturating_sub(batch));
                }
            }
        }
        while indexes.len() >= batch as usize {
            let rest = indexes.split_off(batch as usize);
            let commit = ClientCommand::Commit(std::mem::replace(&mut indexes, rest));
            let mut out = Vec::new();
            ClientRequest { id: 1, command: commit }.write(&mut out);
            sent.push_back(Instant::now());
            consumer.send(&message(&out)).await?;
        }
    }
    Ok(figures)
}
