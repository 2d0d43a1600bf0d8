//! The system packages that tests, demo and benchmark need.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::root;

/// Where the programs of every user are looked for: the PATH of all that tests and demo run.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A package, and how to see whether it is there, however it came.
#[derive(Debug)]
pub struct Package {
    /// Its name in Debian.
    debian: &'static str,
    /// A program to be found in [`PATH`], or a file.
    provides: &'static str,
}

/// What the end-to-end tests need.
pub const FOR_TESTS: &[Package] = &[
    PYTHON,
    Package { debian: "perl", provides: "perl" },
    NODE,
    CC,
    C_LIBRARY,
    Package { debian: "libcap2-bin", provides: "capsh" },
    Package { debian: "acl", provides: "setfacl" },
    Package { debian: "binutils", provides: "readelf" },
    Package { debian: "strace", provides: "strace" },
    Package { debian: "bsdutils", provides: "script" },
    Package { debian: "groff-base", provides: "groff" },
    Package { debian: "mandoc", provides: "mandoc" },
    NGINX,
    Package { debian: "apache2", provides: "apache2" },
    Package { debian: "h2o", provides: "h2o" },
    Package { debian: "libserver-starter-perl", provides: "start_server" },
    Package { debian: "haproxy", provides: "haproxy" },
    Package { debian: "lighttpd", provides: "lighttpd" },
    Package { debian: "gunicorn", provides: "gunicorn" },
    Package { debian: "uvicorn", provides: "uvicorn" },
    Package { debian: "default-jdk-headless", provides: "javac" },
    Package { debian: "tomcat10-common", provides: "/usr/share/tomcat10/bin/catalina.sh" },
    Package { debian: "dnsmasq-base", provides: "dnsmasq" },
    Package { debian: "unbound", provides: "unbound" },
    Package { debian: "bind9-dnsutils", provides: "dig" },
    Package { debian: "ucspi-tcp", provides: "tcpserver" },
    Package { debian: "ucspi-unix", provides: "unixserver" },
    Package { debian: "ipsvd", provides: "tcpsvd" },
    Package { debian: "runit", provides: "runsv" },
    Package { debian: "daemontools", provides: "supervise" },
    S6,
    Package { debian: "openbsd-inetd", provides: "inetd" },
    Package { debian: "socat", provides: "socat" },
    Package { debian: "openssh-server", provides: "sshd" },
    Package { debian: "openssh-client", provides: "ssh" },
    Package { debian: "faketime", provides: "faketime" },
    Package { debian: "libjemalloc-dev", provides: "/usr/include/jemalloc/jemalloc.h" },
    Package { debian: "fakeroot", provides: "fakeroot" },
    Package { debian: "systemd", provides: "systemd-analyze" },
    Package { debian: "dpkg", provides: "start-stop-daemon" },
    Package { debian: "dpkg-dev", provides: "dpkg-shlibdeps" },
    Package { debian: "lintian", provides: "lintian" },
    Package { debian: "rpm", provides: "rpm" },
    Package { debian: "golang-go", provides: "go" },
    Package { debian: "musl-tools", provides: "musl-gcc" },
    Package { debian: "busybox-static", provides: "/usr/share/doc/busybox-static/copyright" },
    Package { debian: "gcc-multilib", provides: "/usr/include/asm" },
    Package { debian: "caddy", provides: "caddy" },
    AUTHBIND,
    WRK,
    NFTABLES,
    Package { debian: "qemu-system-x86", provides: "qemu-system-x86_64" },
];

/// What the benchmark needs.
pub const FOR_BENCH: &[Package] = &[CC, C_LIBRARY, AUTHBIND, S6, NGINX, NODE, WRK, NFTABLES];

/// What the soak's app is built with.
pub const FOR_SOAK: &[Package] = &[CC, C_LIBRARY];

/// What the demo cannot do without.
pub const FOR_DEMO: &[Package] = &[PYTHON];

