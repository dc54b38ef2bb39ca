# shellcheck shell=bash
# From a name and a command line to the kind of image and all of its flags.
#
# resolve_flags sets:
#   KIND    directory of the builder
#   FLAGS   "--name=value" of every flag of the kind, in the order of the kind's flag file

declare KIND=
declare -a FLAGS=()
declare -A flag_value=() flag_allowed=()
declare -a flag_order=()

# Rows of a table without comments and blank lines.
rows() {
    grep -vE '^[[:space:]]*(#|$)' "$1"
}

list_names() {
    local name rest
    while read -r name rest; do
        printf '%s\n' "$name"
    done < <(rows "$here/names")
}

resolve_flags() {
    local name=$1 row kind preset
    shift
    row=$(rows "$here/names" | grep -E "^${name//[^[:alnum:]-]/_}([[:space:]]|$)") ||
        die_usage "cannot build $name: no such image (see --list)"
    read -r _ kind preset <<<"$row"
    KIND=$kind
    load_flags "$here/$kind/flags"
    # Presets hold no blanks within a flag: splitting into words is what is wanted.
    # shellcheck disable=SC2086
    apply_flags $preset "$@"
    local flag
    for flag in "${flag_order[@]}"; do
        FLAGS+=("--$flag=${flag_value[$flag]}")
    done
}

load_flags() {
    local flag default allowed
    while read -r flag default allowed; do
        flag_order+=("$flag")
        flag_value[$flag]=$default
        flag_allowed[$flag]=$allowed
    done < <(rows "$1")
}

apply_flags() {
    local flag value
    while (($#)); do
        flag=${1#--}
        [[ $1 == --?* ]] || die_usage "cannot use $1: expected --FLAG=VALUE"
        if [[ $flag == *=* ]]; then
            value=${flag#*=}
            flag=${flag%%=*}
        else
            (($# > 1)) || die_usage "cannot use --$flag: it needs a value"
            value=$2
            shift
        fi
        shift
        set_flag "$flag" "$value"
    done
}

set_flag() {
    local flag=$1 value=$2
    [[ -n ${flag_allowed[$flag]-} ]] || die_usage "cannot use --$flag: $KIND images have no such flag"
    [[ "|${flag_allowed[$flag]}|" == *"|$value|"* ]] ||
        die_usage "cannot use --$flag=$value: allowed are ${flag_allowed[$flag]//|/, }"
    flag_value[$flag]=$value
}

show_flags() {
    local flag
    for flag in "${flag_order[@]}"; do
        printf '%-12s %-16s %s\n' "--$flag" "${flag_value[$flag]}" "${flag_allowed[$flag]}"
    done
}

# For builders: sets the variable flag_NAME for every --NAME=VALUE given (- becomes _).
read_flags() {
    local arg name
    for arg; do
        name=${arg#--}
        name=${name%%=*}
        declare -g "flag_${name//-/_}=${arg#*=}"
    done
}
