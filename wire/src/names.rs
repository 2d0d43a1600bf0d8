//! Every path and every variable name that the programs of rauthbind share. Change one here and nowhere else.
//!
//! The prefix is fixed when the tree is built (`RAUTHBIND_PREFIX`, by default `/usr/local`): nothing that a user can
//! set at run time decides which helper or which rules are used.

use core::ffi::CStr;

macro_rules! helper {
    () => {
        concat!(env!("RAUTHBIND_PREFIX"), "/libexec/rauthbind/rauthbind-helper")
    };
}

/// The helper: root-owned, not setuid, `cap_net_bind_service=p`.
pub const HELPER: &str = helper!();

/// [`HELPER`] as execve(2) wants it.
pub const HELPER_FILE: &CStr = match CStr::from_bytes_with_nul(concat!(helper!(), "\0").as_bytes()) {
    Ok(path) => path,
    Err(_) => c"",
};

/// The argument of a helper that is run for one request: standard error is the app's, so what is wrong goes to the log.
pub const ONCE: &CStr = c"--once";

/// The argument of a helper that a service manager runs, as root, for each connection to [`BROKER`].
pub const BROKER_ARGUMENT: &CStr = c"--broker";

/// The argument of a helper that is to say on standard error what it says in the log.
pub const VERBOSE: &str = "--verbose";

/// The program that manages the rules.
pub const CTL: &str = "rauthbindctl";

/// The broker's socket. Only root can make it.
pub const BROKER: &str = "/run/rauthbind/broker";

/// The shim that the launcher appends to [`LD_PRELOAD`].
pub const SHIM: &str = concat!(env!("RAUTHBIND_PREFIX"), "/lib/rauthbind/librauthbind.so");

/// The rules: root-owned, writable by root alone. Independent of the prefix.
pub const RULES: &str = "/etc/rauthbind";

/// Where syslog(3) messages go; read by journald or a syslog daemon.
pub const LOG_SOCKET: &str = "/dev/log";

/// The first privileged port that is none, for the network namespace of whoever reads it (ip(7)).
pub const UNPRIVILEGED_PORT_START: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

/// Set by the launcher, read by the shim: where the channel is, as [`Channel`](crate::channel::Channel) prints it.
pub const CHANNEL: &str = "RAUTHBIND_CHANNEL";

/// Set by `rauthbind --depth N`, counted down by the shim in every program that it is loaded into.
pub const DEPTH: &str = "RAUTHBIND_DEPTH";

/// Set by the launcher for a command that it supervises, so that a rauthbind in it knows who serves.
pub const SUPERVISED: &str = "RAUTHBIND_SUPERVISED";

/// ld.so(8)'s list of libraries to load first.
pub const LD_PRELOAD: &str = "LD_PRELOAD";
