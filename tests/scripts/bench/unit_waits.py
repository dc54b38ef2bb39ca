# How long after a unit's change a wait for it returns: by what systemd tells, and by asking once a second.
#
#     nsrun test --quiet-consoles --machine IMAGE tests/scripts/bench/unit_waits.py
#
# Machines have the host's monotonic clock, in which systemd notes when a unit became active.
import random
import statistics
import time

TIMES = int(os.environ.get("TIMES", "20"))


def begin(name):
    delay = random.uniform(0.2, 1.2)
    options = "--service-type=notify --property=NotifyAccess=all --no-block --quiet"
    command = f"sleep {delay:.3f}; systemd-notify --ready; sleep 1000"
    machine.succeed(f"systemd-run --unit={name} {options} sh -c '{command}'")


def by_asking(name):
    while machine.get_unit_property(name, "ActiveState") != "active":
        time.sleep(1)


def late(name, wait):
    begin(name)
    wait(name)
    returned = time.clock_gettime(time.CLOCK_MONOTONIC)
    changed = int(machine.get_unit_property(name, "ActiveEnterTimestampMonotonic"))
    machine.succeed(f"systemctl stop {name}")
    return returned - changed / 1e6


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


machine.wait_for_unit("multi-user.target")
events, asking = [], []
for number in range(TIMES):
    events.append(late(f"told{number}.service", machine.wait_for_unit))
    asking.append(late(f"asked{number}.service", by_asking))
for what, values in [("told by systemd", events), ("asking each second", asking)]:
    middle, most = statistics.median(values), percentile(values, 0.95)
    print(f"{what}: median {middle * 1000:.1f} ms, 95 % within {most * 1000:.1f} ms")
print(f"ratio of the medians: {statistics.median(asking) / statistics.median(events):.0f}")
