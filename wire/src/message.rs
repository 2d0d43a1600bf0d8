//! The two frames. Fixed sizes, checked before anything is read. docs/protocol.md has their layout, and the reasons for it.

use crate::PROTOCOL;
use crate::address::{LONGEST, RawAddress};

/// Size of a request in bytes.
pub const REQUEST_SIZE: usize = 8 + LONGEST;

/// Size of a reply in bytes.
pub const REPLY_SIZE: usize = 12;

/// How many descriptors a request carries: first the end to write to of a fresh pipe, the reply channel, then the socket
/// to bind.
pub const REQUEST_DESCRIPTORS: usize = 2;

const REQUEST_MAGIC: [u8; 4] = *b"rab?";
const REPLY_MAGIC: [u8; 4] = *b"rab!";

const BOUND: u16 = 0;
const FAILED: u16 = 1;
const NOT_MY_USER: u16 = 2;
const UNABLE: u16 = 4;

/// "Bind the socket that comes with this to that address."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The address, as the app passed it.
    pub address: RawAddress,
}

impl Request {
    /// The request as it travels.
    pub fn to_bytes(&self) -> [u8; REQUEST_SIZE] {
        let length = u16::try_from(self.address.as_bytes().len()).unwrap_or_default();
        let mut frame = Writer::<REQUEST_SIZE>::new();
        frame.put(&REQUEST_MAGIC);
        frame.put(&PROTOCOL.to_ne_bytes());
        frame.put(&length.to_ne_bytes());
        frame.put(self.address.padded());
        frame.bytes
    }

