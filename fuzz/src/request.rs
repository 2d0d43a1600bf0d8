//! The frame of a request: what is taken is what docs/protocol.md says, and reads as it was written.

use rauthbind_wire::PROTOCOL;
use rauthbind_wire::address::{LONGEST, RawAddress};
use rauthbind_wire::message::{REQUEST_SIZE, Request};

/// The input is a frame, and the address in one.
pub fn check(input: &[u8]) {
    let read = Request::from_bytes(input);
    assert_eq!(read.map(|request| request.address.as_bytes().to_vec()), address_in(input));
    if let Some(request) = read {
        let written = request.to_bytes();
        let (frame, padding) = written.split_at(8 + request.address.as_bytes().len());
        assert!(input.starts_with(frame) && padding.iter().all(|byte| *byte == 0));
        assert_eq!(Request::from_bytes(&written), Some(request));
    }
    if let Some(address) = RawAddress::new(input) {
        let request = Request { address };
        assert_eq!(Request::from_bytes(&request.to_bytes()), Some(request));
    }
}

/// By the table of the document: mark, protocol, length, address.
fn address_in(frame: &[u8]) -> Option<Vec<u8>> {
    let length = usize::from(u16::from_ne_bytes([*frame.get(6)?, *frame.get(7)?]));
    let taken = frame.len() == REQUEST_SIZE
        && frame[..4] == *b"rab?"
        && frame[4..6] == PROTOCOL.to_ne_bytes()
        && length <= LONGEST;
    taken.then(|| frame[8..8 + length].to_vec())
}
