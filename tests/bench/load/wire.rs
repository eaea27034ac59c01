//! Bytes over one TCP connection: just enough HTTP/1.1, WebSocket, RESP and NATS to be no bottleneck.

use std::io::{Error, ErrorKind, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where unread bytes begin.
    at: usize,
}

/// A WebSocket message.
pub struct Message {
    pub opcode: u8,
    pub data: Vec<u8>,
}

pub fn bad(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidData, what.into())
}

impl Wire {
    pub async fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(1 << 16), at: 0 })
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await
    }

    async fn more(&mut self) -> Result<()> {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(bad("the connection was closed")),
            _ => Ok(()),
        }
    }

    /// The next `count` bytes.
    pub async fn take(&mut self, count: usize) -> Result<&[u8]> {
        while self.buffer.len() - self.at < count {
            self.more().await?;
        }
        self.at += count;
        Ok(&self.buffer[self.at - count..self.at])
    }

    /// Up to and including the next end of line; returned without it.
    pub async fn line(&mut self) -> Result<&[u8]> {
        let mut seen = 0;
        loop {
            let unread = &self.buffer[self.at..];
            if let Some(end) = unread[seen..].iter().position(|byte| *byte == b'\n').map(|end| end + seen) {
                let start = self.at;
                self.at += end + 1;
                return Ok(self.buffer[start..start + end].trim_ascii_end());
            }
            seen = unread.len();
            self.more().await?;
        }
    }

    /// One HTTP response: its status; the body is left in `body`.
    pub async fn response(&mut self, body: &mut Vec<u8>) -> Result<u16> {
        let status = self.line().await?;
        let status = status.get(9..12).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        let status: u16 = status.ok_or_else(|| bad("no HTTP status"))?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            let line = String::from_utf8_lossy(line).to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(|_| bad("no Content-Length"))?;
            }
            chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
        }
        body.clear();
        if status == 101 {
            return Ok(status);
        }
        if !chunked {
            body.extend_from_slice(self.take(length).await?);
            return Ok(status);
        }
        loop {
            let size = String::from_utf8_lossy(self.line().await?).into_owned();
            let size = usize::from_str_radix(size.trim(), 16).map_err(|_| bad("no chunk size"))?;
            body.extend_from_slice(self.take(size).await?);
            self.line().await?;
            if size == 0 {
                return Ok(status);
            }
        }
    }

    /// Makes a WebSocket of a fresh connection.
    pub async fn upgrade(&mut self, path: &str, headers: &str) -> Result<()> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{headers}\r\n"
        );
        self.send(request.as_bytes()).await?;
        let mut body = Vec::new();
        match self.response(&mut body).await? {
            101 => Ok(()),
            status => Err(bad(format!("the upgrade was answered with {status}: {}", String::from_utf8_lossy(&body)))),
        }
    }

    /// The next whole WebSocket message; pings are passed over.
    pub async fn message(&mut self) -> Result<Message> {
        let mut whole = Message { opcode: 0, data: Vec::new() };
        loop {
            let head = self.take(2).await?;
            let (first, second) = (head[0], head[1]);
            let length = match second & 127 {
                126 => u64::from(u16::from_be_bytes(self.take(2).await?.try_into().expect("two bytes"))),
                127 => u64::from_be_bytes(self.take(8).await?.try_into().expect("eight bytes")),
                length => u64::from(length),
            };
            let data = self.take(length as usize).await?;
            match first & 15 {
                8 => {
                    let code = data.get(..2).map_or(0, |code| u16::from(code[0]) << 8 | u16::from(code[1]));
                    let reason = String::from_utf8_lossy(data.get(2..).unwrap_or_default());
                    return Err(bad(format!("the socket was closed: {code} {reason}")));
                }
                9 | 10 => continue,
                opcode => whole.opcode |= opcode,
            }
            whole.data.extend_from_slice(data);
            if first & 128 != 0 {
                return Ok(whole);
            }
        }
    }
}

/// An HTTP request that keeps its connection.
pub fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: bench\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A binary WebSocket message. The mask is zero: it protects proxies, and there is none.
pub fn message(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 14);
    out.push(0x82);
    match data.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(data);
    out
}

/// The index of an encoded frame: its first field.
pub fn frame_index(frame: &[u8]) -> u64 {
    if frame.first() != Some(&8) {
        return 0;
    }
    let bytes = frame.iter().skip(1);
    let mut index = 0;
    for (shift, byte) in (0..).step_by(7).zip(bytes) {
        index |= u64::from(byte & 127) << shift;
        if byte & 128 == 0 {
            break;
        }
    }
    index
}
