//! The command line and `--help`.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

use super::ports::{Addresses, Port, Ports};

/// Says who may bind which privileged port, by the rules in /etc/rauthbind.
#[derive(Debug, Parser)]
#[command(
    name = "rauthbindctl",
    version,
    max_term_width = 80,
    after_help = "\
Examples:
  rauthbindctl allow 80,443 alice       alice may bind ports 80 and 443
  rauthbindctl revoke 80 alice          and no longer port 80
  rauthbindctl list                     who may bind what
  rauthbindctl explain 80 --user bob    why bob may bind port 80, or why not
  rauthbindctl doctor                   what is wrong with the installation

Exit status: 0 done, allowed, no difference, nothing found; 1 not done, refused,
a difference, something found; 2 not understood, or cannot be told.

See rauthbindctl(8) and rauthbind-rules(5)."
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// One thing that can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Let users or groups bind ports
    Allow(Allow),
    /// Take back what allow gives, from the next bind on
    Revoke(Revoke),
    /// Show who may bind what, and which rules have no effect
    List(List),
    /// Show why a user may bind a port, or why not
    Explain(Explain),
    /// Look for what is wrong with the installation, or with a command
    Doctor(Doctor),
    /// Take over the rules of authbind
    Import(Import),
    /// Print all grants as one text, which apply reads
    Export,
    /// Make the rules be what a text says
    Apply(Apply),
}

/// `allow`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rauthbindctl allow http alice bob
  rauthbindctl allow 53/udp @dns --addr 192.0.2.1
  rauthbindctl allow 400-410 alice --addr 10.0.0.0/8")]
pub struct Allow {
    /// Ports and to whom.
    #[command(flatten)]
    pub grant: Grant,
    /// Grant ports 512 to 1023 too, which some hosts take for a proof that root is speaking
    #[arg(long)]
    pub yes: bool,
}

/// `revoke`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rauthbindctl revoke 80,443 alice
  rauthbindctl revoke 53/udp @dns --addr 192.0.2.1")]
pub struct Revoke {
    /// Ports and from whom.
    #[command(flatten)]
    pub grant: Grant,
}

/// What is given or taken, and to or from whom.
#[derive(Args, Debug)]
pub struct Grant {
    /// Numbers, ranges or names of services, separated by commas; tcp, udp, udplite, sctp or dccp alone behind a slash
    #[arg(value_name = "PORTS[/PROTO]")]
    pub ports: Ports,
    /// Users by name or number; groups with @ before it
    #[arg(value_name = "USER|@GROUP", required = true, value_hint = ValueHint::Username)]
    pub subjects: Vec<String>,
    /// Only this address; or, for users, those of a range (A-B) or network (A/LENGTH)
    #[arg(long, value_name = "A")]
    pub addr: Option<Addresses>,
}

/// `list`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rauthbindctl list --user alice
  rauthbindctl list --json")]
pub struct List {
    /// Only what this user may bind
    #[arg(long, value_name = "U", value_hint = ValueHint::Username)]
    pub user: Option<String>,
    /// For programs; the form is told in rauthbindctl(8)
    #[arg(long)]
    pub json: bool,
}

/// `explain`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rauthbindctl explain 443
  rauthbindctl explain 53/udp --user alice --addr 192.0.2.1
  rauthbindctl explain 80 --quiet && exec ./serve")]
pub struct Explain {
    /// A number or the name of a service; tcp unless a protocol is given
    #[arg(value_name = "PORT[/PROTO]")]
    pub port: Port,
    /// Of this user (only root can ask for others)
    #[arg(long, value_name = "U", value_hint = ValueHint::Username)]
    pub user: Option<String>,
    /// At this address, in the place of 0.0.0.0 and ::
    #[arg(long, value_name = "A")]
    pub addr: Option<IpAddr>,
    /// Print nothing; the exit status tells
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
    /// For programs; the form is told in rauthbindctl(8)
    #[arg(long)]
    pub json: bool,
}

/// `doctor`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rauthbindctl doctor
  rauthbindctl doctor -- node server.js")]
pub struct Doctor {
    /// A command that is to run under rauthbind; it is not run
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// `import`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rauthbindctl import            shows what would change
  rauthbindctl import --apply    and changes it")]
pub struct Import {
    /// The directory of authbind's rules
    #[arg(default_value = "/etc/authbind", value_hint = ValueHint::DirPath)]
    pub directory: PathBuf,
    /// Write the rules; without it they are only shown
    #[arg(long)]
    pub apply: bool,
}

/// `apply`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rauthbindctl export > grants
  rauthbindctl apply --check grants
  rauthbindctl apply grants")]
pub struct Apply {
    /// What export prints; - is the standard input
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Change nothing: show the difference, and tell by the exit status whether there is one
    #[arg(long)]
    pub check: bool,
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use clap::CommandFactory as _;
    use clap_complete::{Shell, generate};

    use super::*;

    #[test]
    fn the_command_line_makes_sense() {
        Arguments::command().debug_assert();
    }

    /// Those for zsh; for bash and fish nothing is generated that knows of users. Writes anew what is not current, so that
    /// it need only be looked at and kept.
    #[test]
    fn the_completions_are_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/completions/_rauthbindctl");
        let mut current = Vec::new();
        generate(Shell::Zsh, &mut Arguments::command(), "rauthbindctl", &mut current);
        if fs::read(&path).ok().as_ref() != Some(&current) {
            fs::write(&path, &current).unwrap();
            panic!("packaging/completions/_rauthbindctl was not current, and is now");
        }
    }
}
