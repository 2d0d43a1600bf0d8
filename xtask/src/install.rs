//! `install` and `uninstall`, by the table of [`layout`](crate::layout).

use std::env;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown, fchown};
use std::path::{Path, PathBuf};

use xattr::FileExt;

use crate::cargo::Workspace;
use crate::error::Error;
use crate::layout::{CAPABILITY_ATTRIBUTE, DEFAULT_PREFIX, Origin, RULES, Row, Tree};
use crate::root;

const ROOT: Option<u32> = Some(0);

/// `cargo xtask install`.
///
/// # Errors
/// Something could not be built or put in place.
pub fn build_and_install(tree: &Tree) -> Result<(), Error> {
    root::announce("put in place what belongs to root, and to give the helper its capability");
    Workspace::find()?.build(&tree.prefix)?;
    install_built(tree)?;
    println!("Installed in {}.", tree.path("").display());
    if tree.destdir == Path::new("/") {
        println!("To let alice bind port 80: rauthbindctl allow 80 alice");
    }
    Ok(())
}

/// `cargo xtask install --no-build`.
///
/// # Errors
/// Nothing is built for this prefix, or something could not be put in place.
pub fn install_built(tree: &Tree) -> Result<(), Error> {
    if !root::is_root() {
        return by_sudo(&["install", "--no-build"], tree);
    }
    let workspace = Workspace::find()?;
    workspace.check_built_for(&tree.prefix)?;
    refuse_links(tree)?;
    tree.rows().try_for_each(|row| put(&workspace, tree, row))
}

/// Builds and installs into a fresh `target/stage`, for tests and demo.
///
/// # Errors
/// As for [`build_and_install`].
pub fn stage(workspace: &Workspace) -> Result<PathBuf, Error> {
    let stage = workspace.target.join("stage");
    remove_tree(&stage)?;
    workspace.build(DEFAULT_PREFIX)?;
    install_built(&Tree { prefix: DEFAULT_PREFIX.into(), destdir: stage.clone(), authbind: false })?;
    Ok(stage)
}

/// Removes a tree that belongs to root.
///
/// # Errors
/// It is there and cannot be removed.
pub fn remove_tree(path: &Path) -> Result<(), Error> {
    if path.exists() { root::run(root::command("rm").args(["-r", "--"]).arg(path)) } else { Ok(()) }
}

/// `cargo xtask uninstall`.
///
/// # Errors
/// Something that is there could not be removed.
pub fn uninstall(tree: &Tree) -> Result<(), Error> {
    if !root::is_root() {
        root::announce("remove what belongs to root");
        return by_sudo(&["uninstall"], tree);
    }
    refuse_links(tree)?;
    for row in tree.rows().rev() {
        let path = tree.path(row.to);
        match row.origin {
            Origin::RulesDirectory => {}
            Origin::OwnDirectory => if_there(fs::remove_dir_all(&path)).map_err(Error::file("remove", &path))?,
            _ => remove_if_there(&path)?,
        }
    }
    let rules = tree.path(RULES);
    println!("Removed. The rules in {0} stay; to remove them too: rm -r {0}", rules.display());
    Ok(())
}

/// Sees to it that no path of the table leads out of a destdir. Below `/` itself, links are root's own.
fn refuse_links(tree: &Tree) -> Result<(), Error> {
    if tree.destdir == Path::new("/") {
        return Ok(());
    }
    for path in tree.rows().map(|row| tree.path(row.to)) {
        let below = path.ancestors().take_while(|part| *part != tree.destdir);
        if let Some(link) = below.filter(|part| part.is_symlink()).last() {
            return Err(Error::Link(link.to_owned()));
        }
    }
    Ok(())
}

/// This program once more, as root.
fn by_sudo(command: &[&str], tree: &Tree) -> Result<(), Error> {
    let own = env::current_exe().map_err(Error::file("find", Path::new("/proc/self/exe")))?;
    let mut again = root::command(own);
    again.args(command).args(["--prefix", &tree.prefix, "--destdir"]).arg(&tree.destdir);
    root::run(again.args(tree.authbind.then_some("--authbind-compat")))
}

fn put(workspace: &Workspace, tree: &Tree, row: &Row) -> Result<(), Error> {
    let to = tree.path(row.to);
    let Some(from) = workspace.source(row) else {
        make_directories(&to)?;
        return give_to_root(&to, row.mode);
    };
    make_directories(to.parent().unwrap_or(&to))?;
    put_file(&from, &to, row, &tree.prefix)
}

/// Makes a directory and those that it is in; one that is there already stays as it is.
fn make_directories(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), make_directories)?;
    fs::create_dir(path).map_err(Error::file("create", path))?;
    give_to_root(path, 0o755)
}

fn give_to_root(path: &Path, mode: u32) -> Result<(), Error> {
    chown(path, ROOT, ROOT)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)))
        .map_err(Error::file("give to root", path))
}

/// Replaces a file in one step: a program that runs goes on with the file that it was started from, and no helper is
/// ever seen without its capability.
fn put_file(from: &Path, to: &Path, row: &Row, prefix: &str) -> Result<(), Error> {
    let new = to.with_file_name(format!(".{}.new", row.file_name()));
    remove_if_there(&new)?;
    let done =
        write_new(from, &new, row, prefix).and_then(|()| fs::rename(&new, to).map_err(Error::file("replace", to)));
    if done.is_err() {
        // What went wrong before is what has to be told.
        let _ = remove_if_there(&new);
    }
    done
}

fn write_new(from: &Path, new: &Path, row: &Row, prefix: &str) -> Result<(), Error> {
    let content = content(from, row, prefix)?;
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(new).map_err(Error::file("create", new))?;
    file.write_all(&content)
        .and_then(|()| fchown(&file, ROOT, ROOT))
        .and_then(|()| file.set_permissions(Permissions::from_mode(row.mode)))
        .map_err(Error::file("write", new))?;
    // After content and owner: a change of either takes the capability away.
    if let Some(capability) = row.capability() {
        let failed = |source| Error::Capability { directory: new.parent().unwrap_or(new).to_owned(), source };
        file.set_xattr(CAPABILITY_ATTRIBUTE, capability).map_err(failed)?;
    }
    file.sync_all().map_err(Error::file("write", new))
}

/// What is written for a row.
pub(crate) fn content(from: &Path, row: &Row, prefix: &str) -> Result<Vec<u8>, Error> {
    let content = fs::read(from).map_err(Error::file("read", from))?;
    Ok(match row.origin {
        Origin::ForPrefix(_) => String::from_utf8_lossy(&content).replace(DEFAULT_PREFIX, prefix).into_bytes(),
        _ => content,
    })
}

/// Removes a file, which may be gone already.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), Error> {
    if_there(fs::remove_file(path)).map_err(Error::file("remove", path))
}

fn if_there(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
