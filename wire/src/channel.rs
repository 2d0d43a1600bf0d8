//! The pre-opened channel from an app to its helper.
//!
//! One pair of sockets for a whole tree of processes: the launcher keeps one end open for the command and all its
//! descendants and gives the other to the helper. The helper ends when the last holder of the first end is gone.

use core::fmt;
use core::str;

use crate::PROTOCOL;
use crate::sys::{self, Descriptor, RawDescriptor};

/// How long an app waits for room in the channel, and for a reply. Only a helper that was stopped lets it wait at all.
pub(crate) const PATIENCE_SECONDS: u8 = 10;

/// Makes a channel: the apps' end and the helper's, both close-on-exec.
///
/// # Errors
/// The errno of socketpair(2) or setsockopt(2).
pub fn create() -> Result<(Descriptor, Descriptor), i32> {
    let (apps, helper) = sys::seqpacket_pair()?;
    // Before any message can be under way: what is sent earlier comes without credentials and is refused.
    sys::set_pass_credentials(helper.raw())?;
    Ok((apps, helper))
}

/// Where an app finds the channel. [`Display`](fmt::Display) writes it as the environment holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The apps' end.
    pub descriptor: RawDescriptor,
    /// Its inode, because programs close and reuse descriptors that they do not know.
    pub inode: u64,
}

/// What the environment holds instead of a channel that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoChannel {
    /// The launcher speaks this protocol, we do not.
    OtherProtocol(u16),
    /// Not what the launcher writes.
    Malformed,
}

impl Channel {
    /// The channel behind an open descriptor; `None` where that is no socket.
    pub fn behind(descriptor: &Descriptor) -> Option<Channel> {
        Some(Channel { descriptor: descriptor.raw(), inode: sys::socket_inode(descriptor.raw())? })
    }

    /// Reads what the launcher wrote.
    ///
    /// # Errors
    /// [`NoChannel`] where it speaks another protocol or is malformed.
    pub fn parse(text: &[u8]) -> Result<Channel, NoChannel> {
        let mut fields = text.split(|byte| *byte == b':').map(|field| str::from_utf8(field).unwrap_or_default());
        let mut next = || fields.next().ok_or(NoChannel::Malformed);
        match next()?.parse().map_err(|_| NoChannel::Malformed)? {
            PROTOCOL => {}
            other => return Err(NoChannel::OtherProtocol(other)),
        }
        let descriptor = next()?.parse().map_err(|_| NoChannel::Malformed)?;
        let inode = next()?.parse().map_err(|_| NoChannel::Malformed)?;
        match fields.next() {
            None => Ok(Channel { descriptor, inode }),
            Some(_) => Err(NoChannel::Malformed),
        }
    }

    /// Whether the descriptor is still open and still the channel.
    pub fn is_there(&self) -> bool {
        sys::socket_inode(self.descriptor) == Some(self.inode)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{PROTOCOL}:{}:{}", self.descriptor, self.inode)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let channel = Channel { descriptor: 1023, inode: u64::MAX };
        assert_eq!(Channel::parse(channel.to_string().as_bytes()), Ok(channel));
    }

    #[test]
    fn another_protocol_is_told_from_nonsense() {
        assert_eq!(Channel::parse(b"2:1023:5"), Err(NoChannel::OtherProtocol(2)));
        assert_eq!(Channel::parse(b"2:whatever comes then"), Err(NoChannel::OtherProtocol(2)));
        for nonsense in
            ["", ":", "1", "1:", "1:3", "1:3:", "1:3:4:", "1:x:4", "1:3:-4", "x:3:4", "1:3:4\n", "70000:3:4"]
        {
            assert_eq!(Channel::parse(nonsense.as_bytes()), Err(NoChannel::Malformed), "{nonsense:?}");
        }
        assert_eq!(Channel::parse(b"1:\xff:4"), Err(NoChannel::Malformed));
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no SOCK_SEQPACKET")]
    fn a_channel_is_there_until_its_number_means_something_else() {
        let (apps, _helper) = create().unwrap();
        let channel = Channel::behind(&apps).unwrap();
        assert!(channel.is_there());
        assert!(!Channel { inode: channel.inode + 1, ..channel }.is_there());
        assert!(!Channel { descriptor: -1, ..channel }.is_there());
    }
}
