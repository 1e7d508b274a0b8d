//! What the other end of a stream may send, whoever it is.

use bytes::{Buf, Bytes};
use keelson_fuzzing::fuzz;
use keelson_proto::keelson::node::v1::session_frame::Frame as Wire;
use keelson_proto::keelson::node::v1::{Data, Resize, SessionEnd, SessionFrame};
use prost::Message;
use tokio::sync::mpsc;

use crate::{DATA_BYTES_MAX, Frame, Sessions, WINDOW_BYTES};

fn wires() -> Vec<Wire> {
    vec![
        Wire::Data(Data { stream: 1, data: Bytes::from_static(b"ls\n"), last: false }),
        Wire::Data(Data { stream: 2, data: vec![7; 300].into(), last: false }),
        Wire::Data(Data { stream: 3, data: Bytes::new(), last: true }),
        Wire::Resize(Resize { columns: 80, rows: 24 }),
        Wire::End(SessionEnd { exit_code: -1, error: String::new() }),
        Wire::End(SessionEnd { exit_code: 0, error: "gone".to_owned() }),
    ]
}

fn message(wire: Wire) -> SessionFrame {
    SessionFrame { session_id: 1, frame: Some(wire) }
}

#[test]
fn a_frame_that_is_read_is_bounded_and_written_as_it_was() {
    let seeds = wires().into_iter().map(|wire| message(wire).encode_to_vec()).collect();
    fuzz!(keelson_fuzzing::Bytes::new(seeds, &[]), |bytes| {
        let Ok(SessionFrame { frame: Some(wire), .. }) = SessionFrame::decode(bytes.as_slice()) else { return false };
        let Some(frame) = Frame::from_wire(wire) else { return false };
        if let Frame::Data(_, data) = &frame {
            assert!(data.len() <= DATA_BYTES_MAX);
        }
        assert_eq!(Frame::from_wire(frame.to_wire()), Some(frame));
        true
    });
}

#[test]
fn no_frames_make_more_wait_than_a_window_and_nothing_follows_an_end() {
    let delimited = |wires: Vec<Wire>| -> Vec<u8> {
        wires.into_iter().flat_map(|wire| message(wire).encode_length_delimited_to_vec()).collect()
    };
    let large = Wire::Data(Data { stream: 2, data: vec![0; DATA_BYTES_MAX - 64].into(), last: false });
    let seeds = vec![delimited(wires()), delimited(vec![large]), delimited(vec![Wire::Credit(1)])];
    fuzz!(keelson_fuzzing::Bytes::new(seeds, &[]), |bytes| {
        let (outgoing, mut told) = mpsc::channel(4);
        let end = Sessions::new(outgoing, |frame| frame, 1);
        let (_sender, mut receiver) = end.open(1).expect("has room");
        let mut rest = bytes.as_slice();
        let mut frames = 0;
        while rest.has_remaining()
            && let Ok(frame) = SessionFrame::decode_length_delimited(&mut rest)
        {
            frames += 1;
            end.receive(frame);
        }
        let waiting: Vec<Frame> = std::iter::from_fn(|| receiver.try_next()).collect();
        assert!(waiting.iter().map(Frame::cost).sum::<usize>() <= WINDOW_BYTES);
        let ends = waiting.iter().position(|frame| matches!(frame, Frame::End(_)));
        assert!(ends.is_none_or(|at| at + 1 == waiting.len()), "{waiting:?}");
        assert!(told.try_recv().is_err() || ends.is_some(), "whoever is told of a fault has lost the session");
        frames > 0
    });
}
