# Where the parts of the virtual test hosts are kept.

cache=${NSRUN_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/nsrun/vm}

# One key for all parts: they are made by the same scripts and used together.
cache_key() {
    (
        cd "$here"
        find prepare kernel-payload run guest machine -type f ! -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
    ) | sha256sum | cut -c1-16
}

artefact() {
    printf '%s/%s-%s\n' "$cache" "$1" "$key"
}

# Removes parts that other versions of the scripts made.
sweep() {
    local path
    for path in "$cache"/*; do
        [[ $path == *-"$key" ]] || rm -rf --one-file-system "$path"
    done
}

die() {
    printf 'vm: %s\n' "$*" >&2
    exit 1
}

key=$(cache_key)
