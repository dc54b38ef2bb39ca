//! Which device nodes the payload may use.

use crate::cgroup::Scope;
use crate::device_policy::{Access, DevicePolicy, Rule};
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;

/// Takes from the payload the devices that it does not need. Without a user namespace nothing else
/// could: ADR 10.
pub(super) fn restrict(scope: &Scope, plan: &Plan) -> Result<()> {
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
    scope.restrict_devices(&policy).map_err(refuse)
}

fn refuse(error: Error) -> Error {
    let what = "the payload could use devices of the host";
    Error::new(Kind::HostLacks, what).because(error).hint(
        "let nsrun load the policy: the kernel needs CONFIG_CGROUP_BPF, nsrun CAP_BPF or \
         CAP_SYS_ADMIN, and a container around nsrun a filter that allows bpf(2)",
    )
}

/// The warning that a machine with a user namespace starts without the list.
pub(super) fn weaker(reason: &str) -> String {
    format!(
        "{reason}; instead, no device node of the image and of directories of the host can be used"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_tells_what_the_policy_takes() {
        let cause = Error::new(Kind::HostLacks, "cannot restrict devices").hint("inner");
        let error = refuse(cause);
        assert_eq!(error.kind(), Kind::HostLacks);
        assert!(error.to_string().ends_with(": cannot restrict devices"));
        let hint = error.advice().unwrap();
        assert!(hint.contains("CONFIG_CGROUP_BPF") && hint.contains("CAP_BPF"));
    }
}
