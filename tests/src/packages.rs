//! The packages that `cargo xtask package` has made, and a sandbox in which they can be installed.

use std::fs;
use std::path::{Path, PathBuf};

use xtask::package;

use crate::World;

/// Whatever the packages and their tools write, they write into memory; and the staged tree is hidden.
const LAYERS: &str = "
set -e
for directory in usr var; do
    mkdir -p /run/layers/$directory/upper /run/layers/$directory/work
    mount -t overlay overlay /$directory \
        -o lowerdir=/$directory,upperdir=/run/layers/$directory/upper,workdir=/run/layers/$directory/work
done
rm -r /etc/rauthbind
# The index of all man pages takes longer than all else; and in containers a policy may forbid services.
rm -f /var/lib/man-db/auto-update /usr/sbin/policy-rc.d
";

/// Lets this sandbox install packages over the machine's own files, by the machine's own dpkg.
///
/// # Panics
/// The machine has the package itself.
pub fn add_layers(world: &World) {
    let _ = world.command("root", ["sh", "-c", LAYERS]).run().successful();
    assert!(!Path::new("/usr/bin/rauthbind").exists(), "the machine has the package already");
}

/// The Debian package of this name and revision.
///
/// # Panics
/// There is none.
#[must_use]
pub fn deb(name: &str, revision: &str) -> String {
    package(&format!("{name}_{}-{revision}_", env!("CARGO_PKG_VERSION")), ".deb")
}

/// The RPM of this name and revision.
///
/// # Panics
/// There is none.
#[must_use]
pub fn rpm(name: &str, revision: &str) -> String {
    package(&format!("{name}-{}-{revision}.", env!("CARGO_PKG_VERSION")), ".rpm")
}

/// The one package whose file name begins and ends like this.
fn package(begins: &str, ends: &str) -> String {
    let directory = package::directory().expect("a checkout");
    let entries = fs::read_dir(directory).expect("run `cargo xtask package`, or `cargo xtask test`, before");
    let paths = entries.map(|entry| entry.expect("a directory of our own").path());
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(begins) && name.ends_with(ends)
    };
    let found: Vec<PathBuf> = paths.filter(named).collect();
    assert_eq!(found.len(), 1, "packages {begins}...{ends}: {found:?}");
    found[0].display().to_string()
}
