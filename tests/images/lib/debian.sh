# shellcheck shell=bash
# What all uses of Debian's packages have in common.

# Clamps the times of all files, so that two builds of the same packages are the same bytes.
export SOURCE_DATE_EPOCH=1735689600

# The hash of "testing", with a fixed salt.
# shellcheck disable=SC2034
testing_password='$6$nsruntesting$kF9XlWpfRcCW6jjZW.ZgK6IA6T0iEg4vmJ9bNDVZ/K26HAVsGqmvYtY8tU0CP1H.yl.fhWTS0AOEjOvl7mhrW0'

# Runs mmdebstrap with options that suit every image. $NSRUN_IMAGE_MIRROR replaces its default mirror.
debstrap() {
    local suite=$1 target=$2
    shift 2
    local -a options=(
        --quiet
        --aptopt='Acquire::Languages "none"'
        --aptopt='Acquire::Retries "3"'
    )
    # Where clock or mirror stand still, the index of a testing suite is past its own Valid-Until.
    if [[ $suite == forky ]]; then
        options+=(--aptopt='Acquire::Check-Valid-Until "false"')
    fi
    mmdebstrap "${options[@]}" "$@" "$suite" "$target" ${NSRUN_IMAGE_MIRROR:+"$NSRUN_IMAGE_MIRROR"}
}
