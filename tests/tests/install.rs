//! What `cargo xtask install` puts in place and `uninstall` takes away.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rauthbind_tests::{World, stage, world_test};
use xtask::error::Error;
use xtask::install::{install_built, uninstall};
use xtask::layout::{CAPABILITY_ATTRIBUTE, DEFAULT_PREFIX, Origin, RULES, TABLE, Tree};

/// What the table says of a path, or what is really there.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    mode: u32,
    owner: (u32, u32),
    capability: Option<Vec<u8>>,
}

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;

fn tree(destdir: impl Into<PathBuf>) -> Tree {
    Tree { prefix: DEFAULT_PREFIX.into(), destdir: destdir.into(), authbind: false }
}

fn staged(to: &str) -> PathBuf {
    tree(stage()).path(to)
}

/// Everything below the root of a tree, by its path.
fn found(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut all = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        for path in fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()) {
            let meta = fs::symlink_metadata(&path).unwrap();
            let capability = xattr::get(&path, CAPABILITY_ATTRIBUTE).unwrap();
            let entry = Entry { mode: meta.mode(), owner: (meta.uid(), meta.gid()), capability };
            if meta.is_dir() {
                open.push(path.clone());
            }
            all.insert(path, entry);
        }
    }
    all
}

/// What the table promises below the root of a tree.
fn promised(tree: &Tree) -> BTreeMap<PathBuf, Entry> {
    let entry = |mode, capability: Option<&[u8]>| Entry { mode, owner: (0, 0), capability: capability.map(Vec::from) };
    let mut all = BTreeMap::new();
    for row in tree.rows() {
        let path = tree.path(row.to);
        for above in path.ancestors().skip(1).take_while(|above| *above != tree.destdir) {
            all.entry(above.to_owned()).or_insert_with(|| entry(DIRECTORY | 0o755, None));
        }
        let kind = if row.is_directory() { DIRECTORY } else { FILE };
        all.insert(path, entry(kind | row.mode, row.capability()));
    }
    all
}

/// What a tool of binutils says of a staged file.
fn binutils(world: &World, tool: &str, option: &str, to: &str) -> String {
    let argv = [tool.into(), option.into(), staged(to).into_os_string()];
    world.command("root", argv).run().successful().stdout
}

/// The libraries that a staged file asks the loader for.
fn needed(world: &World, to: &str) -> Vec<String> {
    let dynamic = binutils(world, "readelf", "--dynamic", to);
    let names = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    names.map(|line| line.split(['[', ']']).nth(1).unwrap().into()).collect()
}

world_test! {
    /// Owners, modes and capabilities are those of the table, and nothing else is there.
    fn table_is_installed_and_nothing_else(_world) {
        assert_eq!(found(&stage()), promised(&tree(stage())));
    }
}

world_test! {
    /// The helper's capability reads as we mean it: permitted, neither effective nor inheritable.
    fn capability_is_what_getcap_says(world) {
        let helper = staged("libexec/rauthbind/rauthbind-helper");
        let said = world.command("root", ["getcap".into(), helper.clone().into_os_string()]).run().successful().stdout;
        assert_eq!(said, format!("{} cap_net_bind_service=p\n", helper.display()));
    }
}

world_test! {
    /// No file is setuid or setgid, whatever a later table says.
    fn nothing_is_set_id(_world) {
        for (path, entry) in found(&stage()) {
            assert_eq!(entry.mode & 0o6000, 0, "{}", path.display());
        }
    }
}

world_test! {
    /// The loader has no say in our programs.
    fn programs_are_static(world) {
        let programs = TABLE.iter().filter(|row| matches!(row.origin, Origin::Program(_) | Origin::Helper(_)));
        for row in programs {
            assert_eq!(needed(world, row.to), [""; 0], "{}", row.to);
            let headers = binutils(world, "readelf", "--program-headers", row.to);
            assert!(headers.contains("DYN") && !headers.contains("INTERP"), "{}: {headers}", row.to);
        }
    }
}

world_test! {
    /// The shim brings nothing into a program that is not there already.
    fn shim_needs_libc_and_loader_alone(world) {
        let mut needed = needed(world, "lib/rauthbind/librauthbind.so");
        needed.retain(|name| !name.starts_with("ld-linux"));
        assert_eq!(needed, ["libc.so.6"]);
    }
}

world_test! {
    /// The shim takes the place of bind(2) and of nothing else.
    fn shim_exports_bind_alone(world) {
        let argv = ["nm".into(), "-D".into(), "--defined-only".into(), staged("lib/rauthbind/librauthbind.so").into_os_string()];
        let symbols = world.command("root", argv).run().successful().stdout;
        let names: Vec<_> = symbols.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
        assert_eq!(names, ["bind"], "{symbols}");
    }
}

