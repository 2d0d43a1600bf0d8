//! What the command is: whether a preloaded library reaches its binds.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::unistd::{AccessFlags, access};
use object::elf::{FileHeader64, SectionHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, ReadCache, ReadRef, SectionIndex};

use crate::sys;

/// How many scripts may lead from one to the other, as in execve(2).
const SCRIPTS: usize = 5;

/// How much of a script's first line the kernel reads (`BINPRM_BUF_SIZE`), in bytes.
const FIRST_LINE: usize = 256;

/// What keeps a preloaded library from a program's binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// No loader, so nothing is preloaded.
    Static,
    /// Go's programs make their system calls themselves, also where they have a loader.
    Go,
    /// Its loader is of another C library than ours.
    OtherLibrary,
    /// It is for another processor or word size.
    OtherMachine,
}

impl fmt::Display for Barrier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Barrier::Static => write!(out, "is linked statically"),
            Barrier::Go => write!(out, "is written in Go"),
            Barrier::OtherLibrary => write!(out, "is linked with another C library than glibc"),
            Barrier::OtherMachine => write!(out, "is for another machine or word size"),
        }
    }
}

/// What a program is to a preloaded library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Its loader, which is this one, will load the library.
    Preloadable(PathBuf),
    /// Something keeps the library from its binds.
    Barred(Barrier),
    /// It is setuid, setgid or has file capabilities: supervised, it would lose them, and its loader ignores the library.
    Privileged,
    /// It is this program, which looks again at its own command.
    Ourselves,
    /// It cannot be read, or is no ELF file.
    Unknown,
}

/// What a command runs in the end.
#[derive(Debug)]
pub struct Program {
    /// The scripts that lead there by their `#!` lines, in order.
    pub scripts: Vec<PathBuf>,
    /// The program itself.
    pub path: PathBuf,
    /// What that is.
    pub nature: Nature,
}

impl Program {
    /// What a command runs in the end; `None` where there is no such command.
    pub fn of(command: &OsStr) -> Option<Program> {
        let mut scripts = Vec::new();
        let mut path = find(command)?;
        while let Some(next) = interpreter(&path).filter(|_| scripts.len() < SCRIPTS) {
            scripts.push(mem::replace(&mut path, next));
        }
        let nature = if is_this_program(&path) { Nature::Ourselves } else { nature(&path).unwrap_or(Nature::Unknown) };
        Some(Program { scripts, path, nature })
    }

    /// What keeps a preloaded library from its binds, where anything is known to.
    pub fn barrier(&self) -> Option<Barrier> {
        if let Nature::Barred(barrier) = self.nature { Some(barrier) } else { None }
    }
}

/// The file of a command, as execvp(3) finds it.
pub fn find(command: &OsStr) -> Option<PathBuf> {
    if command.as_bytes().contains(&b'/') {
        return Some(command.into());
    }
    let path = env::var_os("PATH").unwrap_or_else(|| OsString::from("/bin:/usr/bin"));
    let candidates = env::split_paths(&path).map(|directory| directory.join(command)).collect::<Vec<_>>();
    candidates.into_iter().find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
}

fn is_this_program(path: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    identity(path).is_some_and(|identity_of_path| identity(Path::new("/proc/self/exe")) == Some(identity_of_path))
}

/// What a script is run by; `env NAME` counts as NAME.
fn interpreter(script: &Path) -> Option<PathBuf> {
    let mut text = [0; FIRST_LINE];
    let length = open(script)?.read(&mut text).ok()?;
    let line = text.get(..length)?.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    let interpreter = Path::new(OsStr::from_bytes(words.next()?));
    if interpreter.file_name() != Some(OsStr::new("env")) {
        return Some(interpreter.to_owned());
    }
    // Of env's own arguments, as far as they make sense in a script.
    let name = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='));
    name.and_then(|name| find(OsStr::from_bytes(name))).or_else(|| Some(interpreter.to_owned()))
}

/// Opens a file to read, if it is one: not what could make us wait, nor a device, of which some act when they are opened.
fn open(path: &Path) -> Option<File> {
    let is_program = fs::metadata(path).ok()?.is_file() && access(path, AccessFlags::X_OK).is_ok();
    if !is_program {
        return None;
    }
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}

fn nature(program: &Path) -> Option<Nature> {
    let file = open(program)?;
    if sys::has_privileges(&file) { Some(Nature::Privileged) } else { nature_of_content(&ReadCache::new(file)) }
}

/// The same by a file's content alone. Reads no more than headers: large files are not to make a start slow, nor are
/// crafted ones.
pub fn nature_of_content<'data>(data: impl ReadRef<'data>) -> Option<Nature> {
    let barred = |barrier| Some(Nature::Barred(barrier));
    if data.read_bytes_at(0, 4) != Ok(b"\x7fELF") {
        return None;
    }
    let Ok(header) = FileHeader64::<Endianness>::parse(data) else { return barred(Barrier::OtherMachine) };
    let endian = header.endian().ok()?;
    if header.e_machine(endian) != OUR_MACHINE {
        return barred(Barrier::OtherMachine);
    }
    if has_section_of_go(header, endian, data).unwrap_or(false) {
        return barred(Barrier::Go);
    }
    let headers = header.program_headers(endian, data).ok()?;
    let loader = headers.iter().filter(|header| header.p_filesz(endian) <= LONGEST_PATH);
    let loader = loader.filter_map(|header| header.interpreter(endian, data).ok()?).next();
    let Some(loader) = loader.map(|loader| PathBuf::from(OsStr::from_bytes(loader))) else {
        return barred(Barrier::Static);
    };
    if loader.file_name()?.as_bytes().starts_with(b"ld-linux") {
        Some(Nature::Preloadable(loader))
    } else {
        barred(Barrier::OtherLibrary)
    }
}

/// `PATH_MAX`, in bytes.
const LONGEST_PATH: u64 = 4096;

/// By its name. The names are read all at once, which is what this costs for the most part.
fn has_section_of_go<'data>(
    header: &FileHeader64<Endianness>,
    endian: Endianness,
    data: impl ReadRef<'data>,
) -> Option<bool> {
    // Where there are more sections than fit there, the number is elsewhere.
    let sections = (header.e_shnum(endian) != 0).then(|| header.sections(endian, data).ok()).flatten()?;
    let names = sections.section(SectionIndex(header.shstrndx(endian, data).ok()?.try_into().ok()?)).ok()?;
    let names = if names.sh_size(endian) <= LONGEST_NAMES { names.data(endian, data).ok()? } else { return None };
    let is_go = |section: &SectionHeader64<Endianness>| {
        let name = usize::try_from(section.sh_name(endian)).ok().and_then(|start| names.get(start..));
        name.is_some_and(|name| name.starts_with(b".go.buildinfo\0") || name.starts_with(b".note.go.buildid\0"))
    };
    Some(sections.iter().any(is_go))
}

/// More than what Go's own linker and others write there, in bytes.
const LONGEST_NAMES: u64 = 64 * 1024;

#[cfg(target_arch = "x86_64")]
const OUR_MACHINE: object::elf::Machine = object::elf::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const OUR_MACHINE: object::elf::Machine = object::elf::EM_AARCH64;
