//! The frame of a reply: what is taken is what docs/protocol.md says, and is written as it was read.

use rauthbind_wire::PROTOCOL;
use rauthbind_wire::message::{REPLY_SIZE, Reply};

/// The input is a frame.
pub fn check(input: &[u8]) {
    let read = Reply::from_bytes(input);
    assert_eq!(read.is_some(), is_reply(input));
    if let Some(reply) = read {
        assert_eq!(reply.to_bytes(), input);
    }
}

/// By the tables of the document: mark, protocol, verdict, errno.
fn is_reply(frame: &[u8]) -> bool {
    if frame.len() != REPLY_SIZE || frame[..4] != *b"rab!" || frame[4..6] != PROTOCOL.to_ne_bytes() {
        return false;
    }
    let verdict = u16::from_ne_bytes([frame[6], frame[7]]);
    let errno = i32::from_ne_bytes([frame[8], frame[9], frame[10], frame[11]]);
    match verdict {
        0 | 2 | 4 => errno == 0,
        1 => errno > 0,
        _ => false,
    }
}
