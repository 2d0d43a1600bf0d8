//! Lines for the system's log (facility auth), written without a wait: a log that is missing or full changes nothing.

use core::fmt::{self, Write};

use crate::names::LOG_SOCKET;
use crate::sys::{self, SocketType};

/// How weighty a line is, as the number that begins it: facility auth (4) times 8 plus the severity (syslog(3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// LOG_INFO
    Info = 4 * 8 + 6,
    /// LOG_NOTICE
    Notice = 4 * 8 + 5,
}

/// The longest line, in bytes; what is beyond it is cut off.
const LONGEST: usize = 512;

/// Writes a line in the name of a program.
pub fn line(weight: Weight, program: &str, text: fmt::Arguments<'_>) {
    let line = Line::of(format_args!("<{}>{program}[{}]: {text}", weight as u8, sys::process_id()));
    if let Ok(log) = sys::connect(LOG_SOCKET, SocketType::Datagram) {
        let _ = sys::send(&log, line.bytes());
    }
}

/// A text without an allocation.
pub(crate) struct Line {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Line {
    pub(crate) fn of(text: fmt::Arguments<'_>) -> Line {
        let mut line = Line { bytes: [0; LONGEST], length: 0 };
        let _ = line.write_fmt(text);
        line
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        room.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        self.length += text.len().min(room.len());
        Ok(())
    }
}
