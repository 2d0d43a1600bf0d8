//! `cargo xtask package`: packages of what the table in [`layout`](crate::layout) says, made by the tools of their kind.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cargo::Workspace;
use crate::error::Error;
use crate::install::content;
use crate::layout::{AUTHBIND, CAPABILITY_TEXT, Origin, Row, TABLE};
use crate::root;

/// What packages are built for.
const PREFIX: &str = "/usr";

/// What is said where the helper's capability cannot be set.
const WHAT_WORKS: &str = "What works all the same: the broker (systemctl enable --now rauthbind-broker.socket), services \
                          with AmbientCapabilities=CAP_NET_BIND_SERVICE, and rauthbind -u USER run by root; see \
                          rauthbind-recipes(7).";

/// Makes the directories of rules, which cannot be in the packages. One that is there stays as the administrator has it.
const MAKE_DIRECTORIES: &str = "\
for directory in @RULES_DIRECTORIES@; do
    [ -d \"$directory\" ] || install -d -m 0755 \"$directory\"
done";

/// The kind of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For dpkg.
    Deb,
    /// For rpm.
    Rpm,
}

impl Format {
    /// The crate of the program that makes it, and which version of that.
    fn tool(self) -> (&'static str, &'static str) {
        match self {
            Self::Deb => ("cargo-deb", "3.8.0"),
            Self::Rpm => ("cargo-generate-rpm", "0.21.1"),
        }
    }
}

/// A package: its manifest in `packaging/manifests` has this name.
struct Package {
    name: &'static str,
    rows: &'static [Row],
}

const PACKAGES: [Package; 2] =
    [Package { name: "rauthbind", rows: TABLE }, Package { name: "rauthbind-authbind", rows: AUTHBIND }];

/// Where the packages are put.
///
/// # Errors
/// As for [`Workspace::find`].
pub fn directory() -> Result<PathBuf, Error> {
    Workspace::find().map(|workspace| workspace.target.join("packages"))
}

/// Builds rauthbind for packages of this format, and makes them.
///
/// # Errors
/// Something could not be built, or the tool failed.
pub fn build(format: Format, revision: &str) -> Result<(), Error> {
    let workspace = Workspace::find()?;
    let tool = workspace.tool(format.tool())?;
    let packages = directory()?;
    // Apart from what is built for other prefixes, so that neither has the other built anew.
    let workspace = Workspace { target: workspace.target.join("package-build"), ..workspace };
    workspace.build(PREFIX)?;
    PACKAGES.iter().try_for_each(|package| {
        let own = write_sources(&workspace, package, revision)?;
        let mut make = workspace.command(&tool);
        match format {
            // Quiet: it warns of every path that is not below target/release.
            Format::Deb => {
                make.args(["--quiet", "--no-build", "--no-strip", "--manifest-path"]).arg(own.join("Cargo.toml"))
            }
            Format::Rpm => make.args(["--auto-req", "builtin", "--package"]).arg(own),
        };
        root::run(make.arg("--output").arg(packages.join("")))
    })
}

/// Writes the manifest that both tools read, and what it names that the checkout does not have in this form.
fn write_sources(workspace: &Workspace, package: &Package, revision: &str) -> Result<PathBuf, Error> {
    let own = workspace.target.join(package.name);
    let (texts, scripts) = (own.join("texts"), own.join("scripts"));
    for directory in [&texts, &scripts] {
        fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
    }
    let assets: Vec<Asset> =
        package.rows.iter().filter_map(|row| asset(workspace, row, &texts).transpose()).collect::<Result<_, _>>()?;
    let lines = |line: fn(&Asset) -> String| assets.iter().map(line).collect::<String>();
    let paths = |which: fn(&Row) -> bool| {
        let rows = package.rows.iter().filter(|row| which(row));
        rows.map(to).collect::<Vec<_>>().join(" ")
    };
    let values = [
        ("@VERSION@", env!("CARGO_PKG_VERSION").to_owned()),
        ("@REVISION@", revision.to_owned()),
        ("@CHECKOUT@", workspace.root.display().to_string()),
        ("@DEB_ASSETS@", lines(Asset::for_deb)),
        ("@RPM_ASSETS@", lines(Asset::for_rpm)),
        ("@MAKE_RULES_DIRECTORIES@", MAKE_DIRECTORIES.to_owned()),
        ("@RULES_DIRECTORIES@", paths(|row| row.origin == Origin::RulesDirectory)),
        ("@OWN_DIRECTORIES@", paths(|row| row.origin == Origin::OwnDirectory)),
        ("@HELPER@", paths(|row| row.capability().is_some())),
        ("@CAPABILITY@", CAPABILITY_TEXT.to_owned()),
        ("@WHAT_WORKS@", WHAT_WORKS.to_owned()),
    ];
    let fill = |from: &Path, to: &Path| {
        let text = fs::read_to_string(from).map_err(Error::file("read", from))?;
        let text = values.iter().fold(text, |text, (name, value)| text.replace(name, value));
        fs::write(to, text).map_err(Error::file("write", to))
    };
    let packaging = workspace.root.join("packaging");
    for script in ["postinst", "prerm", "postrm"] {
        fill(&packaging.join("debian").join(script), &scripts.join(script))?;
    }
    fill(&packaging.join("manifests").join(format!("{}.toml", package.name)), &own.join("Cargo.toml"))?;
    Ok(own)
}

/// A file of a package.
struct Asset {
    source: PathBuf,
    to: String,
    mode: u32,
    has_capability: bool,
}

/// The asset of a row; none for a directory, which neither tool can put into a package.
fn asset(workspace: &Workspace, row: &Row, texts: &Path) -> Result<Option<Asset>, Error> {
    let Some(mut source) = workspace.source(row) else { return Ok(None) };
    if let Origin::ForPrefix(_) = row.origin {
        let text = texts.join(row.file_name());
        fs::write(&text, content(&source, row, PREFIX)?).map_err(Error::file("write", &text))?;
        source = text;
    }
    Ok(Some(Asset { source, to: to(row), mode: row.mode, has_capability: row.capability().is_some() }))
}

/// Where a row is once it is installed.
fn to(row: &Row) -> String {
    Path::new(PREFIX).join(row.to).display().to_string()
}

impl Asset {
    fn for_deb(&self) -> String {
        // Where zsh looks in Debian.
        let to = self.to.replace("/zsh/site-functions/", "/zsh/vendor-completions/");
        format!("    [{:?}, {to:?}, \"{:o}\"],\n", self.source, self.mode)
    }

    fn for_rpm(&self) -> String {
        let Self { source, to, mode, .. } = self;
        let caps = if self.has_capability { format!(", caps = {CAPABILITY_TEXT:?}") } else { String::new() };
        format!("    {{ source = {source:?}, dest = {to:?}, mode = \"{mode:o}\"{caps} }},\n")
    }
}
