//! A watch over REST: one JSON document a line.

use std::io::BufRead as _;

use bytes::{Bytes, BytesMut};
use h2::RecvStream;

use super::{Failure, rest};

/// An open watch. Dropping it ends the watch.
pub struct Lines {
    answer: RecvStream,
    buffer: Buffer,
}

impl Lines {
    pub(super) fn new(answer: RecvStream) -> Self {
        Self { answer, buffer: Buffer::default() }
    }

    /// The lines that came together, at least one; none when the server has ended the watch in order.
    ///
    /// # Errors
    /// When the watch broke off.
    pub async fn next(&mut self) -> Result<Vec<Bytes>, Failure> {
        loop {
            let lines = self.buffer.take_lines();
            if !lines.is_empty() {
                return Ok(lines);
            }
            match rest::next_chunk(&mut self.answer).await? {
                Some(chunk) => self.buffer.bytes.extend_from_slice(&chunk),
                None if self.buffer.bytes.is_empty() => return Ok(Vec::new()),
                None => return Err(Failure::Connection("the watch broke off within an event".to_owned())),
            }
        }
    }
}

/// What came and is not a whole line yet.
#[derive(Default)]
struct Buffer {
    bytes: BytesMut,
    /// So many of them have no end of a line.
    searched: usize,
}

impl Buffer {
    /// Cuts all whole lines off, without their ends.
    fn take_lines(&mut self) -> Vec<Bytes> {
        let mut lines = Vec::new();
        loop {
            let mut rest = &self.bytes[self.searched..];
            // A slice is read without errors.
            let searched = rest.skip_until(b'\n').unwrap_or(0);
            self.searched += searched;
            if searched == 0 || self.bytes[self.searched - 1] != b'\n' {
                return lines;
            }
            let mut line = self.bytes.split_to(self.searched);
            line.truncate(self.searched - 1);
            lines.push(line.freeze());
            self.searched = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_wherever_the_chunks_are() {
        let mut buffer = Buffer::default();
        let mut lines = Vec::new();
        for chunk in ["{\"a\"", ":1}", "\n{}\n\n", "x", "yz\n", "rest"] {
            buffer.bytes.extend_from_slice(chunk.as_bytes());
            lines.extend(buffer.take_lines());
        }
        assert_eq!(lines, ["{\"a\":1}", "{}", "", "xyz"]);
        assert_eq!((buffer.bytes.len(), buffer.searched), (4, 4));
    }
}
