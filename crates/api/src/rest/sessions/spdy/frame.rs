//! Frames as bytes.
//!
//! ```text
//! control: 1 | version (15) | type (16) | flags (8) | length (24) | …
//! data:    0 | stream (31)              | flags (8) | length (24) | …
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::Error;
use super::headers::{Decoder as HeaderDecoder, Encoder as HeaderEncoder, Headers};

const VERSION: u16 = 3;
const HEAD_BYTES: usize = 8;
const CONTROL: u32 = 1 << 31;
const FLAG_FIN: u8 = 1;
/// Control frames carry headers and little else.
const CONTROL_BYTES_MAX: usize = 32 << 10;
/// A frame of data has 24 bits of length.
const DATA_BYTES_MAX: usize = (1 << 24) - 1;

/// What a client sends. Pieces of one long frame of data come one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Open {
        stream: u32,
        last: bool,
        headers: Headers,
    },
    Data {
        stream: u32,
        last: bool,
        data: Bytes,
    },
    Reset {
        stream: u32,
    },
    Ping {
        id: u32,
    },
    GoAway,
    /// Settings, replies and the like, which mean nothing here.
    Other,
}

/// Reads a client's bytes.
pub(super) struct Decoder {
    headers: HeaderDecoder,
    /// The rest of a frame of data whose beginning was read: stream, bytes left, whether it is the stream's last.
    data: Option<(u32, usize, bool)>,
}

impl Decoder {
    pub(super) fn new() -> Decoder {
        Decoder { headers: HeaderDecoder::new(), data: None }
    }

    /// The next frame in `buffer`, None when it needs more bytes.
    ///
    /// # Errors
    /// For what is no SPDY/3.1, or too large. Nothing can be read from then on.
    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, Error> {
        if let Some((stream, left, last)) = self.data {
            if buffer.is_empty() {
                return Ok(None);
            }
            let piece = buffer.split_to(left.min(buffer.len())).freeze();
            let left = left - piece.len();
            self.data = (left > 0).then_some((stream, left, last));
            return Ok(Some(Frame::Data { stream, last: last && left == 0, data: piece }));
        }
        if buffer.len() < HEAD_BYTES {
            return Ok(None);
        }
        let mut head = &buffer[..HEAD_BYTES];
        let (first, second) = (head.get_u32(), head.get_u32());
        let last = (second >> 24) as u8 & FLAG_FIN != 0;
        let length = (second & 0x00ff_ffff) as usize;
        if first & CONTROL == 0 {
            buffer.advance(HEAD_BYTES);
            if length == 0 {
                return Ok(Some(Frame::Data { stream: first, last, data: Bytes::new() }));
            }
            self.data = Some((first, length, last));
            return self.decode(buffer);
        }
        let (version, kind) = ((first >> 16) as u16 & 0x7fff, first as u16);
        if version != VERSION {
            return Err(Error::Version(version));
        }
        if length > CONTROL_BYTES_MAX {
            return Err(Error::ControlLength(length));
        }
        if buffer.len() < HEAD_BYTES + length {
            return Ok(None);
        }
        buffer.advance(HEAD_BYTES);
        let body = buffer.split_to(length).freeze();
        self.control(kind, last, body).map(Some)
    }

    fn control(&mut self, kind: u16, last: bool, mut body: Bytes) -> Result<Frame, Error> {
        let cut = |_| Error::Truncated(kind);
        let frame = match kind {
            // SYN_STREAM
            1 => {
                let stream = body.try_get_u32().map_err(cut)? & !CONTROL;
                let _associated = body.try_get_u32().map_err(cut)?;
                let _priority = body.try_get_u16().map_err(cut)?;
                Frame::Open { stream, last, headers: self.headers.decode(&body)? }
            }
            // SYN_REPLY and HEADERS: nothing to learn, but the compression goes on with them.
            2 | 8 => {
                body.try_get_u32().map_err(cut)?;
                self.headers.decode(&body)?;
                Frame::Other
            }
            3 => Frame::Reset { stream: body.try_get_u32().map_err(cut)? & !CONTROL },
            6 => Frame::Ping { id: body.try_get_u32().map_err(cut)? },
            7 => Frame::GoAway,
            _ => Frame::Other,
        };
        Ok(frame)
    }
}

