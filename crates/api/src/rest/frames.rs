//! The pieces of a streamed body: small text is gathered, large objects are passed on as the cache holds them.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};

/// From this size on, an object's own bytes become a frame: below it, copying costs less than another frame does.
const SHARED_BYTES_MIN: usize = 16 << 10;

/// A growing sequence of frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    done: Vec<Bytes>,
    open: BytesMut,
}

impl Frames {
    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.open.put_slice(bytes);
    }

    /// Adds an object's JSON text, without copying it when it is large.
    pub(super) fn shared(&mut self, json: &Bytes) {
        if json.len() < SHARED_BYTES_MIN {
            self.open.put_slice(json);
        } else {
            self.close();
            self.done.push(json.clone());
        }
    }

    /// Adds anything as JSON text.
    ///
    /// # Errors
    /// When the value cannot be JSON.
    pub(super) fn json(&mut self, value: &impl serde::Serialize) -> serde_json::Result<()> {
        serde_json::to_writer(self, value)
    }

    /// What has been added since the last call.
    pub(super) fn take(&mut self) -> Vec<Bytes> {
        self.close();
        std::mem::take(&mut self.done)
    }

    /// The same as one piece.
    pub(super) fn into_bytes(mut self) -> Bytes {
        let frames = self.take();
        match <[Bytes; 1]>::try_from(frames) {
            Ok([only]) => only,
            Err(frames) => frames.concat().into(),
        }
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.done.push(self.open.split().freeze());
        }
    }
}

impl io::Write for &mut Frames {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.open.put_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_objects_are_not_copied() {
        let large = Bytes::from(vec![b'x'; SHARED_BYTES_MIN]);
        let mut frames = Frames::default();
        frames.text("[");
        frames.shared(&Bytes::from_static(b"small"));
        frames.shared(&large);
        frames.text("]");
        let taken = frames.take();
        assert_eq!(taken.len(), 3);
        assert_eq!(taken[0], "[small");
        assert_eq!(taken[1].as_ptr(), large.as_ptr());
        assert!(frames.take().is_empty());
    }
}