/// What libFuzzer is built with.
pub const FOR_FUZZING: &[Package] = &[Package { debian: "g++", provides: "c++" }];

const CC: Package = Package { debian: "gcc", provides: "cc" };
const C_LIBRARY: Package = Package { debian: "libc6-dev", provides: "/usr/include/stdio.h" };
const S6: Package = Package { debian: "s6", provides: "s6-supervise" };
const NGINX: Package = Package { debian: "nginx", provides: "nginx" };
/// As the README has it; not one of some version manager.
const NODE: Package = Package { debian: "nodejs", provides: "/usr/bin/node" };
const AUTHBIND: Package = Package { debian: "authbind", provides: "authbind" };
const WRK: Package = Package { debian: "wrk", provides: "wrk" };
const NFTABLES: Package = Package { debian: "nftables", provides: "nft" };
const PYTHON: Package = Package { debian: "python3", provides: "python3" };

/// Installs packages without starting the services in them (invoke-rc.d(8) asks policy-rc.d).
const INSTALL: &str = "
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    install -m 755 /dev/stdin $policy <<'END'
#!/bin/sh
exit 101
END
fi
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \"$@\"
";

/// Installs those that are missing.
///
/// # Errors
/// Some are missing, and there is no apt-get, or it does not bring them.
pub fn ensure(packages: &[Package]) -> Result<(), Error> {
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    if find("apt-get").is_none() {
        return Err(Error::Packages(missing));
    }
    println!("missing: {}; apt-get will install them", missing.join(" "));
    update()?;
    root::run(root::command("sh").args(["-c", INSTALL, "sh"]).args(&missing))?;
    match self::missing(packages) {
        still if still.is_empty() => Ok(()),
        still => Err(Error::Packages(still)),
    }
}

/// Has apt-get learn what there is.
pub(crate) fn update() -> Result<(), Error> {
    root::run(root::command("apt-get").args(["update", "-q"]))
}

/// Their names, for saying which they are.
#[must_use]
pub fn names(packages: &[Package]) -> String {
    packages.iter().map(|package| package.debian).collect::<Vec<_>>().join(" ")
}

fn missing(packages: &[Package]) -> Vec<&'static str> {
    packages.iter().filter(|package| find(package.provides).is_none()).map(|package| package.debian).collect()
}

/// Where in [`PATH`] a program is that every user can run; or the file itself, where that is what is asked for.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    PATH.split(':').map(|directory| Path::new(directory).join(name)).find(|path| everyone_reaches(path))
}

/// Whether others may read it, and run it where anyone may; and search every directory that it is really in.
fn everyone_reaches(path: &Path) -> bool {
    let allows = |path: &Path, bits| fs::metadata(path).is_ok_and(|file| file.permissions().mode() & bits == bits);
    let Ok(real) = fs::canonicalize(path) else { return false };
    let wanted = if allows(&real, 0o100) { 0o005 } else { 0o004 };
    allows(&real, wanted) && real.ancestors().skip(1).all(|directory| allows(directory, 0o001))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_everyone_can_run_and_nothing_else() {
        assert!(find("sh").is_some_and(|path| path.is_absolute()));
        assert!(find("/etc/passwd").is_some());
        assert_eq!(find("/etc/shadow"), None);
        assert_eq!(find("no-such-program"), None);
    }

    #[test]
    fn a_link_reaches_no_further_than_what_it_leads_to() {
        let directory = std::env::temp_dir().join(format!("xtask-test-{}", std::process::id()));
        let hidden = directory.join("hidden");
        fs::create_dir_all(&hidden).unwrap();
        fs::write(hidden.join("program"), "").unwrap();
        fs::set_permissions(hidden.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&hidden, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink("hidden/program", directory.join("link")).unwrap();
        let found = find(&directory.join("link").to_string_lossy());
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(found, None);
    }
}