/// Writes what a server sends.
pub(super) struct Encoder {
    headers: HeaderEncoder,
}

impl Encoder {
    pub(super) fn new() -> Encoder {
        Encoder { headers: HeaderEncoder::new() }
    }

    /// The answer to an opened stream.
    pub(super) fn reply(&mut self, stream: u32) -> Bytes {
        let block = self.headers.encode(&Headers::default());
        let mut bytes = control(2, 4 + block.len());
        bytes.put_u32(stream);
        bytes.extend_from_slice(&block);
        bytes.freeze()
    }
}

/// Data of any length, in one frame or several.
pub(super) fn data(stream: u32, last: bool, mut data: Bytes) -> Vec<Bytes> {
    let mut frames = Vec::new();
    loop {
        let piece = data.split_to(data.len().min(DATA_BYTES_MAX));
        let flags = if last && data.is_empty() { u32::from(FLAG_FIN) << 24 } else { 0 };
        let mut head = BytesMut::with_capacity(HEAD_BYTES);
        head.put_u32(stream);
        head.put_u32(flags | u32::try_from(piece.len()).unwrap_or_default());
        frames.extend([head.freeze(), piece]);
        if data.is_empty() {
            return frames;
        }
    }
}

pub(super) fn ping(id: u32) -> Bytes {
    let mut bytes = control(6, 4);
    bytes.put_u32(id);
    bytes.freeze()
}

/// Ends a stream at once.
pub(super) fn reset(stream: u32) -> Bytes {
    const CANCEL: u32 = 5;
    let mut bytes = control(3, 8);
    bytes.put_u32(stream);
    bytes.put_u32(CANCEL);
    bytes.freeze()
}

/// No further streams are taken.
pub(super) fn go_away(last_stream: u32) -> Bytes {
    let mut bytes = control(7, 8);
    bytes.put_u32(last_stream);
    bytes.put_u32(0);
    bytes.freeze()
}

fn control(kind: u16, length: usize) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(HEAD_BYTES + length);
    bytes.put_u32(CONTROL | u32::from(VERSION) << 16 | u32::from(kind));
    bytes.put_u32(u32::try_from(length).unwrap_or_default());
    bytes
}

#[cfg(test)]
mod tests {
    use keelson_fuzzing::fuzz;

    use super::*;

    /// What a client would send to open a stream.
    fn open(encoder: &mut HeaderEncoder, stream: u32, headers: &Headers) -> BytesMut {
        let block = encoder.encode(headers);
        let mut bytes = control(1, 10 + block.len());
        bytes.put_u32(stream);
        bytes.put_u32(0);
        bytes.put_u16(0);
        bytes.extend_from_slice(&block);
        bytes
    }

    fn all(decoder: &mut Decoder, buffer: &mut BytesMut) -> Result<Vec<Frame>, Error> {
        let mut frames = Vec::new();
        while let Some(frame) = decoder.decode(buffer)? {
            frames.push(frame);
        }
        Ok(frames)
    }

    fn conversation() -> (BytesMut, Headers) {
        let headers = Headers(vec![("streamtype".to_owned(), "stdin".to_owned())]);
        let mut encoder = HeaderEncoder::new();
        let mut bytes = open(&mut encoder, 1, &headers);
        bytes.extend_from_slice(&open(&mut encoder, 3, &headers));
        for piece in data(1, true, Bytes::from_static(b"hello")) {
            bytes.extend_from_slice(&piece);
        }
        bytes.extend_from_slice(&ping(7));
        bytes.extend_from_slice(&reset(3));
        bytes.extend_from_slice(&go_away(0));
        (bytes, headers)
    }

