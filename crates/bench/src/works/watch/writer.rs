//! A writer: puts round the prefixes, each value beginning with the number of its put.

use std::rc::Rc;

use bytes::{BufMut as _, Bytes, BytesMut};
use keelson_proto::etcdserverpb::PutRequest;

use super::super::VALUE_BYTES;
use super::super::keys;
use super::board::Board;
use crate::load::Client;
use crate::wire::{Connection, Failure, Method, frame};

/// Different keys below each prefix.
const KEYS_PER_PREFIX: usize = 100;

/// The prefix of a number.
pub fn prefix(number: usize) -> String {
    format!("/bench/watch/{number:04}/")
}

pub struct Writing {
    connection: Connection,
    board: Rc<Board>,
    padding: Bytes,
}

impl Writing {
    pub fn new(connection: Connection, board: Rc<Board>, number: usize) -> Self {
        let padding = keys::value(&mut keys::random(number), VALUE_BYTES - size_of::<u64>());
        Self { connection, board, padding }
    }
}

impl Client for Writing {
    async fn step(&mut self) -> Result<(), Failure> {
        let number = self.board.send();
        let mut value = BytesMut::with_capacity(VALUE_BYTES);
        value.put_u64(number as u64);
        value.extend_from_slice(&self.padding);
        let key = keys::key(&prefix(number % self.board.prefixes), number / self.board.prefixes % KEYS_PER_PREFIX);
        let put = PutRequest { key, value: value.freeze(), ..PutRequest::default() };
        self.connection.call(Method::Put, frame(&put)).await?;
        self.board.commit(number);
        Ok(())
    }
}
