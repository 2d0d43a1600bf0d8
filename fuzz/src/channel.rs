//! The variable that tells an app of its channel: whatever is taken reads the same after it is written again.

use rauthbind_wire::PROTOCOL;
use rauthbind_wire::channel::{Channel, NoChannel};

/// The input is the variable's value.
pub fn check(input: &[u8]) {
    match Channel::parse(input) {
        Ok(channel) => {
            assert_eq!(input.split(|byte| *byte == b':').count(), 3);
            assert_eq!(Channel::parse(channel.to_string().as_bytes()), Ok(channel));
        }
        Err(NoChannel::OtherProtocol(other)) => assert_ne!(other, PROTOCOL),
        Err(NoChannel::Malformed) => {}
    }
}
