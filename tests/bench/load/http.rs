//! The same request, or the same socket message, again and again.

use crate::Wish;
use crate::measure::{Figures, Talk, closed_loop};
use crate::wire::{Wire, bad, message, request};
use std::io::Result;

struct Requests {
    wire: Wire,
    request: Vec<u8>,
    entries: u64,
    body: Vec<u8>,
}

impl Talk for Requests {
    async fn once(&mut self) -> Result<u64> {
        self.wire.send(&self.request).await?;
        match self.wire.response(&mut self.body).await? {
            200..300 => Ok(self.entries),
            status => Err(bad(format!("answered with {status}: {}", String::from_utf8_lossy(&self.body)))),
        }
    }
}

pub fn authorization(wish: &Wish) -> String {
    match wish.text("token") {
        "" => String::new(),
        token => format!("Authorization: {token}\r\n"),
    }
}

/// `POST`s of `bytes` times `entries`, of which the other side is told only the bytes.
pub async fn requests(wish: &Wish) -> Result<Figures> {
    let entries = wish.number("entries", 1);
    let request = request("POST", wish.text("path"), &authorization(wish), &wish.body().repeat(entries as usize));
    let mut talks = Vec::new();
    for _ in 0..wish.connections() {
        let wire = Wire::connect(wish.text("address")).await?;
        talks.push(Requests { wire, request: request.clone(), entries, body: Vec::new() });
    }
    closed_loop(talks, wish.seconds()).await
}

struct Echo {
    wire: Wire,
    message: Vec<u8>,
}

impl Talk for Echo {
    async fn once(&mut self) -> Result<u64> {
        self.wire.send(&self.message).await?;
        self.wire.message().await?;
        Ok(1)
    }
}

/// Socket messages, each answered with one.
pub async fn socket_echo(wish: &Wish) -> Result<Figures> {
    let message = message(&wish.body());
    let mut talks = Vec::new();
    for _ in 0..wish.connections() {
        let mut wire = Wire::connect(wish.text("address")).await?;
        wire.upgrade(wish.text("path"), &authorization(wish)).await?;
        talks.push(Echo { wire, message: message.clone() });
    }
    closed_loop(talks, wish.seconds()).await
}
