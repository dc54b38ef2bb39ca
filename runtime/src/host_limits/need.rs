//! How much of what the whole host shares a machine needs, and whether there is enough.

/// A limit of the kernel that all machines together run into.
#[derive(Debug)]
pub(super) struct Limit {
    /// Its file below `/proc/sys`.
    pub(super) file: &'static str,
    /// What a system of some services needs, rounded up from what was measured.
    pub(super) per_machine: u64,
    pub(super) used: Used,
    /// Whether more of it does nobody any harm.
    pub(super) may_be_raised: bool,
    /// Whether only machines with a link of their own need it.
    pub(super) for_links: bool,
}

/// How much of it is in use already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Used {
    /// Nobody counts it: that much is left to the host, and what machines use is estimated.
    Estimated { host: u64 },
    /// The kernel says so in a file below `/proc/sys`. So much at the end is for the host alone.
    Told { file: &'static str, kept: u64 },
    /// It is the number of tasks on the host.
    Tasks,
}

/// A machine's users have keyrings and quotas of keys of their own, by their ids: many machines do
/// not exhaust those. Watches of inotify(7) are charged to the user who has made the namespace
/// too, and so are those of all machines to the host's root.
pub(super) const LIMITS: [Limit; 6] = [
    Limit {
        file: "fs/inotify/max_user_instances",
        per_machine: 8,
        used: Used::Estimated { host: 24 },
        may_be_raised: true,
        for_links: false,
    },
    Limit {
        file: "fs/inotify/max_user_watches",
        per_machine: 128,
        used: Used::Estimated { host: 4096 },
        may_be_raised: true,
        for_links: false,
    },
    Limit {
        file: "kernel/pty/max",
        per_machine: 4,
        used: Used::Told {
            file: "kernel/pty/nr",
            kept: 1024,
        },
        may_be_raised: false,
        for_links: false,
    },
    Limit {
        file: "kernel/pid_max",
        per_machine: 64,
        used: Used::Tasks,
        may_be_raised: false,
        for_links: false,
    },
    Limit {
        file: "kernel/threads-max",
        per_machine: 64,
        used: Used::Tasks,
        may_be_raised: false,
        for_links: false,
    },
    Limit {
        file: "net/ipv4/neigh/default/gc_thresh3",
        per_machine: 4,
        used: Used::Estimated { host: 256 },
        may_be_raised: false,
        for_links: true,
    },
];

/// Whether there is enough for one more machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Enough,
    /// There is enough for so many in all.
    TooLow {
        fits: u64,
    },
}

impl Limit {
    /// With `machines` of them, the new one included; `used` is what the kernel tells of.
    pub(super) fn judge(&self, value: u64, used: u64, machines: u64) -> Verdict {
        let fits = match self.used {
            Used::Estimated { host } => value.saturating_sub(host) / self.per_machine,
            Used::Told { kept, .. } => {
                let left = value.saturating_sub(kept).saturating_sub(used);
                machines.saturating_sub(1) + left / self.per_machine
            }
            Used::Tasks => {
                machines.saturating_sub(1) + value.saturating_sub(used) / self.per_machine
            }
        };
        if machines <= fits {
            Verdict::Enough
        } else {
            Verdict::TooLow { fits }
        }
    }

    /// A value with room for twice as many, so that not every start has to raise it.
    pub(super) fn ample(&self, machines: u64) -> u64 {
        let host = match self.used {
            Used::Estimated { host } => host,
            Used::Told { kept, .. } => kept,
            Used::Tasks => 0,
        };
        host.saturating_add(
            self.per_machine
                .saturating_mul(machines.max(32).saturating_mul(2)),
        )
    }

    /// Its name in the words of sysctl(8).
    pub(super) fn name(&self) -> String {
        self.file.replace('/', ".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(file: &str) -> &'static Limit {
        LIMITS.iter().find(|limit| limit.file == file).unwrap()
    }

    #[test]
    fn the_kernels_default_of_inotify_instances_is_enough_for_a_dozen() {
        let instances = limit("fs/inotify/max_user_instances");
        assert_eq!(instances.judge(128, 0, 13), Verdict::Enough);
        assert_eq!(instances.judge(128, 0, 14), Verdict::TooLow { fits: 13 });
        let ample = instances.ample(14);
        assert_eq!(instances.judge(ample, 0, 64), Verdict::Enough);
        assert_eq!(
            instances.judge(instances.ample(64), 0, 128),
            Verdict::Enough
        );
        assert_eq!(instances.judge(0, 0, 1), Verdict::TooLow { fits: 0 });
    }

    #[test]
    fn what_the_kernel_counts_is_not_estimated() {
        let ptys = limit("kernel/pty/max");
        assert_eq!(ptys.judge(4096, 0, 1), Verdict::Enough);
        assert_eq!(ptys.judge(4096, 3070, 5), Verdict::TooLow { fits: 4 });
        let pids = limit("kernel/pid_max");
        assert_eq!(pids.judge(32_768, 500, 100), Verdict::Enough);
        assert_eq!(pids.judge(1000, 950, 10), Verdict::TooLow { fits: 9 });
        assert_eq!(pids.judge(1000, 9500, 10), Verdict::TooLow { fits: 9 });
    }

    #[test]
    fn only_what_harms_nobody_is_raised() {
        let raised = LIMITS.iter().filter(|limit| limit.may_be_raised);
        assert!(
            raised
                .clone()
                .all(|limit| limit.file.starts_with("fs/inotify/"))
        );
        assert_eq!(raised.count(), 2);
        assert_eq!(limit("kernel/pty/max").name(), "kernel.pty.max");
    }
}
