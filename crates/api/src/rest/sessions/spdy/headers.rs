//! Header blocks: names and values, compressed by one zlib stream for all frames of a direction.

use bytes::{Buf, Bytes};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::Error;
use super::dictionary::dictionary;

/// A block after decompression. A few short headers are what clients send.
const BLOCK_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;

/// Names, in small letters, with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Headers(pub Vec<(String, String)>);

impl Headers {
    pub(in super::super) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// Reads the blocks of one direction, in order.
pub(super) struct Decoder {
    zlib: Decompress,
}

impl Decoder {
    pub(super) fn new() -> Decoder {
        Decoder { zlib: Decompress::new(true) }
    }

    /// # Errors
    /// For what is no block, or too large a one. The direction is unreadable from then on.
    pub(super) fn decode(&mut self, compressed: &[u8]) -> Result<Headers, Error> {
        parse(self.inflate(compressed)?.into())
    }

    fn inflate(&mut self, mut compressed: &[u8]) -> Result<Vec<u8>, Error> {
        let mut block = Vec::with_capacity(1024);
        loop {
            if block.len() == block.capacity() {
                block.reserve(1024);
            }
            let (read, made) = (self.zlib.total_in(), block.len());
            let outcome = self.zlib.decompress_vec(compressed, &mut block, FlushDecompress::Sync);
            let taken = usize::try_from(self.zlib.total_in() - read).unwrap_or(usize::MAX);
            compressed = compressed.get(taken..).unwrap_or_default();
            if block.len() > BLOCK_BYTES_MAX {
                return Err(Error::Headers("they are too large"));
            }
            match outcome {
                Ok(Status::StreamEnd) => return Err(Error::Headers("their compression ends")),
                Ok(_) if compressed.is_empty() && block.len() < block.capacity() => return Ok(block),
                Ok(_) if taken == 0 && block.len() == made && block.len() < block.capacity() => {
                    return Err(Error::Headers("their compression does not go on"));
                }
                Ok(_) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    let fits = self.zlib.set_dictionary(&dictionary());
                    fits.map_err(|_| Error::Headers("they are compressed by another dictionary"))?;
                }
                Err(_) => return Err(Error::Headers("they are not compressed by zlib")),
            }
        }
    }
}

fn parse(mut block: Bytes) -> Result<Headers, Error> {
    let count = number(&mut block)?;
    if count > HEADERS_MAX {
        return Err(Error::Headers("there are too many"));
    }
    let mut headers = Headers::default();
    for _ in 0..count {
        let name = text(&mut block)?;
        headers.0.push((name, text(&mut block)?));
    }
    if block.has_remaining() { Err(Error::Headers("something follows them")) } else { Ok(headers) }
}

fn number(block: &mut Bytes) -> Result<usize, Error> {
    let number = block.try_get_u32().map_err(|_| Error::Headers("they are cut short"))?;
    usize::try_from(number).map_err(|_| Error::Headers("a length is too large"))
}

fn text(block: &mut Bytes) -> Result<String, Error> {
    let length = number(block)?;
    if length > block.remaining() {
        return Err(Error::Headers("they are cut short"));
    }
    String::from_utf8(block.split_to(length).into()).map_err(|_| Error::Headers("they are not UTF-8"))
}

/// Writes the blocks of one direction, in order.
pub(super) struct Encoder {
    zlib: Compress,
}

impl Encoder {
    pub(super) fn new() -> Encoder {
        let mut zlib = Compress::new(Compression::fast(), true);
        // Without it the stream says that it has none, which readers understand as well.
        let _ = zlib.set_dictionary(&dictionary());
        Encoder { zlib }
    }

    pub(super) fn encode(&mut self, headers: &Headers) -> Vec<u8> {
        let mut block = Vec::new();
        let number = |block: &mut Vec<u8>, length: usize| {
            block.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        };
        number(&mut block, headers.0.len());
        for text in headers.0.iter().flat_map(|(name, value)| [name, value]) {
            number(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
        let mut compressed = Vec::with_capacity(block.len() + 64);
        let mut left = block.as_slice();
        loop {
            let read = self.zlib.total_in();
            let _ = self.zlib.compress_vec(left, &mut compressed, FlushCompress::Sync);
            left = left.get(usize::try_from(self.zlib.total_in() - read).unwrap_or(usize::MAX)..).unwrap_or_default();
            // All is flushed when there is room to spare.
            if left.is_empty() && compressed.len() < compressed.capacity() {
                return compressed;
            }
            compressed.reserve(256);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        Headers(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn blocks_follow_one_another_in_one_stream() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        for number in 0..200 {
            let sent = headers(&[("streamtype", "data"), ("port", "80"), ("requestid", &number.to_string())]);
            assert_eq!(decoder.decode(&encoder.encode(&sent)).expect("is a block"), sent);
        }
        assert_eq!(decoder.decode(&encoder.encode(&headers(&[]))).expect("is a block"), headers(&[]));
    }

    #[test]
    fn a_block_that_swells_is_refused() {
        let bomb = headers(&[("a", &"x".repeat(BLOCK_BYTES_MAX))]);
        let compressed = Encoder::new().encode(&bomb);
        assert!(compressed.len() < 1024);
        assert!(matches!(Decoder::new().decode(&compressed), Err(Error::Headers("they are too large"))));
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let block = |bytes: &[u8]| parse(Bytes::copy_from_slice(bytes));
        assert!(block(&[0, 0, 0]).is_err());
        assert!(block(&[0xff; 4]).is_err());
        assert!(block(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(block(&[0, 0, 0, 1, 0, 0, 0, 1, b'a', 0, 0, 0, 1]).is_err());
        assert!(block(&[0, 0, 0, 0, 1]).is_err());
        assert!(block(&[0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0, 0, 0, 0]).is_err());
        assert!(block(&[0, 0, 0, 0]).is_ok());
    }
}
