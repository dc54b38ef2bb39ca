//! Options of every verb that starts a payload, in nspawn's spelling.

use std::path::{Path, PathBuf};

use nsrun_runtime::caps::CapSet;
use nsrun_runtime::image::lookup;
use nsrun_runtime::plan::{Mode, Network, Request, ResolvConf};
use nsrun_runtime::range::PrivateUsers;
use nsrun_runtime::{Error, Kind, MachineName, Result};
use rustix::termios::isatty;

use crate::globals::Globals;

/// What to start, and how.
#[derive(clap::Args, Debug)]
pub struct MachineArgs {
    /// Directory with the root file system, if the word has a slash; else name of an image
    #[arg(value_name = "ROOTFS|IMAGE")]
    pub image: String,

    /// Name of the machine [default: the image's]
    #[arg(short = 'M', long, value_name = "NAME")]
    machine: Option<MachineName>,

    /// Ids of the payload: no, pick, or BASE[:RANGE]
    #[arg(long, value_name = "MODE", default_value = "pick")]
    private_users: PrivateUsers,

    /// Network of the payload: host, private or veth
    #[arg(long, value_name = "MODE", value_parser = network)]
    network: Option<Network>,

    /// Host name of the payload [default: the machine's name]
    #[arg(long, value_name = "NAME")]
    hostname: Option<MachineName>,

    /// Machine id for an image that has none
    #[arg(long, value_name = "UUID")]
    uuid: Option<String>,

    /// Set an environment variable of the payload; without value, pass the caller's on
    #[arg(short = 'E', long, value_name = "NAME[=VALUE]")]
    setenv: Vec<String>,

    /// Give the payload more capabilities
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    capability: Vec<String>,

    /// Take capabilities from the payload
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    drop_capability: Vec<String>,

    /// Let no program of the payload gain privileges
    #[arg(long)]
    no_new_privileges: bool,

    /// Make the root file system read-only
    #[arg(long)]
    read_only: bool,

    /// What /proc/cmdline shows the payload
    #[arg(long, value_name = "TEXT", default_value = "")]
    kernel_cmdline: String,

    /// Let the payload mount its own /proc and /sys, as nested containers and sandboxes need it
    #[arg(long)]
    nesting: bool,

    /// How the payload's resolv.conf is treated: auto, off or copy-host
    #[arg(long, value_name = "MODE", default_value = "auto", value_parser = resolv_conf)]
    resolv_conf: ResolvConf,

    /// Use a root directory that is not owned by root
    #[arg(long)]
    pub allow_unsafe_root: bool,

    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl MachineArgs {
    /// The request that these options make.
    pub fn request(&self, mode: Mode, globals: &Globals) -> Result<Request> {
        let root = self.root(globals)?;
        let machine = match &self.machine {
            Some(name) => name.clone(),
            None => name_of(&root)?,
        };
        let mut request = Request::new(machine, root, mode);
        request.users = self.private_users;
        request.network = self.network;
        request.hostname = self.hostname.as_ref().map(ToString::to_string);
        request.uuid.clone_from(&self.uuid);
        request.env = environment(&self.setenv)?;
        request.add_capabilities = capabilities(&self.capability)?;
        request.drop_capabilities = capabilities(&self.drop_capability)?;
        request.no_new_privileges = self.no_new_privileges;
        request.read_only = self.read_only;
        request.kernel_cmdline.clone_from(&self.kernel_cmdline);
        request.nesting = self.nesting;
        request.resolv_conf = self.resolv_conf;
        request.interactive = isatty(rustix::stdio::stdin()) && isatty(rustix::stdio::stdout());
        Ok(request)
    }

    fn root(&self, globals: &Globals) -> Result<PathBuf> {
        if self.image.contains('/') {
            return std::path::absolute(&self.image).map_err(|e| {
                Error::new(Kind::Failed, "cannot tell the current directory").because(e)
            });
        }
        let name = self.image.parse()?;
        let image = lookup::find(&globals.dirs, &name)?;
        image.tree().map(Path::to_owned)
    }
}

fn name_of(root: &Path) -> Result<MachineName> {
    let last = root.file_name().map(|name| name.to_string_lossy());
    last.and_then(|name| MachineName::cleaned(&name))
        .ok_or_else(|| {
            let root = root.display();
            Error::new(
                Kind::Usage,
                format!("cannot make a machine name from {root}"),
            )
            .hint("name the machine with --machine=NAME")
        })
}

/// Reads `NAME=VALUE` or, for the caller's value, `NAME`.
pub fn environment(texts: &[String]) -> Result<Vec<(String, String)>> {
    texts.iter().map(|text| variable(text)).collect()
}

fn variable(text: &str) -> Result<(String, String)> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        None => (text, std::env::var(text).unwrap_or_default()),
    };
    if name.is_empty() {
        let text = text.escape_debug();
        return Err(Error::new(
            Kind::Usage,
            format!("invalid environment variable '{text}'"),
        ));
    }
    Ok((name.to_owned(), value))
}

fn capabilities(words: &[String]) -> Result<CapSet> {
    words.join(",").parse()
}

fn network(text: &str) -> Result<Network, String> {
    let all = [Network::Host, Network::Private, Network::Veth];
    all.into_iter()
        .find(|n| n.word() == text)
        .ok_or_else(|| "it is one of host, private, veth".to_owned())
}

fn resolv_conf(text: &str) -> Result<ResolvConf, String> {
    match text {
        "auto" => Ok(ResolvConf::Auto),
        "off" => Ok(ResolvConf::Off),
        "copy-host" => Ok(ResolvConf::CopyHost),
        _ => Err("it is one of auto, off, copy-host".to_owned()),
    }
}
