//! A guest: a kernel of Debian's in an emulated machine, with rauthbind, users, and what it is told to run.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use rauthbind_tests::{Running, World, stage};

/// A machine that has booted; it ends with the sandbox.
#[derive(Debug)]
pub(crate) struct Guest {
    machine: Running,
    /// To its second serial line.
    line: File,
    /// How much was asked so far.
    asked: Cell<u32>,
}

impl Guest {
    /// Boots the kernel of this package, with these programs in the guest's /bin.
    #[track_caller]
    pub(crate) fn boot(world: &World, package: &str, programs: &[&Path]) -> Self {
        // Cargo's directory for what tests need, where `cargo xtask test` has put it.
        let kernel = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernels").join(package);
        let boot = fs::read_dir(kernel.join("boot")).expect("`cargo xtask test` fetches the kernels");
        let image = boot.map(|entry| entry.unwrap().path()).next().unwrap();
        let initramfs = Path::new("/run/tmp/initramfs");
        let make = world.script("initramfs.sh", include_str!("initramfs.sh"));
        let init = world.script("init.sh", include_str!("init.sh"));
        let words = [&make, initramfs, &stage(), &kernel, &init].map(PathBuf::from);
        let words = words.into_iter().chain(programs.iter().map(PathBuf::from));
        world.command("root", words).run().successful();
        let (told, line) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let words: [&str; 21] = [
            "qemu-system-x86_64",
            // By software alone: not every machine lets others use its processor's help.
            "-accel",
            "tcg",
            "-cpu",
            "max",
            "-m",
            "512",
            "-nodefaults",
            "-no-reboot",
            "-display",
            "none",
            "-serial",
            // The console: what goes wrong with the guest itself.
            "file:/dev/stderr",
            "-serial",
            "stdio",
            "-kernel",
            image.to_str().unwrap(),
            "-initrd",
            initramfs.to_str().unwrap(),
            "-append",
            "console=ttyS0 quiet panic=-1 syscall.x32=y",
        ];
        let machine = world.command("root", words).stdin(told).start();
        let guest = Self { machine, line: line.into(), asked: Cell::new(0) };
        guest.machine.stdout_line("ready");
        guest
    }

    /// What a command says to its user, on either stream, with | between lines; and its status.
    #[track_caller]
    pub(crate) fn run(&self, user: &str, command: &str) -> (i32, String) {
        let number = self.asked.get() + 1;
        self.asked.set(number);
        writeln!(&self.line, "{number} {user} {command}").unwrap();
        let answer = self.machine.stdout_line(&format!("#{number} "));
        let (status, said) = answer.split_once(':').unwrap();
        let status = status.split_once(' ').unwrap().1.parse().unwrap();
        (status, said.trim_start().to_owned())
    }
}
