//! One connection that speaks `edgequeue.v1`: requests go out, answers and pushed entries come in.
//!
//! **Values in, values out: no socket, no clock.** A [`ClientConnection`] gives every request an id, remembers what the
//! request is for (`P`, chosen by the user), and finds that again when the answer arrives.
//!
//! 1. [`ClientConnection::ask`] turns a command into a message to send.
//! 2. [`ClientConnection::receive`] reads a message: entries that were pushed, and answers with the purpose of their
//!    request.
//! 3. [`ClientConnection::abandon`] ends it when the socket is gone: the purposes of requests that will get no answer.

use crate::wire::proto::fields::Malformed;
use crate::wire::v1::client::{ClientCommand, ClientRequest};
use crate::wire::v1::server::{ServerAnswer, ServerEvent, events};
use alloc::vec::Vec;
use bytes::Bytes;

/// Something that a service said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming<P> {
    /// The answer to the request with this purpose.
    Answered(P, ServerAnswer),
    /// An entry was pushed: an encoded `DataFrameProto`.
    Pushed(Bytes),
}

/// The client's end of a connection.
#[derive(Debug)]
pub struct ClientConnection<P> {
    /// Id of the newest request. Ids begin with 1: the protocol answers a request with id 0 only when it is refused.
    last_id: u64,
    /// Requests without an answer, oldest first.
    asked: Vec<(u64, P)>,
}

impl<P> Default for ClientConnection<P> {
    fn default() -> Self {
        Self { last_id: 0, asked: Vec::new() }
    }
}

impl<P> ClientConnection<P> {
    /// A message that asks for `command`. Messages of several calls may be sent together by joining their bytes.
    pub fn ask(&mut self, purpose: P, command: ClientCommand) -> Vec<u8> {
        self.last_id += 1;
        self.asked.push((self.last_id, purpose));
        let mut message = Vec::new();
        ClientRequest { id: self.last_id, command }.write(&mut message);
        message
    }

    /// Reads a message. An answer to a request that was never made is skipped.
    pub fn receive(&mut self, message: Bytes) -> Result<Vec<Incoming<P>>, Malformed> {
        let incoming = |event| match event {
            ServerEvent::Pushed(frame) => Some(Incoming::Pushed(frame)),
            ServerEvent::Answered(answered) => {
                // Services answer in order, so the first one is nearly always the one.
                let at = self.asked.iter().position(|(id, _)| *id == answered.id)?;
                let (_, purpose) = self.asked.remove(at);
                Some(Incoming::Answered(purpose, answered))
            }
        };
        Ok(events(message)?.into_iter().filter_map(incoming).collect())
    }

    /// The connection is gone: what its unanswered requests were for, oldest first.
    pub fn abandon(self) -> impl Iterator<Item = P> {
        self.asked.into_iter().map(|(_, purpose)| purpose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::entry::Index;
    use crate::wire::v1::{client::requests, server::ServerMessage};
    use alloc::vec;

    /// The ids of the requests in a message.
    fn ids(message: Vec<u8>) -> Vec<u64> {
        requests(message.into()).expect("a client message").into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn answers_find_what_was_asked_in_any_order() {
        let mut connection = ClientConnection::default();
        let first = ids(connection.ask("window", ClientCommand::Window(5)));
        let second = ids(connection.ask("commit", ClientCommand::Commit(vec![Index(1)])));
        assert_eq!((first.as_slice(), second.as_slice()), (&[1][..], &[2][..]));

        let mut message = ServerMessage::default();
        for id in [2, 9] {
            message.answer(&ServerAnswer { id, status: 400, ..ServerAnswer::default() });
        }
        message.frame(b"entry");
        let incoming = connection.receive(message.0.into()).expect("a server message");
        let refused = ServerAnswer { id: 2, status: 400, ..ServerAnswer::default() };
        let pushed = Incoming::Pushed(Bytes::from_static(b"entry"));
        assert_eq!(incoming, [Incoming::Answered("commit", refused), pushed], "9 was never asked");

        assert_eq!(connection.abandon().collect::<Vec<_>>(), ["window"]);
    }
}
