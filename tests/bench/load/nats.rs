//! NATS JetStream.

use crate::Wish;
use crate::measure::{Figures, Talk, Window, closed_loop};
use crate::wire::{Wire, bad};
use std::io::Result;
use std::time::{Duration, Instant};

/// A connection with an inbox of its own.
struct Nats {
    wire: Wire,
    inbox: String,
}

/// A message that came in.
struct Incoming {
    reply: String,
    data: Vec<u8>,
    has_status: bool,
}

fn publish(subject: &str, reply: &str, data: &[u8]) -> Vec<u8> {
    [format!("PUB {subject} {reply} {}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

impl Nats {
    async fn connect(wish: &Wish, number: u64) -> Result<Self> {
        let mut wire = Wire::connect(wish.text("address")).await?;
        wire.line().await?;
        let inbox = format!("_INBOX.{}.{number}", std::process::id());
        let hello = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}}\r\n\
             SUB {inbox} 1\r\n"
        );
        wire.send(hello.as_bytes()).await?;
        Ok(Self { wire, inbox })
    }

    async fn message(&mut self) -> Result<Incoming> {
        loop {
            let line = String::from_utf8_lossy(self.wire.line().await?).into_owned();
            let words: Vec<&str> = line.split(' ').collect();
            match words.first().copied().unwrap_or_default() {
                "PING" => self.wire.send(b"PONG\r\n").await?,
                kind @ ("MSG" | "HMSG") => {
                    let number = |at: usize| words.get(words.len() - at).and_then(|word| word.parse::<usize>().ok());
                    let length = number(1).ok_or_else(|| bad("no length"))?;
                    let head = if kind == "HMSG" { number(2).unwrap_or(0) } else { 0 };
                    let reply_at = if kind == "HMSG" { 5 } else { 4 };
                    let reply = if words.len() > reply_at { words[3].to_owned() } else { String::new() };
                    let data = self.wire.take(length).await?[head..].to_vec();
                    self.wire.take(2).await?;
                    return Ok(Incoming { reply, data, has_status: head > 0 });
                }
                "-ERR" => return Err(bad(line)),
                _ => {}
            }
        }
    }

    /// A request to the JetStream API.
    async fn ask(&mut self, subject: &str, question: &str) -> Result<()> {
        self.wire.send(&publish(subject, &self.inbox, question.as_bytes())).await?;
        let answer = self.message().await?;
        let text = String::from_utf8_lossy(&answer.data).into_owned();
        if answer.has_status || text.contains("\"error\"") && !text.contains("not found") {
            return Err(bad(format!("{subject}: {text}")));
        }
        Ok(())
    }

    /// An empty stream with one consumer.
    async fn make_stream(&mut self) -> Result<()> {
        self.ask("$JS.API.STREAM.DELETE.bench", "").await?;
        let stream =
            r#"{"name":"bench","subjects":["bench"],"storage":"file","retention":"workqueue","num_replicas":1}"#;
        self.ask("$JS.API.STREAM.CREATE.bench", stream).await?;
        let consumer = concat!(
            r#"{"stream_name":"bench","config":"#,
            r#"{"durable_name":"one","ack_policy":"explicit","max_ack_pending":10000}}"#
        );
        self.ask("$JS.API.CONSUMER.DURABLE.CREATE.bench.one", consumer).await
    }
}

struct Publisher {
    nats: Nats,
    message: Vec<u8>,
}

impl Talk for Publisher {
    async fn once(&mut self) -> Result<u64> {
        self.nats.wire.send(&self.message).await?;
        let answer = self.nats.message().await?;
        match answer.data.windows(5).any(|window| window == b"\"seq\"") {
            true => Ok(1),
            false => Err(bad(String::from_utf8_lossy(&answer.data))),
        }
    }
}

/// One publish with acknowledgement after the other.
pub async fn put(wish: &Wish) -> Result<Figures> {
    Nats::connect(wish, 0).await?.make_stream().await?;
    let mut talks = Vec::new();
    for number in 1..=wish.connections() {
        let nats = Nats::connect(wish, number).await?;
        let message = publish("bench", &nats.inbox, &wish.body());
        talks.push(Publisher { nats, message });
    }
    closed_loop(talks, wish.seconds()).await
}

/// Batches of 100: published in a pipeline by one connection; fetched, then acknowledged one by one by another, the
/// last acknowledgement with an answer.
pub async fn flow(wish: &Wish) -> Result<Figures> {
    let window = Window::new(wish.seconds());
    let mut nats = Nats::connect(wish, 0).await?;
    nats.make_stream().await?;
    let batch = wish.number("batch", 100);
    let mut producer = Nats::connect(wish, 1).await?;
    let puts = publish("bench", &producer.inbox, &wish.body()).repeat(batch as usize);
    let producing = tokio::task::spawn_local(async move {
        while Instant::now() < window.until {
            producer.wire.send(&puts).await?;
            for _ in 0..batch {
                producer.message().await?;
            }
        }
        Ok::<(), std::io::Error>(())
    });
    let next = publish(
        "$JS.API.CONSUMER.MSG.NEXT.bench.one",
        &nats.inbox,
        format!(r#"{{"batch":{batch},"expires":200000000}}"#).as_bytes(),
    );
    let mut figures = Figures::new(window);
    while Instant::now() < window.until {
        let began = Instant::now();
        nats.wire.send(&next).await?;
        let mut replies = Vec::new();
        while (replies.len() as u64) < batch {
            let message = tokio::time::timeout(Duration::from_secs(5), nats.message()).await??;
            if message.has_status {
                break;
            }
            replies.push(message.reply);
        }
        let Some((last, others)) = replies.split_last() else { continue };
        let mut acknowledge: Vec<u8> = others.iter().flat_map(|reply| publish(reply, "", b"+ACK")).collect();
        acknowledge.extend_from_slice(&publish(last, &nats.inbox, b"+ACK"));
        nats.wire.send(&acknowledge).await?;
        nats.message().await?;
        figures.add(window, began, replies.len() as u64);
    }
    producing.await.expect("a task does not panic")?;
    Ok(figures)
}
