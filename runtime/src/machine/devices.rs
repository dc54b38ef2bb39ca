//! Which device nodes the payload may use.

use crate::cgroup::Scope;
use crate::device_policy::{Access, DevicePolicy, Rule};
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;

/// Takes from the payload the devices that it does not need; says so if only the user namespace
/// does.
pub(super) fn restrict(scope: &Scope, plan: &Plan, shifted: bool) -> Result<Option<String>> {
    let mut policy = DevicePolicy::closed();
    for device in &plan.devices {
        policy = policy.and(match device.to_bytes() {
            b"/dev/fuse" => Rule::FUSE,
            _ => Rule::TUN,
        });
    }
    for &((kind, major, minor), writable) in &plan.nodes {
        let access = if writable {
            Access::READ_WRITE
        } else {
            Access::READ
        };
        policy = policy.and(Rule::node(kind, major, minor, access));
    }
    match scope.restrict_devices(&policy) {
        Ok(()) => Ok(None),
        // Nobody but the owner of the initial user namespace can make device nodes.
        Err(error) if shifted => Ok(Some(format!("{error}; the user namespace has to do"))),
        // CAP_SYS_ADMIN would undo whatever mount option took the policy's place.
        Err(error) => Err(refuse(error)),
    }
}

fn refuse(error: Error) -> Error {
    let what = "without a user namespace the payload could use every device of the host";
    Error::new(Kind::HostLacks, what)
        .because(error)
        .hint("leave --private-users at its default")
}
