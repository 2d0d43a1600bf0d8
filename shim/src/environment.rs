//! The variables that the launcher sets. They are edited where they stand, so that the `envp` of the app's main sees the
//! same.

use std::ffi::{CStr, c_char};
use std::fmt;
use std::io::Write as _;
use std::ptr;

use rauthbind_wire::channel::{Channel, NoChannel};
use rauthbind_wire::{PROTOCOL, names};

unsafe extern "C" {
    /// environ(7): a list of `NAME=value`, ended by a null pointer; itself null after clearenv(3).
    static mut environ: *mut *mut c_char;
}

/// What the launcher wrote about the channel.
pub(crate) fn channel() -> Option<Result<Channel, NoChannel>> {
    // SAFETY: read at load, or at the first bind if that comes earlier, in both cases before the app's main.
    unsafe { find(names::CHANNEL).map(|variable| Channel::parse(variable.value().to_bytes())) }
}

/// Does at load what the variables ask for: reports a launcher of another protocol, and counts `--depth` down.
pub(crate) fn heed() {
    if let Some(Err(NoChannel::OtherProtocol(theirs))) = channel() {
        complain(format_args!(
            "rauthbind: {} speaks protocol {PROTOCOL}, the rauthbind that started this program spoke {theirs}; each \
             bind of a privileged port runs a helper of its own until the program is started anew",
            names::SHIM
        ));
    }
    // SAFETY: called at load, before the app's main.
    unsafe { count_down() };
}

/// Prints a line on the app's standard error. Where the reader of that is gone, the app must not be.
fn complain(line: fmt::Arguments<'_>) {
    // SAFETY: ignoring a signal runs no code of ours; the app has no handlers yet, as its main comes later.
    let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let _ = writeln!(std::io::stderr(), "{line}");
    // SAFETY: what it was.
    let _ = unsafe { libc::signal(libc::SIGPIPE, before) };
}

/// Takes one from the depth; at the last level takes away all that would cover the programs that this one runs.
///
/// # Safety
/// Nothing else may use the environment meanwhile.
unsafe fn count_down() {
    // SAFETY: the caller's promise; a variable that is taken away is not used afterwards.
    unsafe {
        let Some(depth) = find(names::DEPTH) else { return };
        let levels = depth.value().to_str().ok().and_then(|value| value.parse::<u32>().ok());
        match levels.map(|levels| levels.saturating_sub(1)) {
            None => {}
            Some(0) => uncover(),
            Some(levels) => depth.shorten(levels),
        }
    }
}

/// # Safety
/// As [`count_down`].
unsafe fn uncover() {
    if let Some(Ok(channel)) = channel() {
        if channel.is_there() {
            // SAFETY: sets a flag of a descriptor that is the channel's; no memory is touched.
            let _ = unsafe { libc::fcntl(channel.descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(preload) = find(names::LD_PRELOAD) {
            preload.remove_item(names::SHIM);
        }
        for name in [names::CHANNEL, names::DEPTH] {
            if let Some(variable) = find(name) {
                variable.remove();
            }
        }
    }
}

/// One variable: where its entry stands in the list, and where its value begins.
struct Variable {
    entry: *mut *mut c_char,
    value: *mut c_char,
}

/// Finds a variable.
///
/// # Safety
/// Nothing may change the environment while the result is in use.
unsafe fn find(name: &str) -> Option<Variable> {
    // SAFETY: environ(7) promises a list of C strings with a null pointer at its end; the caller that it holds still.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            let text = CStr::from_ptr(*entry).to_bytes();
            if text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"=")) {
                return Some(Variable { entry, value: (*entry).add(name.len() + 1) });
            }
            entry = entry.add(1);
        }
    }
    None
}

impl Variable {
    /// # Safety
    /// As [`find`].
    unsafe fn value(&self) -> &CStr {
        // SAFETY: `value` points into a C string of the environment.
        unsafe { CStr::from_ptr(self.value) }
    }

    /// Writes a number that has no more digits than the value has.
    ///
    /// # Safety
    /// As [`find`].
    unsafe fn shorten(&self, number: u32) {
        let mut digits = number.to_string().into_bytes();
        digits.push(0);
        // SAFETY: the value is a larger number in decimal digits, so it is at least as long; the strings of the
        // environment are writable (they lie in the new program's stack, execve(2)).
        unsafe { ptr::copy_nonoverlapping(digits.as_ptr(), self.value.cast(), digits.len()) };
    }

    /// Takes an item out of a list that is separated by spaces or colons (ld.so(8)), and with the last one the variable.
    ///
    /// # Safety
    /// As [`find`].
    unsafe fn remove_item(&self, item: &str) {
        // SAFETY: as in `value`.
        let list = unsafe { self.value() }.to_bytes();
        let kept: Vec<&[u8]> = list
            .split(|byte| matches!(byte, b' ' | b':'))
            .filter(|entry| !entry.is_empty() && *entry != item.as_bytes())
            .collect();
        let mut kept = kept.join(&b':');
        if kept.is_empty() {
            // SAFETY: the caller's promise.
            return unsafe { self.remove() };
        }
        kept.push(0);
        // SAFETY: what is kept is no longer than the list it was taken from.
        unsafe { ptr::copy_nonoverlapping(kept.as_ptr(), self.value.cast(), kept.len()) };
    }

    /// Moves the entries behind this one forward by one.
    ///
    /// # Safety
    /// As [`find`]; other variables found before are stale after this.
    unsafe fn remove(&self) {
        // SAFETY: ends at the null pointer, which is moved too.
        unsafe {
            let mut entry = self.entry;
            while !(*entry).is_null() {
                *entry = *entry.add(1);
                entry = entry.add(1);
            }
        }
    }
}
