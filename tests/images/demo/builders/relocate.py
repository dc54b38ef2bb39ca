"""Builder: turns the files of Debian packages into a store path.

Programs find their libraries and each other in the store, as far as that can be patched. Directories
that are compiled in are renamed at equal length, /usr/lib to /run/lib and so on: activation makes
/run/lib, /run/bin, /run/sbin and /run/share, so that nothing runs before it and /usr is not there.

Environment: out; specPath: a JSON file with `source`, `needs` (store paths), `opened` (libraries that are
opened at run time though no file says so), `patch` (whether interpreter and search path are set) and `split`
(whether /usr and the root are not one in the suite); PATH with patchelf.
"""

import glob
import json
import os
import re
import shutil
import subprocess

import elf

COMPILED_IN = re.compile(rb"/usr/(lib|bin|sbin|share)(?=[/\0:;,\"' \n)])")
# What a systemd has compiled in whose suite had not yet merged /usr with the root. A link /lib would not do:
# container managers that find /lib/systemd/systemd start that instead of /sbin/init.
COMPILED_IN_SPLIT = re.compile(rb"(?<!\w)/(?:lib|bin)/(systemd(?=[/\0])|u?mount(?=\0))")
IN_TEXT = re.compile(rb"(?<![\w.$}/-])/(usr/)?(bin|sbin|lib|share)/([\w.+@/-]+)")
SHEBANG = re.compile(rb"\A#! *(?:/usr)?/bin/(?:env +)?(?:ba)?sh\b")
# Only what /etc names is used of these: nothing may be found just because it lies in a package.
EXAMPLES = ("lib/systemd/system", "lib/systemd/user", "lib/tmpfiles.d", "lib/sysusers.d")


class Relocation:
    def __init__(self, spec, out):
        self.source = spec["source"]
        self.out = out
        self.needs = spec["needs"]
        self.opened = spec["opened"]
        self.patch = spec["patch"]
        self.split = spec["split"]
        self.libraries = {}

    def run(self):
        shutil.copytree(self.source, self.out, symlinks=True)
        self._move_examples()
        files = sorted(os.path.join(d, f) for d, ds, fs in os.walk(self.out) for f in fs + ds)
        for path in files:
            if os.path.islink(path):
                self._link(path)
        self.libraries = self._library_directories()
        for path in files:
            if not os.path.islink(path) and os.path.isfile(path):
                os.chmod(path, os.stat(path).st_mode & 0o777 | 0o200)
                self._file(path)
        if os.path.isdir(f"{self.out}/bin"):
            os.symlink("bin", f"{self.out}/sbin")

    def _move_examples(self):
        for place in EXAMPLES:
            if os.path.isdir(f"{self.out}/{place}"):
                target = f"{self.out}/{example(place)}"
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.rename(f"{self.out}/{place}", target)

    def _library_directories(self):
        """Directory of each library by file name. The glibc that all need comes last in the search."""
        result = {}
        for root in [self.out, *self.needs]:
            for pattern in ("lib/*/*.so*", "lib/*/systemd/*.so*", "lib/systemd/*.so*"):
                for path in sorted(glob.glob(f"{root}/{pattern}")):
                    result.setdefault(os.path.basename(path), os.path.dirname(path))
        return result

    def _link(self, path):
        target = os.readlink(path)
        place = os.path.relpath(path, self.out)
        absolute = os.path.normpath(os.path.join("/", os.path.dirname(place), target))
        resolved = self._place(strip_usr(absolute))
        if resolved is None:
            return
        if resolved.startswith(f"{self.out}/"):
            resolved = os.path.relpath(resolved, os.path.dirname(path))
        os.remove(path)
        os.symlink(resolved, path)

    def _place(self, place):
        """Where a file of the merged tree is in the store; None if in none of the paths at hand."""
        for root in [self.out, *self.needs]:
            for candidate in (place, example(place)):
                if os.path.lexists(f"{root}/{candidate}"):
                    return f"{root}/{candidate}"
        return None

    def _file(self, path):
        with open(path, "rb") as file:
            data = file.read()
        if data.startswith(elf.MAGIC):
            self._rewrite(path, data, self._compiled_in(data))
            self._patch(path, elf.parse(data), elf.opened(data))
        elif b"\0" not in data[:8192]:
            self._rewrite(path, data, self._text(data))

    def _compiled_in(self, data):
        data = COMPILED_IN.sub(rb"/run/\1", data)
        return COMPILED_IN_SPLIT.sub(rb"/nix/\1", data) if self.split else data

    @staticmethod
    def _rewrite(path, old, new):
        if new != old:
            with open(path, "wb") as file:
                file.write(new)

    def _text(self, data):
        shell = self._place("bin/bash")
        if shell:
            data = SHEBANG.sub(b"#!" + shell.encode(), data)
        return IN_TEXT.sub(self._text_path, data)

    def _text_path(self, match):
        usr, kind, rest = match.groups()
        place = strip_usr(f"/{kind.decode()}/{rest.decode()}")
        resolved = self._place(place)
        # A directory such as lib/systemd/system is what all packages together have there.
        shared = resolved and os.path.isdir(resolved) and not resolved.startswith(f"{self.out}/lib/")
        if resolved and not shared:
            return resolved.encode()
        return b"/run/" + kind + b"/" + rest if usr else match[0]

    def _patch(self, path, parsed, opened):
        if parsed is None or parsed.needed is None or not self.patch:
            return
        wanted = parsed.needed + opened + self.opened
        search = list(dict.fromkeys(self.libraries[lib] for lib in wanted if lib in self.libraries))
        loader = next(p for p in self.libraries if p.startswith("ld-linux"))
        command = ["patchelf", "--force-rpath", "--set-rpath", ":".join(search)]
        if parsed.interpreter:
            command += ["--set-interpreter", f"{self.libraries[loader]}/{loader}"]
        subprocess.run([*command, path], check=True)


def example(place):
    return "example/" + place.removeprefix("lib/") if place.startswith(EXAMPLES) else place


def strip_usr(path):
    place = path.lstrip("/").removeprefix("usr/")
    return "bin/" + place.removeprefix("sbin/") if place.startswith("sbin/") else place


if __name__ == "__main__":
    with open(os.environ["specPath"]) as file:
        Relocation(json.load(file), os.environ["out"]).run()
