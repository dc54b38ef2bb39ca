# What is brought into the virtual hosts: programs on the share, unpacked images on a disk.

payload_images=(trixie bookworm forky demo)

# Prints the path of the disk with the images, made anew when one of them changed.
payload_disk() {
    local cache=${NSRUN_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/nsrun/vm} image work disk
    local -a artefacts=()
    for image in "${payload_images[@]}"; do
        artefacts+=("$(tests/images/build "$image")")
    done
    # The preparation of virtual hosts clears away what does not end with its key.
    disk=$cache/../vm-payload-$(printf '%s\n' "${artefacts[@]##*/}" | sha256sum | cut -c1-16).ext4
    if [[ ! -e $disk ]]; then
        rm -f "$cache"/../vm-payload-*.ext4
        work=$(mktemp -d -p /var/tmp)
        local number
        for number in "${!payload_images[@]}"; do
            mkdir "$work/${payload_images[number]}"
            unpack "${artefacts[number]}" "$work/${payload_images[number]}"
        done
        truncate -s 3G "$disk.new"
        mke2fs -q -t ext4 -O '^has_journal' -d "$work" "$disk.new" >&2
        rm -rf --one-file-system "$work"
        mv "$disk.new" "$disk"
    fi
    printf '%s\n' "$disk"
}

# What follows the archive's end is not read, and the decompressor is cut off there.
unpack() {
    case $1 in
        *.xz) (set +o pipefail; xz -dc -T0 "$1" | tar -x -p --numeric-owner --xattrs --xattrs-include='*' -C "$2") ;;
        *) tar -x -p --numeric-owner --xattrs --xattrs-include='*' -C "$2" -f "$1" ;;
    esac
}

# Copies nsrun, the fixture and the suites to a directory.
gather_programs() {
    local target=$1 built=${CARGO_TARGET_DIR:-target}/debug suite
    shift
    cp "$built/nsrun" "$built/pid1" "$built/without" "$target"
    (($#)) || return 0
    local -a tests=()
    for suite; do
        tests+=(--test "$suite")
    done
    cargo test --quiet --locked --package nsrun-tests --no-run --message-format=json "${tests[@]}" |
        python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and "test" in message["target"]["kind"]:
        print(message["target"]["name"], message["executable"])' |
        while read -r name path; do
            cp "$path" "$target/$name"
        done
}
