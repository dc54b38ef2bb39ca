//! What of /proc the payload does not see, or cannot change.

use std::ffi::CStr;

/// Files of /proc that tell about the host's kernel or hardware.
pub(crate) const HIDDEN: &[&CStr] = &[
    c"config.gz",
    c"iomem",
    c"ioports",
    c"kallsyms",
    c"kcore",
    c"key-users",
    c"keys",
    c"latency_stats",
    c"pagetypeinfo",
    c"sched_debug",
    c"slabinfo",
    c"sysrq-trigger",
    c"timer_list",
    c"vmallocinfo",
];

/// Directories of /proc that change the host's hardware when written to.
pub(crate) const READ_ONLY: &[&CStr] =
    &[c"acpi", c"apm", c"asound", c"bus", c"fs", c"irq", c"scsi"];
