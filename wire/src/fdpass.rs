//! One message with descriptors (SCM_RIGHTS) and the sender's credentials (SCM_CREDENTIALS), there and back: unix(7).

use core::ffi::{c_int, c_uint};
use core::mem::{self, MaybeUninit};
use core::ptr;

use crate::message::{REQUEST_DESCRIPTORS, REQUEST_SIZE};
use crate::sys::{Descriptor, RawDescriptor, again_when_interrupted};

/// A descriptor of the sending process (linux/socket.h, since Linux 6.5); missing in the libc crate.
const SCM_PIDFD: c_int = 4;

const RIGHTS: usize = REQUEST_DESCRIPTORS * size_of::<RawDescriptor>();

/// Ancillary data of a request on its way out.
#[repr(C)]
struct RightsOut {
    header: libc::cmsghdr,
    descriptors: [RawDescriptor; REQUEST_DESCRIPTORS],
}

/// Room for exactly what a good request brings: the kernel drops descriptors beyond it and says so by MSG_CTRUNC.
const CONTROL_IN: usize = space(size_of::<libc::ucred>()) + space(RIGHTS);

#[repr(C, align(8))]
struct ControlIn([MaybeUninit<u8>; CONTROL_IN]);

/// Who sent a message, by the kernel's word, in the receiver's namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Process id; 0 where the sender's is not visible from here.
    pub pid: libc::pid_t,
    /// Real user id, unless the sender chose another of its own ids, or has CAP_SETUID.
    pub uid: libc::uid_t,
    /// The same of the group id, and CAP_SETGID.
    pub gid: libc::gid_t,
}

/// One message as it came in.
#[derive(Debug)]
pub struct Received {
    bytes: [u8; REQUEST_SIZE],
    length: usize,
    /// The descriptors in the sender's order, close-on-exec.
    pub descriptors: [Option<Descriptor>; REQUEST_DESCRIPTORS],
    /// `None` where the kernel gave no credentials.
    pub sender: Option<Sender>,
    /// Whether bytes, descriptors or other ancillary data beyond what a request has were dropped.
    pub cut: bool,
}

impl Received {
    /// The bytes of the message, at most [`REQUEST_SIZE`].
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Whether this is no message but the end: every holder of the other end is gone. An empty message has credentials.
    pub fn is_end(&self) -> bool {
        self.length == 0 && self.sender.is_none()
    }
}

/// Sends one message with descriptors, which stay the caller's. Never waits (EAGAIN), never raises SIGPIPE. No
/// cancellation point.
pub fn send(
    channel: RawDescriptor,
    bytes: &[u8; REQUEST_SIZE],
    descriptors: [RawDescriptor; REQUEST_DESCRIPTORS],
) -> Result<(), c_int> {
    // SAFETY: all-zero bytes are a valid cmsghdr and msghdr: integers and null pointers (some C libraries have padding
    // fields, so that they cannot be written as literals).
    let (mut control, mut message): (RightsOut, libc::msghdr) = unsafe { (mem::zeroed(), mem::zeroed()) };
    control.header.cmsg_level = libc::SOL_SOCKET;
    control.header.cmsg_type = libc::SCM_RIGHTS;
    control.header.cmsg_len = field(mem::offset_of!(RightsOut, descriptors) + RIGHTS)?;
    control.descriptors = descriptors;
    // The kernel only reads what an outgoing iovec points to; the field is mutable for recvmsg's sake.
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = field(1)?;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = field(size_of::<RightsOut>())?;
    again_when_interrupted(|| {
        // SAFETY: `message` points to one iovec and one control block, both alive here and with their true lengths. By
        // syscall(2), because libc's sendmsg is a cancellation point.
        unsafe {
            libc::syscall(libc::SYS_sendmsg, channel, &raw const message, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
        }
    })
    .map(drop)
}

/// Receives one message; waits for it. Every descriptor that came with it is in the result, so that none can leak.
pub fn receive(channel: RawDescriptor) -> Result<Received, c_int> {
    let mut control = ControlIn([MaybeUninit::uninit(); CONTROL_IN]);
    let mut received = Received {
        bytes: [0; REQUEST_SIZE],
        length: 0,
        descriptors: [const { None }; REQUEST_DESCRIPTORS],
        sender: None,
        cut: false,
    };
    let mut part = libc::iovec { iov_base: received.bytes.as_mut_ptr().cast(), iov_len: REQUEST_SIZE };
    // SAFETY: as in `send`.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = field(1)?;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = field(CONTROL_IN)?;
    received.length = again_when_interrupted(|| {
        // SAFETY: `message` points to one iovec and one control block, both alive here, writable and with their true
        // lengths; the kernel stays within them.
        unsafe { libc::syscall(libc::SYS_recvmsg, channel, &raw mut message, libc::MSG_CMSG_CLOEXEC) }
    })?;
    received.cut = message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    // SAFETY: recvmsg filled `message`, whose control block is still alive; the CMSG macros stay within
    // `msg_controllen`, and each header they give is one that the kernel wrote with its data behind it.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while let Some(found) = header.as_ref() {
            let data = libc::CMSG_DATA(header);
            match (found.cmsg_level, found.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    let length = field::<usize, _>(found.cmsg_len)?.saturating_sub(libc::CMSG_LEN(0) as usize);
                    for index in 0..length / size_of::<RawDescriptor>() {
                        let raw = ptr::read_unaligned(data.add(index * size_of::<RawDescriptor>()).cast());
                        let descriptor = Descriptor::owning(raw);
                        match received.descriptors.get_mut(index) {
                            Some(place) => *place = Some(descriptor),
                            // Where no credentials came, there is room for more than a request has.
                            None => received.cut = true,
                        }
                    }
                }
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
                    let credentials = ptr::read_unaligned(data.cast::<libc::ucred>());
                    received.sender = Some(Sender { pid: credentials.pid, uid: credentials.uid, gid: credentials.gid });
                }
                // Where whoever made the channel asked for it (SO_PASSPIDFD): not ours to keep.
                (libc::SOL_SOCKET, SCM_PIDFD) => {
                    drop(Descriptor::owning(ptr::read_unaligned(data.cast::<RawDescriptor>())));
                    received.cut = true;
                }
                _ => received.cut = true,
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    Ok(received)
}

/// CMSG_SPACE of cmsg(3), as `usize`.
const fn space(length: usize) -> usize {
    // SAFETY: CMSG_SPACE only computes; the lengths are sizes of small types, far below what a c_uint holds.
    #[allow(clippy::cast_possible_truncation)]
    unsafe {
        libc::CMSG_SPACE(length as c_uint) as usize
    }
}

/// A length as whatever integer the C library at hand has for it.
fn field<T: TryFrom<U>, U>(length: U) -> Result<T, c_int> {
    T::try_from(length).map_err(|_| libc::EINVAL)
}
