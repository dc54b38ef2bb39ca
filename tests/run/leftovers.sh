# What container runtimes leave behind, as far as names tell. Each test checks more exactly for itself; this
# also sees what a killed test left.

leftovers() {
    {
        awk '/nsrun/ { print "mount " $5 }' /proc/1/mountinfo
        find /sys/fs/cgroup -maxdepth 4 -name '*nsrun*' -type d 2>/dev/null | sed 's/^/cgroup /'
        ip -o link show 2>/dev/null | awk -F': ' '$2 ~ /^(ve-|vb-|vz-|nsrun-)/ { print "link " $2 }'
        grep -lxE 'nsrun|nsrun-fault|pid1' /proc/[0-9]*/comm 2>/dev/null | sed 's/^/process /'
        find /run/nsrun /run/systemd/nspawn-uid /var/tmp/nsrun-test-* -mindepth 1 -maxdepth 1 2>/dev/null |
            sed 's/^/file /'
        find /var/tmp -mindepth 1 -maxdepth 1 -name '.#nsrun-*' 2>/dev/null | sed 's/^/file /'
        losetup -ln -O NAME,BACK-FILE 2>/dev/null | sed 's/^/loop device /'
    } | LC_ALL=C sort -u
}

# The kernel takes down network namespaces and their links after the last process is gone.
settled_leftovers() {
    local before=$1 now try
    for try in 1 2 3 4 5; do
        now=$(leftovers)
        [[ -n $(comm -13 <(printf '%s\n' "$before") <(printf '%s\n' "$now")) ]] || break
        sleep 1
    done
    printf '%s\n' "$now"
}
