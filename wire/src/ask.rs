//! The asking side: one request out, one reply in. No lock, no allocation, no signal, no child.

use crate::channel::{Channel, PATIENCE_SECONDS};
use crate::fdpass;
use crate::message::{REPLY_SIZE, Reply, Request};
use crate::sys::{self, Patience, RawDescriptor};

/// How long a request that too many descriptors of this user under way keep back waits before it is offered again, in
/// milliseconds: doubled from the one to the other, so that many who wait leave the processor to the helper.
const NAPS: (u16, u16) = (1, 100);

/// Asks the helper behind the channel to bind `socket`.
///
/// `None` where no answer is to be had: the channel is gone, the helper is, or no descriptor is free for the reply.
/// The kernel's own refusal stands then. errno may be anything afterwards.
pub fn ask(channel: &Channel, socket: RawDescriptor, request: &Request) -> Option<Reply> {
    if !channel.is_there() {
        return None;
    }
    // Fresh for each request: many processes and threads share the channel, and no answer may reach the wrong one.
    let (ours, theirs) = sys::pipe().ok()?;
    let mut patience = Patience::of_seconds(PATIENCE_SECONDS);
    offer(channel, request, [theirs.raw(), socket], &mut patience)?;
    // Closed here so that the helper's copy is the last: if it dies, we see the end of the reply channel.
    drop(theirs);
    patience.until_readable(ours.raw()).ok()?;
    let mut reply = [0; REPLY_SIZE];
    let length = sys::read(&ours, &mut reply).ok()?;
    Reply::from_bytes(reply.get(..length)?)
}

fn offer(channel: &Channel, request: &Request, descriptors: [RawDescriptor; 2], patience: &mut Patience) -> Option<()> {
    let bytes = request.to_bytes();
    let (mut nap, longest) = NAPS;
    loop {
        match fdpass::send(channel.descriptor, &bytes, descriptors) {
            Ok(()) => return Some(()),
            // The channel is full: the helper is behind, or was stopped.
            Err(libc::EAGAIN) => patience.until_writable(channel.descriptor).ok()?,
            // unix(7): more descriptors in flight than the user's RLIMIT_NOFILE. They are taken in as we speak.
            Err(libc::ETOOMANYREFS) => {
                patience.nap(nap).ok()?;
                nap = nap.saturating_mul(2).min(longest);
            }
            Err(_) => return None,
        }
    }
}
