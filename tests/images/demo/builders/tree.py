"""Builder: makes a tree of small files and links.

Environment: out; specPath: a JSON file that maps each path, "" for the output itself, to
{"link": TARGET}, {"copy": FILE} or {"text": TEXT, "executable": BOOL}; @out@ in a text is the output's own path.
"""

import json
import os
import shutil


def place(root, path, entry):
    target = os.path.join(root, path) if path else root
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if "link" in entry:
        os.symlink(entry["link"], target)
        return
    if "copy" in entry:
        shutil.copy(entry["copy"], target)
        return
    with open(target, "w") as file:
        file.write(entry["text"].replace("@out@", root))
    os.chmod(target, 0o555 if entry.get("executable") else 0o444)


if __name__ == "__main__":
    with open(os.environ["specPath"]) as spec:
        entries = json.load(spec)
    for name in sorted(entries):
        place(os.environ["out"], name, entries[name])
