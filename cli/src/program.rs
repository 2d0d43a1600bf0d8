//! What the command is: whether a preloaded library reaches its binds.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use object::elf::FileHeader64;
use object::read::elf::{ElfFile, ProgramHeader};
use object::{Endianness, Object, ReadCache, ReadRef};

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

/// The program that a command runs in the end, behind `#!` lines, and what keeps a preloaded library from its binds.
/// `None` where nothing does, or where that cannot be known.
pub fn barrier(command: &OsStr) -> Option<(PathBuf, Barrier)> {
    let mut path = find(command)?;
    for _ in 0..SCRIPTS {
        match interpreter(&path) {
            Some(next) => path = next,
            // It does this again for its own command.
            None if is_this_program(&path) => return None,
            None => {
                let barrier = barrier_of(&path)?;
                return Some((path, barrier));
            }
        }
    }
    None
}

/// The file of a command, as execvp(3) finds it.
fn find(command: &OsStr) -> Option<PathBuf> {
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
    let mut text = Vec::new();
    File::open(script).ok()?.take(FIRST_LINE as u64).read_to_end(&mut text).ok()?;
    let line = text.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    let interpreter = Path::new(OsStr::from_bytes(words.next()?));
    if interpreter.file_name() != Some(OsStr::new("env")) {
        return Some(interpreter.to_owned());
    }
    // Of env's own arguments, as far as they make sense in a script.
    let name = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='));
    name.and_then(|name| find(OsStr::from_bytes(name))).or_else(|| Some(interpreter.to_owned()))
}

fn barrier_of(program: &Path) -> Option<Barrier> {
    let file = File::open(program).ok()?;
    let data = ReadCache::new(file);
    if data.read_bytes_at(0, 4) != Ok(b"\x7fELF") {
        return None;
    }
    let Ok(elf) = ElfFile::<FileHeader64<Endianness>, _>::parse(&data) else { return Some(Barrier::OtherMachine) };
    if elf.elf_header().e_machine.get(elf.endian()) != OUR_MACHINE {
        return Some(Barrier::OtherMachine);
    }
    if [".go.buildinfo", ".note.go.buildid"].iter().any(|name| elf.section_by_name(name).is_some()) {
        return Some(Barrier::Go);
    }
    let loader = elf.elf_program_headers().iter().find_map(|header| header.interpreter(elf.endian(), &data).ok()?);
    match loader {
        None => Some(Barrier::Static),
        Some(loader) if loader.split(|byte| *byte == b'/').next_back()?.starts_with(b"ld-linux") => None,
        Some(_) => Some(Barrier::OtherLibrary),
    }
}

#[cfg(target_arch = "x86_64")]
const OUR_MACHINE: object::elf::Machine = object::elf::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const OUR_MACHINE: object::elf::Machine = object::elf::EM_AARCH64;
