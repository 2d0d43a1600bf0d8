//! The headers of a program: of a well-formed one, what it was made to be is found; of garbage, the same however it is
//! read.

use std::env::consts::ARCH;
use std::io::Cursor;

use object::ReadCache;
use rauthbind::program::{Barrier, Nature, nature_of_content};

/// The input is a file, and the choices by which another is made.
pub fn check(input: &[u8]) {
    assert_eq!(nature_of_content(input), nature_of_content(&ReadCache::new(Cursor::new(input))));
    let (file, nature) = made(input);
    assert_eq!(nature_of_content(file.as_slice()), Some(nature.clone()));
    assert_eq!(nature_of_content(&ReadCache::new(Cursor::new(file))), Some(nature));
}

const LOADERS: [Option<&str>; 5] = [
    Some("/lib64/ld-linux-x86-64.so.2"),
    Some("/lib/ld-linux-aarch64.so.1"),
    Some("/lib/ld-musl-x86_64.so.1"),
    Some("ld-linux"),
    None,
];

const SECTIONS: [&str; 6] = [".text", ".go.buildinfo", ".note.go.buildid", ".go.buildinfos", ".interp", ""];

/// EM_X86_64, EM_AARCH64, EM_386 and EM_ARM of elf(5), with the name that std has for them.
const MACHINES: [(u16, &str); 4] = [(62, "x86_64"), (183, "aarch64"), (3, "x86"), (40, "arm")];

/// A well-formed file of 64 bits, and what it is.
fn made(choices: &[u8]) -> (Vec<u8>, Nature) {
    let mut choices = choices.iter().map(|choice| usize::from(*choice)).chain([0].into_iter().cycle());
    let mut choice = |from: usize| choices.next().unwrap() % from;
    let (machine, architecture) = MACHINES[choice(MACHINES.len())];
    let loader = LOADERS[choice(LOADERS.len())];
    let sections: Vec<&str> = (0..choice(8)).map(|_| SECTIONS[choice(SECTIONS.len())]).collect();

    let barred = |barrier| Nature::Barred(barrier);
    let nature = match loader {
        _ if architecture != ARCH => barred(Barrier::OtherMachine),
        _ if sections.contains(&".go.buildinfo") || sections.contains(&".note.go.buildid") => barred(Barrier::Go),
        None => barred(Barrier::Static),
        Some(loader) if loader.contains("ld-linux") => Nature::Preloadable(loader.into()),
        Some(_) => barred(Barrier::OtherLibrary),
    };
    (file(machine, loader, &sections), nature)
}

/// The header, a segment that is loaded, one that names the loader, the sections' names, the sections.
fn file(machine: u16, loader: Option<&str>, sections: &[&str]) -> Vec<u8> {
    const HEADER: u64 = 64;
    const SEGMENT: u64 = 56;
    let segments: u16 = if loader.is_some() { 2 } else { 1 };
    let loader_at = HEADER + SEGMENT * u64::from(segments);
    let loader = loader.map_or(Vec::new(), |loader| [loader.as_bytes(), b"\0"].concat());
    let names_at = loader_at + loader.len() as u64;
    let names: Vec<u8> = sections.iter().flat_map(|name| [name.as_bytes(), b"\0"].concat()).collect();
    let sections_at = names_at + names.len() as u64;
    // Beside those that were asked for: the one that is none, and that of the names.
    let count = if sections.is_empty() { 0 } else { u16::try_from(sections.len() + 2).unwrap() };

    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    put(&mut file, &[(2, 3), (2, machine.into()), (4, 1), (8, 0), (8, HEADER), (8, sections_at), (4, 0)]);
    put(&mut file, &[(2, HEADER), (2, SEGMENT), (2, segments.into()), (2, 64), (2, count.into())]);
    put(&mut file, &[(2, u64::from(count.saturating_sub(1)))]);
    for (kind, at, length) in [(1, 0, sections_at), (3, loader_at, loader.len() as u64)] {
        if kind == 1 || segments == 2 {
            put(&mut file, &[(4, kind), (4, 4), (8, at), (8, 0), (8, 0), (8, length), (8, length), (8, 1)]);
        }
    }
    file.extend(loader);
    file.extend(&names);
    let mut name_at = 0;
    let mut section = |name: u64, kind: u64, at: u64, length: u64| {
        put(&mut file, &[(4, name), (4, kind), (8, 0), (8, 0), (8, at), (8, length), (8, 0), (8, 1), (8, 0)]);
    };
    if count != 0 {
        section(0, 0, 0, 0);
        for name in sections {
            section(name_at, 1, 0, 0);
            name_at += name.len() as u64 + 1;
        }
        section(name_at - 1, 3, names_at, names.len() as u64);
    }
    file
}

/// Fields, each of so many bytes.
fn put(file: &mut Vec<u8>, fields: &[(usize, u64)]) {
    for (size, value) in fields {
        file.extend(&value.to_le_bytes()[..*size]);
    }
}
