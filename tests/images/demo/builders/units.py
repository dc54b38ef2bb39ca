"""Builder: a directory of systemd units, as /etc/systemd/system is to be.

Environment: out; specPath: a JSON file with `roots` (directories of packages' units), `upstream`
(names wanted of them), `enabled` (those of them that start by themselves), `units` (store paths that hold
one unit or drop-in each) and `links`. What the [Install] sections of our own units and the enabled ones ask
for is done here: the image has no `systemctl enable`.
"""

import json
import os
import re

INSTALL = re.compile(r"^(WantedBy|RequiredBy|Alias)=(.*)$", re.MULTILINE)
DEPENDENCY = {"WantedBy": "wants", "RequiredBy": "requires"}


def link(target, path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.remove(path)
    os.symlink(target, path)


def listing(directory):
    return os.listdir(directory) if os.path.isdir(directory) else []


def add_upstream(out, roots, names):
    for root in roots:
        present = [name for name in names if os.path.lexists(f"{root}/{name}")]
        for name in present:
            # An alias is one only as a link to a name of the same directory.
            alias = os.path.islink(f"{root}/{name}")
            link(os.path.basename(os.readlink(f"{root}/{name}")) if alias else f"{root}/{name}", f"{out}/{name}")
            for drop_in in listing(f"{root}/{name}.d"):
                link(f"{root}/{name}.d/{drop_in}", f"{out}/{name}.d/{drop_in}")
        for directory in sorted(os.listdir(root)):
            if directory.endswith((".wants", ".requires")):
                for name in os.listdir(f"{root}/{directory}"):
                    if name in names:
                        link(f"../{name}", f"{out}/{directory}/{name}")


def add_own(out, unit):
    for directory, _, files in os.walk(unit):
        for name in files:
            path = f"{directory}/{name}"
            place = os.path.relpath(path, unit)
            link(path, f"{out}/{place}")
            if "/" not in place:
                enable(out, name)


def enable(out, name):
    """Does what the [Install] section of a unit that is there asks for."""
    with open(f"{out}/{name}") as file:
        wishes = INSTALL.findall(file.read())
    for key, values in wishes:
        for value in values.split():
            if key == "Alias":
                link(name, f"{out}/{value}")
            else:
                link(f"../{name}", f"{out}/{value}.{DEPENDENCY[key]}/{name}")


def main():
    out = os.environ["out"]
    with open(os.environ["specPath"]) as file:
        spec = json.load(file)
    os.mkdir(out)
    add_upstream(out, spec["roots"], spec["upstream"])
    for name in spec["enabled"]:
        enable(out, name)
    for unit in spec["units"]:
        add_own(out, unit)
    for name, target in sorted(spec["links"].items()):
        link(target, f"{out}/{name}")


if __name__ == "__main__":
    main()
