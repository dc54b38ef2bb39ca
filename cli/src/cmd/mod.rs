//! The verbs, one module each.

pub mod attach;
pub mod background;
pub mod bind;
pub mod boot;
pub mod cat;
pub mod change_images;
pub mod clone;
pub mod completions;
pub mod config;
pub mod control;
pub mod copy;
mod defaults;
mod disk_args;
pub mod edit;
pub mod enable;
pub mod exec;
pub mod export;
pub mod images;
pub mod import;
pub mod import_raw;
pub mod install_compat;
pub mod list;
pub mod login;
pub mod logs;
pub mod machine_args;
pub mod man;
mod mount_args;
pub mod net;
mod network_args;
pub mod process_args;
pub mod pull;
pub mod run;
pub mod security_args;
pub mod settings_args;
pub mod show;
mod start;
mod start_enabled;
pub mod status;
pub mod stop;
mod system;
mod template;
pub mod testing;
pub mod top;
pub mod unit_args;

use std::process::ExitCode;

use nsrun_runtime::{Error, Kind, Result};

use crate::args::Command;
use crate::globals::Globals;
use crate::{report, serve};

/// Exit status of `run` and `exec` for failures of nsrun itself, so that they are not taken for
/// the command's.
pub(crate) const OWN_FAILURE: u8 = 125;

/// Runs the verb and turns its result into the exit status.
pub fn dispatch(command: &Command, globals: &Globals) -> ExitCode {
    attempt(command, globals).unwrap_or_else(|error| match command {
        Command::Run(_) | Command::Exec(_) | Command::Shell(_) => commands_failure(&error),
        _ => report::failure(&error),
    })
}

/// Puts right what no machine's name leads to, after a crash.
fn repair() {
    for repaired in [
        nsrun_runtime::host_limits::put_back(),
        nsrun_runtime::machine::put_back_forwarding(),
    ] {
        if let Err(error) = repaired {
            report::print(&error);
        }
    }
}

/// Runs the verb; the exit status is that of a success.
pub(crate) fn attempt(command: &Command, globals: &Globals) -> Result<ExitCode> {
    let for_everybody = matches!(
        command,
        Command::InstallCompat(_) | Command::Man(_) | Command::Completions(_)
    );
    if !for_everybody {
        require_root()?;
        repair();
    }
    carry_out(command, globals)
}

fn carry_out(command: &Command, globals: &Globals) -> Result<ExitCode> {
    match command {
        Command::Boot(args) => return boot::run(args, globals),
        Command::Start(args) => return background::run(args, globals),
        Command::Enable(args) => return enable::enable(args, globals),
        Command::Disable(args) => enable::disable(args, globals),
        Command::Run(args) => return run::run(args, globals),
        Command::Test(args) => return testing::run(args, globals),
        Command::Serve(args) => return serve::run(args, globals),
        Command::Exec(args) => return exec::run(args, globals),
        Command::Login(args) => return login::run(args, globals),
        Command::Shell(args) => return login::shell(args, globals),
        Command::Import(args) => import::run(args, globals),
        Command::ImportFs(args) => import::run_fs(args, globals),
        Command::ImportRaw(args) => import_raw::run(args, globals),
        Command::Images(args) => images::list(args, globals),
        Command::ImageStatus(args) => images::status(args, globals),
        Command::Clone(args) => clone::run(args, globals),
        Command::Export(args) => export::run(args, globals),
        Command::Pull(args) => pull::run(args, globals),
        Command::Remove(args) => change_images::remove(args, globals),
        Command::Rename(args) => change_images::rename(args, globals),
        Command::ReadOnly(args) => change_images::read_only(args, globals),
        Command::Clean(args) => change_images::clean(args, globals),
        Command::List(args) => list::run(args, globals),
        Command::Status(args) => status::run(args, globals),
        Command::Show(args) => show::run(args, globals),
        Command::Ip(args) => net::ip(args, globals),
        Command::Ports(args) => net::ports(args, globals),
        Command::Top(args) => top::run(args, globals),
        Command::Attach(args) => attach::run(args, globals),
        Command::Logs(args) => logs::run(args, globals),
        Command::Bind(args) => bind::run(args, globals),
        Command::Unbind(args) => bind::unbind(args, globals),
        Command::Cp(args) => copy::run(args, globals),
        Command::CopyTo(args) => copy::copy_to(args, globals),
        Command::CopyFrom(args) => copy::copy_from(args, globals),
        Command::Stop(args) => stop::run(args, globals),
        Command::Cat(args) => cat::run(args, globals),
        Command::Edit(args) => edit::run(args, globals),
        Command::Config(args) => config::run(args, globals),
        Command::Poweroff(args) => control::power_off(args, globals),
        Command::Reboot(args) => control::reboot(args, globals),
        Command::Terminate(args) => control::terminate(args, globals),
        Command::Kill(args) => control::kill(args, globals),
        Command::Pause(args) => control::pause(args, globals),
        Command::Resume(args) => control::resume(args, globals),
        Command::Wait(args) => control::wait(args, globals),
        Command::IsRunning(args) => return control::is_running(args, globals),
        Command::InstallCompat(args) => install_compat::run(args, globals),
        Command::Man(args) => man::run(args),
        Command::Completions(args) => completions::run(args),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// Locks, and with them the truth about machines, are root's alone to see.
pub(crate) fn require_root() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Error::new(Kind::HostLacks, "nsrun needs root privileges").hint("run it with sudo"))
}

/// Reports a failure of a verb whose status is a command's.
fn commands_failure(error: &Error) -> ExitCode {
    report::print(error);
    match error.kind() {
        kind @ (Kind::NotExecutable | Kind::NoCommand) => kind.exit_status().into(),
        _ => OWN_FAILURE.into(),
    }
}
