//! Redis Streams.

use crate::Wish;
use crate::measure::{Figures, Talk, Window, closed_loop};
use crate::wire::{Wire, bad};
use std::io::Result;
use std::time::Instant;

const STREAM: &[u8] = b"bench";
const GROUP: &[u8] = b"group";

/// A command as RESP.
fn command(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", parts.len()).into_bytes();
    for part in parts {
        out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// One reply. Its bulk strings are appended to `strings`.
async fn reply(wire: &mut Wire, strings: &mut Vec<Vec<u8>>) -> Result<()> {
    let mut left = 1_u64;
    while left > 0 {
        left -= 1;
        let line = wire.line().await?;
        let kind = *line.first().ok_or_else(|| bad("an empty reply"))?;
        let rest = String::from_utf8_lossy(&line[1..]).into_owned();
        match kind {
            b'+' | b':' => {}
            b'$' | b'*' if rest.starts_with('-') => {}
            b'$' => {
                let length: usize = rest.parse().map_err(|_| bad("no length"))?;
                strings.push(wire.take(length).await?.to_vec());
                wire.take(2).await?;
            }
            b'*' => left += rest.parse::<u64>().map_err(|_| bad("no length"))?,
            _ => return Err(bad(format!("redis says {rest}"))),
        }
    }
    Ok(())
}

async fn ask(wire: &mut Wire, parts: &[&[u8]]) -> Result<()> {
    wire.send(&command(parts)).await?;
    reply(wire, &mut Vec::new()).await
}

struct Add {
    wire: Wire,
    command: Vec<u8>,
}

impl Talk for Add {
    async fn once(&mut self) -> Result<u64> {
        self.wire.send(&self.command).await?;
        reply(&mut self.wire, &mut Vec::new()).await?;
        Ok(1)
    }
}

/// One XADD after the other.
pub async fn put(wish: &Wish) -> Result<Figures> {
    let command = command(&[b"XADD", STREAM, b"*", b"d", &wish.body()]);
    let mut wire = Wire::connect(wish.text("address")).await?;
    ask(&mut wire, &[b"DEL", STREAM]).await?;
    let mut talks = Vec::new();
    for _ in 0..wish.connections() {
        let wire = Wire::connect(wish.text("address")).await?;
        talks.push(Add { wire, command: command.clone() });
    }
    closed_loop(talks, wish.seconds()).await
}

/// Batches of 100: XADD in a pipeline by one connection; XREADGROUP, then XACK and XDEL by another.
pub async fn flow(wish: &Wish) -> Result<Figures> {
    let window = Window::new(wish.seconds());
    let mut wire = Wire::connect(wish.text("address")).await?;
    ask(&mut wire, &[b"DEL", STREAM]).await?;
    ask(&mut wire, &[b"XGROUP", b"CREATE", STREAM, GROUP, b"0", b"MKSTREAM"]).await?;
    let batch = wish.number("batch", 100) as usize;
    let puts = command(&[b"XADD", STREAM, b"*", b"d", &wish.body()]).repeat(batch);
    let mut producer = Wire::connect(wish.text("address")).await?;
    let producing = tokio::task::spawn_local(async move {
        while Instant::now() < window.until {
            producer.send(&puts).await?;
            for _ in 0..batch {
                reply(&mut producer, &mut Vec::new()).await?;
            }
        }
        Ok::<(), std::io::Error>(())
    });
    let count = batch.to_string();
    let read = command(&[
        b"XREADGROUP",
        b"GROUP",
        GROUP,
        b"one",
        b"COUNT",
        count.as_bytes(),
        b"BLOCK",
        b"200",
        b"STREAMS",
        STREAM,
        b">",
    ]);
    let mut figures = Figures::new(window);
    while Instant::now() < window.until {
        let began = Instant::now();
        wire.send(&read).await?;
        let mut strings = Vec::new();
        reply(&mut wire, &mut strings).await?;
        // Name of the stream, then id, field, value for each entry.
        let ids: Vec<&[u8]> = strings.iter().skip(1).step_by(3).map(Vec::as_slice).collect();
        if ids.is_empty() {
            continue;
        }
        let acknowledge = command(&[&[b"XACK".as_slice(), STREAM, GROUP], ids.as_slice()].concat());
        let delete = command(&[&[b"XDEL".as_slice(), STREAM], ids.as_slice()].concat());
        wire.send(&[acknowledge, delete].concat()).await?;
        reply(&mut wire, &mut Vec::new()).await?;
        reply(&mut wire, &mut Vec::new()).await?;
        figures.add(window, began, ids.len() as u64);
    }
    producing.await.expect("a task does not panic")?;
    Ok(figures)
}
