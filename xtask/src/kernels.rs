//! Kernels of Debian's that the tests boot. They are unpacked below `target/`, not installed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::cargo::Workspace;
use crate::error::Error;
use crate::{packages, root};

/// The packages that name them. The first has x32, which those for clouds have not; the second is of another year, and a
/// third of the size.
pub const KERNELS: [&str; 2] = ["linux-image-amd64", "linux-image-6.12-cloud-amd64"];

/// Unpacks the kernel that a package depends on, and the modules of what the tests need of it, into a directory.
const FETCH: &str = "
set -e
cd \"$1\"
apt-get download -q \"$(apt-cache depends --important \"$2\" | sed -n 's/ *Depends: //p')\"
dpkg-deb --fsys-tarfile ./*.deb |
    tar -x --wildcards './boot/vmlinuz-*' '*/modules.*' '*crc32c*' '*udp_tunnel*' '*/net/sctp/*' '*/net/dccp/*'
rm ./*.deb
";

/// Where [`fetch`] puts the kernel of a package: in cargo's directory for what tests need.
#[must_use]
pub fn directory(workspace: &Workspace, package: &str) -> PathBuf {
    workspace.target.join("tmp/kernels").join(package)
}

/// Fetches those that are missing.
///
/// # Errors
/// There is no apt-get, or it does not bring them.
pub fn fetch(workspace: &Workspace) -> Result<(), Error> {
    let missing: Vec<_> = KERNELS.into_iter().filter(|package| !directory(workspace, package).is_dir()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    packages::update()?;
    for package in missing {
        let kernel = directory(workspace, package);
        let unfinished = directory(workspace, &format!("{package}.unfinished"));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(Error::file("remove", &unfinished))?;
        }
        fs::create_dir_all(&unfinished).map_err(Error::file("create", &unfinished))?;
        root::run(Command::new("sh").args(["-c", FETCH, "sh"]).arg(&unfinished).arg(package))?;
        fs::rename(&unfinished, &kernel).map_err(Error::file("create", &kernel))?;
    }
    Ok(())
}