    /// Reads a request; `None` where size, magic, protocol or length is not what it must be.
    pub fn from_bytes(bytes: &[u8]) -> Option<Request> {
        let mut frame = Reader::new::<REQUEST_SIZE>(bytes, REQUEST_MAGIC)?;
        let length = usize::from(u16::from_ne_bytes(frame.take()?));
        let address = frame.rest.get(..length)?;
        Some(Request { address: RawAddress::new(address)? })
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Reply {
    /// The socket is bound.
    Bound,
    /// It is not, for this errno (never 0).
    Failed(i32),
    /// Nothing was tried: the sender runs under another user id than the helper. Another helper may know it.
    NotMyUser,
    /// It is not, because the helper sees no rules that it may trust, or because its capability counts for nothing in that
    /// network namespace: so it is in a user namespace, for instance. A helper elsewhere may be able to.
    Unable,
}

impl Reply {
    /// The reply as it travels.
    pub fn to_bytes(self) -> [u8; REPLY_SIZE] {
        let (verdict, errno) = match self {
            Reply::Bound => (BOUND, 0),
            Reply::Failed(errno) => (FAILED, errno),
            Reply::NotMyUser => (NOT_MY_USER, 0),
            Reply::Unable => (UNABLE, 0),
        };
        let mut frame = Writer::<REPLY_SIZE>::new();
        frame.put(&REPLY_MAGIC);
        frame.put(&PROTOCOL.to_ne_bytes());
        frame.put(&verdict.to_ne_bytes());
        frame.put(&errno.to_ne_bytes());
        frame.bytes
    }

    /// Reads a reply; `None` where it is none that this version knows.
    pub fn from_bytes(bytes: &[u8]) -> Option<Reply> {
        let mut frame = Reader::new::<REPLY_SIZE>(bytes, REPLY_MAGIC)?;
        let verdict = u16::from_ne_bytes(frame.take()?);
        let errno = i32::from_ne_bytes(frame.take()?);
        match (verdict, errno) {
            (BOUND, 0) => Some(Reply::Bound),
            (FAILED, 1..) => Some(Reply::Failed(errno)),
            (NOT_MY_USER, 0) => Some(Reply::NotMyUser),
            (UNABLE, 0) => Some(Reply::Unable),
            _ => None,
        }
    }
}

struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    fn new() -> Writer<N> {
        Writer { bytes: [0; N], at: 0 }
    }

    fn put(&mut self, field: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.at).zip(field) {
            *to = *from;
        }
        self.at += field.len();
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins to read a frame of exactly `N` bytes: checks size, magic and protocol.
    fn new<const N: usize>(bytes: &'a [u8], magic: [u8; 4]) -> Option<Reader<'a>> {
        let mut frame = Reader { rest: bytes };
        let known = bytes.len() == N && frame.take()? == magic && u16::from_ne_bytes(frame.take()?) == PROTOCOL;
        known.then_some(frame)
    }

    fn take<const M: usize>(&mut self) -> Option<[u8; M]> {
        let (field, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*field)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    extern crate std;
    use std::format;
    use std::ops::Range;
    use std::vec::Vec;

    use super::*;
    use crate::channel::PATIENCE_SECONDS;
    use crate::names;

    const DOCUMENT: &str = include_str!("../../docs/protocol.md");

    /// Where each field stands, by the table below this heading of the document.
    fn layout<const N: usize>(heading: &str) -> [Range<usize>; N] {
        let (_, section) = DOCUMENT.split_once(heading).unwrap();
        let rows = section.lines().skip_while(|line| *line != "|---|---|---|---|").skip(1);
        let rows = rows.take_while(|line| line.starts_with('|')).map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let [start, size] = [cells[1], cells[2]].map(|cell| cell.parse::<usize>().unwrap());
            start..start + size
        });
        rows.collect::<Vec<_>>().try_into().unwrap()
    }

    #[test]
    fn the_document_has_the_layout() {
        let address = [7; 16];
        let request = Request { address: RawAddress::new(&address).unwrap() }.to_bytes();
        let [mark, protocol, length, rest] = layout("\n## Request\n");
        assert_eq!(
            (&request[mark], &request[protocol], &request[length]),
            (&REQUEST_MAGIC[..], &PROTOCOL.to_ne_bytes()[..], &16_u16.to_ne_bytes()[..])
        );
        assert_eq!((rest.len(), rest.end, &request[rest][..16]), (LONGEST, REQUEST_SIZE, &address[..]));

        let reply = Reply::Failed(libc::EACCES).to_bytes();
        let [mark, protocol, verdict, errno] = layout("\n## Reply\n");
        assert_eq!(errno.end, REPLY_SIZE);
        assert_eq!(
            [&reply[mark], &reply[protocol], &reply[verdict], &reply[errno]],
            [&REPLY_MAGIC[..], &PROTOCOL.to_ne_bytes(), &FAILED.to_ne_bytes(), &libc::EACCES.to_ne_bytes()]
        );
    }

    #[test]
    fn the_document_has_the_numbers_and_names() {
        let [request, reply] = [&REQUEST_MAGIC, &REPLY_MAGIC].map(|magic| core::str::from_utf8(magic).unwrap());
        let [once, broker] = [names::ONCE, names::BROKER_ARGUMENT].map(|argument| argument.to_str().unwrap());
        for said in [
            format!("{REQUEST_SIZE} bytes, in one"),
            format!("{REPLY_SIZE} bytes, written"),
            format!("| mark | `{request}` |"),
            format!("| mark | `{reply}` |"),
            format!(": protocol {PROTOCOL}."),
            format!("| protocol | {PROTOCOL} |"),
            format!(": 0 to {LONGEST} |"),
            format!("\n| {BOUND} | bound |"),
            format!("\n| {FAILED} | failed |"),
            format!("\n| {NOT_MY_USER} | not my user |"),
            format!("\n| {UNABLE} | unable |"),
            format!("waits for {PATIENCE_SECONDS} seconds"),
            format!("`{}` is", names::CHANNEL),
            format!("`{} {once}`", names::HELPER),
            format!("to `{}`,", names::BROKER),
            format!("rauthbind-helper {broker}`"),
        ] {
            assert!(DOCUMENT.contains(&said), "docs/protocol.md lacks {said:?}");
        }
    }

    #[test]
    fn a_request_comes_out_as_it_went_in_at_every_length() {
        let bytes: [u8; LONGEST] = core::array::from_fn(|index| u8::try_from(index).unwrap() + 1);
        for length in 0..=LONGEST {
            let request = Request { address: RawAddress::new(&bytes[..length]).unwrap() };
            assert_eq!(Request::from_bytes(&request.to_bytes()), Some(request));
        }
    }

    #[test]
    fn a_request_of_another_size_magic_protocol_or_length_is_none() {
        let good = Request { address: RawAddress::new(&[7; 16]).unwrap() }.to_bytes();
        for size in 0..REQUEST_SIZE {
            assert_eq!(Request::from_bytes(&good[..size]), None, "{size} bytes");
        }
        let longer: [u8; REQUEST_SIZE + 1] = core::array::from_fn(|index| *good.get(index).unwrap_or(&0));
        assert_eq!(Request::from_bytes(&longer), None);
        for index in 0..6 {
            let mut bad = good;
            bad[index] ^= 1;
            assert_eq!(Request::from_bytes(&bad), None, "byte {index} changed");
        }
        for length in [129_u16, 1000, u16::MAX] {
            let mut bad = good;
            bad[6..8].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(Request::from_bytes(&bad), None, "length {length}");
        }
    }

    #[test]
    fn a_reply_comes_out_as_it_went_in() {
        for reply in [
            Reply::Bound,
            Reply::Failed(libc::EACCES),
            Reply::Failed(libc::EADDRINUSE),
            Reply::NotMyUser,
            Reply::Unable,
        ] {
            assert_eq!(Reply::from_bytes(&reply.to_bytes()), Some(reply));
        }
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_none() {
        let good = Reply::Bound.to_bytes();
        for size in 0..REPLY_SIZE {
            assert_eq!(Reply::from_bytes(&good[..size]), None, "{size} bytes");
        }
        for (verdict, errno) in
            [(BOUND, libc::EACCES), (FAILED, 0), (FAILED, -1), (NOT_MY_USER, 1), (UNABLE, 1), (3, 0), (u16::MAX, 0)]
        {
            let mut bad = good;
            bad[6..8].copy_from_slice(&verdict.to_ne_bytes());
            bad[8..].copy_from_slice(&errno.to_ne_bytes());
            assert_eq!(Reply::from_bytes(&bad), None, "verdict {verdict} with errno {errno}");
        }
    }
}