    #[test]
    fn frames_are_read_however_the_bytes_arrive() {
        let (bytes, headers) = conversation();
        for step in 1..bytes.len() {
            let (mut decoder, mut buffer) = (Decoder::new(), BytesMut::new());
            let (mut frames, mut text) = (Vec::new(), Vec::new());
            for piece in bytes.chunks(step) {
                buffer.extend_from_slice(piece);
                for frame in all(&mut decoder, &mut buffer).expect("is SPDY") {
                    match frame {
                        Frame::Data { stream: 1, last, data } => {
                            text.extend_from_slice(&data);
                            assert_eq!(last, text == b"hello");
                        }
                        other => frames.push(other),
                    }
                }
            }
            let opened = |stream| Frame::Open { stream, last: false, headers: headers.clone() };
            let others = [opened(1), opened(3), Frame::Ping { id: 7 }, Frame::Reset { stream: 3 }, Frame::GoAway];
            assert_eq!(frames, others);
            assert_eq!(text, b"hello");
        }
    }

    #[test]
    fn what_is_not_spdy_is_refused_at_once() {
        let refused = |bytes: &[u8]| all(&mut Decoder::new(), &mut BytesMut::from(bytes)).expect_err("is refused");
        assert!(matches!(refused(&[0x80, 2, 0, 1, 0, 0, 0, 0]), Error::Version(2)));
        assert!(matches!(refused(&[0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff]), Error::ControlLength(0xff_ffff)));
        assert!(matches!(refused(&[0x80, 3, 0, 1, 0, 0, 0, 2, 0, 0]), Error::Truncated(1)));
        assert!(matches!(refused(&[0x80, 3, 0, 6, 0, 0, 0, 0]), Error::Truncated(6)));
        let garbage = [&[0x80, 3, 0, 1, 0, 0, 0, 14][..], &[0; 10], b"junk"].concat();
        assert!(matches!(refused(&garbage), Error::Headers(_)));
    }

    #[test]
    fn any_bytes_are_read_alike_in_pieces_and_never_swell() {
        let bomb = Headers(vec![("a".to_owned(), "x".repeat(15 << 10))]);
        let seeds = vec![conversation().0.to_vec(), open(&mut HeaderEncoder::new(), 1, &bomb).to_vec()];
        let words: [&[u8]; 4] = [&[0x80, 3, 0, 1], &[0x80, 3, 0, 8], &[0, 0, 0, 1, 1, 0, 0, 0], &[0, 0xff, 0xff, 0xff]];
        fuzz!(keelson_fuzzing::Bytes::new(seeds, &words), |bytes| {
            let whole = all(&mut Decoder::new(), &mut BytesMut::from(&bytes[..]));
            let (mut decoder, mut buffer) = (Decoder::new(), BytesMut::new());
            let mut pieces: Result<Vec<Frame>, Error> = Ok(Vec::new());
            for piece in bytes.chunks(7) {
                buffer.extend_from_slice(piece);
                pieces = pieces.and_then(|mut before| {
                    before.extend(all(&mut decoder, &mut buffer)?);
                    Ok(before)
                });
            }
            // How much a frame of data brings depends on how it arrived, the sum does not.
            let data = |frames: &[Frame]| -> usize {
                frames.iter().map(|frame| if let Frame::Data { data, .. } = frame { data.len() } else { 0 }).sum()
            };
            let others = |frames: &[Frame]| -> Vec<Frame> {
                frames.iter().filter(|frame| !matches!(frame, Frame::Data { .. })).cloned().collect()
            };
            match (whole, pieces) {
                (Ok(whole), Ok(pieces)) => {
                    assert_eq!((data(&whole), others(&whole)), (data(&pieces), others(&pieces)));
                    assert!(data(&whole) <= bytes.len());
                    true
                }
                (Err(_), Err(_)) => false,
                (whole, pieces) => panic!("{whole:?} at once, {pieces:?} in pieces"),
            }
        });
    }
}
