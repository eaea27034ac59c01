//! Our own socket protocol, spoken by the client's own [`ClientConnection`].

use crate::Wish;
use crate::http::authorization;
use crate::measure::{Figures, Talk, Window, closed_loop};
use crate::wire::{Wire, bad, frame_index, message};
use edgequeue::client::{ClientConnection, Incoming};
use edgequeue::queue::entry::Index;
use edgequeue::wire::PutEntry;
use edgequeue::wire::v1::client::ClientCommand;
use edgequeue::wire::v1::subprotocol::SUBPROTOCOL;
use std::cell::Cell;
use std::io::Result;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A socket on which every request is remembered by the time at which it was sent.
struct Session {
    wire: Wire,
    connection: ClientConnection<Instant>,
}

impl Session {
    async fn open(wish: &Wish, user: u64, window: u64) -> Result<Self> {
        let mut wire = Wire::connect(wish.text("address")).await?;
        let path = format!("{}?_watch_=true&_window_={window}", wish.text("path"));
        let headers = format!(
            "{}Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\nX-EAS-QueueService-Uid: user{user}\r\n",
            authorization(wish)
        );
        wire.upgrade(&path, &headers).await?;
        Ok(Self { wire, connection: ClientConnection::default() })
    }

    async fn ask(&mut self, command: ClientCommand) -> Result<()> {
        let request = self.connection.ask(Instant::now(), command);
        self.wire.send(&message(&request)).await
    }

    /// What the next message says; a refusal is an error.
    async fn next(&mut self) -> Result<Vec<Incoming<Instant>>> {
        let message = self.wire.message().await?.data.into();
        let all = self.connection.receive(message).map_err(|_| bad("no server message"))?;
        let refused = all.iter().find_map(|incoming| match incoming {
            Incoming::Answered(_, answered) if answered.status != 0 => Some(answered),
            _ => None,
        });
        match refused {
            Some(refused) => Err(bad(format!("refused with {}: {}", refused.status, refused.text))),
            None => Ok(all),
        }
    }
}

fn put(wish: &Wish, entries: u64) -> ClientCommand {
    let entry = PutEntry { data: wish.body().into(), ..PutEntry::default() };
    ClientCommand::Put(std::iter::repeat_n(entry, entries as usize).collect(), false)
}

struct Putter {
    session: Session,
    put: ClientCommand,
    entries: u64,
}

impl Talk for Putter {
    async fn once(&mut self) -> Result<u64> {
        self.session.ask(self.put.clone()).await?;
        self.session.next().await?;
        Ok(self.entries)
    }
}

/// Puts with acknowledgement, each connection one after the other.
pub async fn puts(wish: &Wish) -> Result<Figures> {
    let entries = wish.number("entries", 1);
    let mut talks = Vec::new();
    for user in 0..wish.connections() {
        talks.push(Putter { session: Session::open(wish, user, 0).await?, put: put(wish, entries), entries });
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
    let producer = Session::open(wish, 0, 0).await?;
    tokio::task::spawn_local(produce(producer, put(wish, batch), batch, ahead_max, ahead.clone()));
    let mut consumer = Session::open(wish, 1, 1_000).await?;
    let mut figures = Figures::new(window);
    let mut indexes = Vec::new();
    while Instant::now() < window.until {
        for incoming in consumer.next().await? {
            match incoming {
                Incoming::Pushed(frame) => indexes.push(Index(frame_index(&frame))),
                Incoming::Answered(began, _) => {
                    figures.add(window, began, batch);
                    ahead.set(ahead.get().saturating_sub(batch));
                }
            }
        }
        while indexes.len() >= batch as usize {
            let rest = indexes.split_off(batch as usize);
            consumer.ask(ClientCommand::Commit(std::mem::replace(&mut indexes, rest))).await?;
        }
    }
    Ok(figures)
}

/// Puts batches for as long as the socket is there, several under way at once.
async fn produce(
    mut session: Session,
    put: ClientCommand,
    batch: u64,
    ahead_max: u64,
    ahead: Rc<Cell<u64>>,
) -> Result<()> {
    let mut unanswered = 0;
    loop {
        while ahead.get() + batch <= ahead_max && unanswered < 8 {
            ahead.set(ahead.get() + batch);
            unanswered += 1;
            session.ask(put.clone()).await?;
        }
        if unanswered == 0 {
            tokio::time::sleep(Duration::from_micros(200)).await;
            continue;
        }
        unanswered -= session.next().await?.len();
    }
}
