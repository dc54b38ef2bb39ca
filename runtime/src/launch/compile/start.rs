//! The last steps: identity, restrictions, and the payload.

use std::ffi::CString;

use rustix::fs::{Gid, Uid};

use super::builder::{self, Builder};
use crate::error::Result;
use crate::facts::Account;
use crate::launch::op::{Op, Program, User};
use crate::launch::slot::Slot;
use crate::plan::{Console, Plan};
use crate::seccomp::{self, Filter};
use crate::sys::exec::CVec;

/// Adds the steps and returns the filters that they refer to.
pub(super) fn build(b: &mut Builder, plan: &Plan) -> Result<Vec<Filter>> {
    let hostname = builder::text("the host name", plan.hostname.as_bytes())?;
    b.must(Op::Hostname(hostname));
    if let Some(personality) = plan.tuning.personality {
        b.must(Op::Personality(personality.number()));
    }
    b.must(Op::Umask(0o022));
    b.must(Op::ResetSignals);
    b.must(Op::Keyring);
    b.must(Op::Chdir(builder::text(
        "the working directory",
        plan.workdir.as_bytes(),
    )?));
    let mut slots = vec![Slot::Notify];
    if matches!(plan.console, Console::Terminal(_)) {
        slots.push(Slot::Master);
    }
    b.must(Op::Send { slots });
    if plan.no_new_privileges {
        b.must(Op::NoNewPrivileges);
    }
    let filters = vec![seccomp::payload_filter(
        seccomp::Arch::NATIVE,
        plan.capabilities,
        &plan.restrictions,
    )];
    for index in 0..filters.len() {
        b.must(Op::Seccomp(index));
    }
    // After the filter, which takes CAP_SYS_ADMIN to install.
    b.must(Op::Capabilities {
        keep: plan.capabilities.mask(),
        ambient: plan.ambient.mask(),
        user: plan.account.as_ref().map(user),
    });
    // Once more: what came before may have cleared it.
    b.must(Op::DieWithParent);
    b.must(Op::CloseOnExec);
    b.must(Op::AwaitStart);
    if plan.stub {
        b.must(Op::Stub);
    }
    b.must(Op::Session);
    b.must(Op::Exec);
    Ok(filters)
}

fn user(account: &Account) -> User {
    User {
        uid: Uid::from_raw(account.uid),
        gid: Gid::from_raw(account.gid),
        groups: account.groups.iter().copied().map(Gid::from_raw).collect(),
    }
}

/// The payload's program.
pub(super) fn program(plan: &Plan) -> Result<Program> {
    let argv: Result<Vec<CString>> = plan
        .argv
        .iter()
        .map(|word| builder::text("an argument", word.as_bytes()))
        .collect();
    let env: Result<Vec<CString>> = plan
        .env
        .iter()
        .map(|(key, value)| builder::text("the environment", format!("{key}={value}").as_bytes()))
        .collect();
    Ok(Program {
        path: builder::text("the program's path", plan.program.as_bytes())?,
        argv: CVec::new(argv?),
        env: CVec::new(env?),
    })
}
