# shellcheck shell=bash
# Messages of the image builders. All of them go to stderr.

say() {
    printf '%s\n' "images: $*" >&2
}

die() {
    printf '%s\n' "images: $*" >&2
    exit 1
}

# A mistake in the command line, as opposed to a build that failed.
die_usage() {
    printf '%s\n' "images: $*" >&2
    exit 2
}
