#!/usr/bin/env python3
"""Unpacks Debian packages and plans which store path each becomes and which others it refers to.

usage: plan.py DEBS SOURCES

DEBS holds the .deb files. SOURCES gets one directory per store path, with /usr and the root merged,
and plan.json: for each path its name, the hash of its files and the paths it needs.
"""

import fnmatch
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/builders")
import elf  # noqa: E402

# Libraries that are opened by name at run time where, in older suites, no note in the file tells of it.
OPENED_AT_RUN_TIME = {"systemd": ["libzstd.so.1", "liblz4.so.1", "liblzma.so.5"]}
SHELL = re.compile(rb"#! *(?:/usr)?/bin/(?:env +)?(?:ba)?sh\b")
MERGED = ("bin", "sbin", "lib", "lib64")


def rows(table):
    with open(f"{HERE}/{table}") as lines:
        return [line.split() for line in lines if line.strip() and not line.startswith("#")]


def version_of(deb):
    version = subprocess.run(["dpkg-deb", "-f", deb, "Version"], check=True, capture_output=True, text=True)
    upstream = version.stdout.strip().split(":")[-1].rsplit("-", 1)[0]
    return re.split(r"[^A-Za-z0-9.]", upstream)[0]


def merged(path):
    """The path below a merged tree: usr/bin/x, bin/x and usr/sbin/x are all bin/x."""
    path = path.removeprefix("usr/")
    return "bin/" + path.removeprefix("sbin/") if path.startswith("sbin/") else path


def unpack(deb, package, target, patterns):
    """Unpacks one package over TARGET without what PATTERNS name."""
    scratch = f"{target}.unpacked"
    subprocess.run(["dpkg-deb", "-x", deb, scratch], check=True)
    for directory, _, files in os.walk(scratch):
        links = [d for d in os.listdir(directory) if os.path.islink(f"{directory}/{d}")]
        for name in sorted(set(files) | set(links)):
            source = f"{directory}/{name}"
            place = merged(os.path.relpath(source, scratch))
            if place in MERGED or pruned(place, package, patterns):
                continue
            if os.path.islink(source) and link_target(os.path.relpath(source, scratch), os.readlink(source)) == place:
                continue  # bin/ip for sbin/ip, which are one after the merge
            os.makedirs(os.path.dirname(f"{target}/{place}"), exist_ok=True)
            if not os.path.lexists(f"{target}/{place}"):
                os.rename(source, f"{target}/{place}")
                if not os.path.islink(f"{target}/{place}"):
                    # A store has no set-user-id files, and Nix forbids its builders to make any.
                    os.chmod(f"{target}/{place}", os.stat(f"{target}/{place}").st_mode & 0o755)
    shutil.rmtree(scratch)


def pruned(place, package, patterns):
    return any(fnmatch.fnmatch(place, pattern) and only in ([], [package]) for pattern, *only in patterns)


class Source:
    """The files of one store path before it is one."""

    def __init__(self, name, tree):
        self.name = name
        self.tree = tree
        self.files = sorted(os.path.join(d, f) for d, ds, fs in os.walk(tree) for f in fs + ds
                            if os.path.islink(os.path.join(d, f)) or not os.path.isdir(os.path.join(d, f)))
        self.needed = set()
        self.opened = set(OPENED_AT_RUN_TIME.get(name, []))
        self.uses_shell = False
        self.links = set()
        self.hash = self._scan()

    def _scan(self):
        digest = hashlib.sha256()
        for path in self.files:
            place = os.path.relpath(path, self.tree)
            digest.update(f"{place}\0{os.lstat(path).st_mode:o}\0".encode())
            if os.path.islink(path):
                digest.update(os.readlink(path).encode())
                self.links.add(link_target(place, os.readlink(path)))
                continue
            with open(path, "rb") as file:
                data = file.read()
            digest.update(hashlib.sha256(data).digest())
            if data.startswith(elf.MAGIC):
                self.needed.update((elf.parse(data) or elf.Elf(None, None)).needed or [])
                self.opened.update(elf.opened(data))
            elif SHELL.match(data):
                self.uses_shell = True
        return digest.hexdigest()

    def provides(self):
        return {os.path.relpath(path, self.tree) for path in self.files}


def link_target(place, target):
    """Where a link of Debian's tree points to, in the merged tree."""
    return merged(os.path.normpath(os.path.join("/", os.path.dirname(place), target)).lstrip("/"))


def drop_foreign_scripts(tree):
    """Removes programs for interpreters that the image does not have."""
    for directory, _, files in os.walk(tree):
        for name in files:
            path = f"{directory}/{name}"
            if os.path.islink(path):
                continue
            with open(path, "rb") as file:
                start = file.read(64)
            if start.startswith(b"#!") and not SHELL.match(start):
                os.remove(path)


def requirements(sources):
    """For each source the names of the others that it refers to."""
    library = {os.path.basename(path): source.name for source in sources.values()
               for path in source.provides() if ".so" in os.path.basename(path)}
    owner = {path: source.name for source in sources.values() for path in source.provides()}
    result = {}
    for source in sources.values():
        missing = sorted(lib for lib in source.needed if lib not in library)
        wanted = {library[lib] for lib in source.needed | source.opened if lib in library}
        wanted |= {owner[target] for target in source.links if target in owner}
        if source.uses_shell:
            wanted.add("bash")
        result[source.name] = {"needs": sorted(wanted - {source.name}), "missing": missing}
    return result


def main():
    debs, target = sys.argv[1:]
    group = {package: path for path, *packages in rows("packages") for package in packages}
    patterns = rows("prune")
    versions = {}
    for deb in sorted(os.listdir(debs)):
        package = deb.split("_")[0]
        name = group.get(package, package)
        unpack(f"{debs}/{deb}", package, f"{target}/{name}", patterns)
        first = rows_first(name, package)
        if first or name not in versions:
            versions[name] = version_of(f"{debs}/{deb}")
    sources = {}
    for name in sorted(versions):
        tree = f"{target}/{name}"
        if os.path.isdir(tree):
            drop_foreign_scripts(tree)
            sources[name] = Source(name, tree)
    plan = {name: {"name": f"{name}-{versions[name]}", "hash": sources[name].hash,
                   "opened": OPENED_AT_RUN_TIME.get(name, []), **wants}
            for name, wants in requirements(sources).items()}
    with open(f"{target}/plan.json", "w") as file:
        json.dump(plan, file, indent=1, sort_keys=True)
    with open(f"{target}/triplet.json", "w") as file:
        json.dump(os.path.basename(os.path.dirname(glob.glob(f"{target}/glibc/lib/*/libc.so.6")[0])), file)


def rows_first(name, package):
    """Whether PACKAGE is the one that gives the path NAME its version."""
    return any(row[0] == name and row[1] == package for row in rows("packages"))


if __name__ == "__main__":
    main()