world_test! {
    /// Installing again replaces every file in one step, leaves rules alone, and changes nothing else.
    fn installing_again_changes_nothing(_world) {
        let tree = tree("/run/again");
        install_built(&tree).unwrap();
        fs::write(tree.path(RULES).join("byport/80"), "mine").unwrap();
        let first = found(&tree.destdir);
        let helper = tree.path("libexec/rauthbind/rauthbind-helper");
        let mut running = File::open(&helper).unwrap();
        let content = fs::read(&helper).unwrap();

        install_built(&tree).unwrap();
        assert_eq!(found(&tree.destdir), first);
        assert_eq!(fs::read(tree.path(RULES).join("byport/80")).unwrap(), b"mine");
        assert_ne!(fs::metadata(&helper).unwrap().ino(), running.metadata().unwrap().ino(), "written in place");
        let mut as_it_was = Vec::new();
        running.read_to_end(&mut as_it_was).unwrap();
        assert!(as_it_was == content, "the file of a running helper was changed");
    }
}

world_test! {
    /// A directory that was there before stays as it was, unless it is our own.
    fn only_our_own_directories_are_changed(world) {
        let script = "umask 0; mkdir -p /run/there/usr/local/bin /run/there/etc/rauthbind; chmod 2775 /run/there/usr/local/bin; \
                      chown alice:alice /run/there/usr/local/bin /run/there/etc/rauthbind";
        world.command("root", ["sh", "-c", script]).run().successful();
        let tree = tree("/run/there");
        install_built(&tree).unwrap();
        let state = |to: &str| fs::metadata(tree.path(to)).map(|meta| (meta.mode() & 0o7777, meta.uid(), meta.gid())).unwrap();
        assert_eq!(state("bin"), (0o2775, 4001, 4001));
        assert_eq!(state(RULES), (0o755, 0, 0));
        assert_eq!(state("bin/rauthbind"), (0o755, 0, 0));
    }
}

world_test! {
    /// Uninstall leaves the rules, and of what it shares with others the bare directories.
    fn uninstall_leaves_the_rules(_world) {
        let tree = tree("/run/uninstalled");
        install_built(&tree).unwrap();
        fs::write(tree.path(RULES).join("byport/80"), "mine").unwrap();
        fs::write(tree.path("lib/rauthbind/of-an-earlier-version"), "").unwrap();
        uninstall(&tree).unwrap();

        let left: BTreeSet<_> = found(&tree.destdir).into_keys().collect();
        let ours = TABLE.iter().filter(|row| row.origin != Origin::RulesDirectory).map(|row| tree.path(row.to));
        let ours: BTreeSet<_> = ours.collect();
        let mut expected: BTreeSet<_> = promised(&tree).into_keys().filter(|path| !ours.contains(path)).collect();
        expected.insert(tree.path(RULES).join("byport/80"));
        assert_eq!(left, expected);
        uninstall(&tree).expect("what is gone already is no error");
    }
}

world_test! {
    /// Where the capability cannot be kept, the error says what to do, and nothing half-made is left.
    fn file_system_without_attributes(world) {
        world.command("root", ["sh", "-c", "mkdir /run/plain; mount -t ramfs none /run/plain"]).run().successful();
        let tree = tree("/run/plain");
        let error = install_built(&tree).unwrap_err();
        assert!(matches!(error, Error::Capability { .. }), "{error:?}");
        assert!(error.to_string().contains("extended attributes") && !error.to_string().contains('\n'), "{error}");
        let files = world.command("root", ["find", "/run/plain", "-type", "f"]).run();
        assert_eq!(files.successful().stdout, "");
    }
}

world_test! {
    /// A prefix that nothing is built for is refused before anything is put in place.
    fn prefix_must_be_the_built_one(_world) {
        let tree = Tree { prefix: "/opt/other".into(), destdir: "/run/other".into(), authbind: false };
        assert!(matches!(install_built(&tree), Err(Error::NotBuiltFor(prefix)) if prefix == "/opt/other"));
        assert!(!tree.destdir.exists());
    }
}

world_test! {
    /// A symbolic link in a destdir, which somebody else may have put there, is refused, and what it leads to untouched.
    fn links_in_a_destdir_are_refused(_world) {
        for link in ["etc", "etc/rauthbind", "usr/local", "usr/local/lib/rauthbind", "usr/local/bin/rauthbind"] {
            let destdir = Path::new("/run/tmp").join(link.replace('/', "-"));
            let (path, victim) = (destdir.join(link), destdir.with_extension("victim"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::create_dir(&victim).unwrap();
            fs::set_permissions(&victim, fs::Permissions::from_mode(0o700)).unwrap();
            symlink(&victim, &path).unwrap();
            for done in [install_built(&tree(&destdir)), uninstall(&tree(&destdir))] {
                assert!(matches!(&done, Err(Error::Link(told)) if *told == path), "{link}: {done:?}");
            }
            assert_eq!(fs::metadata(&victim).unwrap().mode() & 0o777, 0o700);
            assert_eq!(fs::read_dir(&victim).unwrap().count(), 0, "{link}");
        }
    }
}
