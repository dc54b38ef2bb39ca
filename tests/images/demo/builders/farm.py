"""Builder: one tree of links that merges parts of several store paths, the first having precedence.

A directory that only one of them has becomes one link. Environment: out; specPath: a JSON file with
`paths` and `parts`, the places below them that are merged.
"""

import json
import os


def merge(sources, target):
    """Makes TARGET stand for all of SOURCES, files or directories that exist."""
    directories = [source for source in sources if os.path.isdir(source)]
    if len(directories) < 2 or not os.path.isdir(sources[0]):
        os.symlink(sources[0], target)
        return
    os.mkdir(target)
    for name in sorted({name for directory in directories for name in os.listdir(directory)}):
        merge([f"{d}/{name}" for d in directories if os.path.lexists(f"{d}/{name}")], f"{target}/{name}")


def main():
    out = os.environ["out"]
    with open(os.environ["specPath"]) as file:
        spec = json.load(file)
    os.mkdir(out)
    for part in spec["parts"]:
        sources = [f"{path}/{part}" for path in spec["paths"] if os.path.lexists(f"{path}/{part}")]
        if sources:
            os.makedirs(os.path.dirname(f"{out}/{part}"), exist_ok=True)
            merge(sources, f"{out}/{part}")


if __name__ == "__main__":
    main()
