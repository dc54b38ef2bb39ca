# shellcheck shell=bash
# The cache of built images: named by content, published by rename, one builder per artefact.

cache_root() {
    printf '%s\n' "${NSRUN_IMAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/nsrun/images}"
}

# Hash of all that decides what an image holds, as far as it lies in our hands: the generator's own
# files, the flags, the machine's architecture. New package versions of a suite are not part of it.
content_key() {
    (
        cd "$here" || exit
        find lib "$KIND" -type f ! -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
        printf '%s\n' "$KIND" "${FLAGS[@]}" "$(uname -m)"
    ) | sha256sum | cut -c1-20
}

artefact_path() {
    local label=$KIND suffix
    suffix=$(<"$here/$KIND/suffix")
    printf '%s\n' "$(cache_root)/$label-${flag_value[suite]}-$(content_key).$suffix"
}

# Runs the builder of KIND under a lock. What it makes is under the final name only when complete;
# a builder that was killed leaves a work directory, which the next one removes.
build_into() {
    local artefact=$1 root work
    root=$(cache_root)
    ((EUID == 0)) || die "cannot build $KIND image: must be root (mounts and foreign owners)"
    mkdir -p "$root/.locks" "$root/.store"
    exec 8>"$root/.locks/store"
    flock --shared 8
    exec 9>"$root/.locks/${artefact##*/}"
    if ! flock --nonblock 9; then
        say "waiting for another build of ${artefact##*/}"
        flock 9
        [[ ! -e $artefact ]] || return 0
    fi
    sweep "$root/.work-${artefact##*/}".*
    work=$(mktemp -d "$root/.work-${artefact##*/}.XXXXXX")
    # Expanded now: the function's variables are gone when the trap runs.
    # shellcheck disable=SC2064
    trap "stop_builder; sweep '$work'" EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    say "building ${artefact##*/} (${FLAGS[*]})"
    NSRUN_IMAGE_STORE=$root/.store run_builder "$here/$KIND/make" "$work" "${FLAGS[@]}"
    # A generator that was edited meanwhile made something that the name does not stand for.
    [[ $(artefact_path) == "$artefact" ]] || die "cannot publish ${artefact##*/}: its builder has changed meanwhile"
    sync -f "$work/artefact"
    mv -T "$work/artefact" "$artefact"
    say "built $artefact ($(stat -c %s "$artefact") bytes, $SECONDS s)"
}

# Runs a builder as a process group, so that a signal to us can end all of it at once.
run_builder() {
    set -m
    "$@" &
    builder=$!
    set +m
    wait "$builder"
}

stop_builder() {
    [[ -n ${builder-} ]] || return 0
    local tries
    for ((tries = 0; tries < 50; tries++)); do
        kill -TERM -- "-$builder" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL -- "-$builder" 2>/dev/null || return 0
}

# Removes work directories. Builders mount only inside mount namespaces of their own, so nothing of
# another file system can lie below, and --one-file-system makes sure of it.
sweep() {
    local dir
    for dir; do
        [[ -d $dir ]] || continue
        rm -rf --one-file-system "$dir"
    done
}

# Removes artefacts that no name with its preset flags resolves to, and the store of built packages.
prune() {
    local root name file
    local -A wanted=()
    root=$(cache_root)
    [[ -d $root/.locks ]] || return 0
    exec 8>"$root/.locks/store"
    flock --nonblock 8 || die "cannot prune $root: an image is being built"
    for name in $(list_names); do
        wanted[$(resolve_flags "$name" && artefact_path)]=1
    done
    for file in "$root"/*.tar*; do
        [[ -f $file && -z ${wanted[$file]-} ]] || continue
        say "removing ${file##*/}"
        rm -f "$file" "$root/.locks/${file##*/}"
    done
    sweep "$root"/.work-* "$root/.store"
}
