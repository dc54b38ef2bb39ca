//! Every option of systemd-nspawn, and what it comes to.

/// An option.
#[derive(Debug)]
pub(super) struct Opt {
    /// Its long name, or the letter alone.
    pub(super) long: &'static str,
    /// Its letter.
    pub(super) short: Option<char>,
    /// What comes after it.
    pub(super) takes: Takes,
    /// What nsrun is told.
    pub(super) becomes: Becomes,
    /// What it does.
    pub(super) help: &'static str,
}

/// What comes after an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing.
    Nothing,
    /// A value; the last one counts.
    One(&'static str),
    /// A value; all count.
    Each(&'static str),
    /// A value after `=`, or this one.
    Maybe(&'static str, &'static str),
}

/// What nsrun is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Becomes {
    /// The same.
    Same,
    /// The same under another name.
    Named(&'static str),
    /// This in its place.
    Words(&'static [&'static str]),
    /// Nothing: it asks for what nsrun always does, or for what makes no difference to the payload.
    Nothing,
    /// It is looked at together with others.
    Together,
}

use Becomes::{Named, Nothing, Same, Together, Words};
use Takes::{Each, Maybe, One};

const fn opt(
    long: &'static str,
    short: Option<char>,
    takes: Takes,
    becomes: Becomes,
    help: &'static str,
) -> Opt {
    Opt {
        long,
        short,
        takes,
        becomes,
        help,
    }
}

/// No value.
const NONE: Takes = Takes::Nothing;

/// In the order of systemd-nspawn's manual page. What nsrun's own grammar does not know is passed on
/// too, and refused there.
#[rustfmt::skip]
pub(super) const ALL: &[Opt] = &[
    opt("quiet", Some('q'), NONE, Words(&["--quiet"]), "Print errors only"),
    opt("no-pager", None, NONE, Nothing, "Accepted: there is no pager"),
    opt("no-ask-password", None, NONE, Nothing, "Accepted: nobody is asked"),
    opt("system", None, NONE, Nothing, "Accepted: machines are root's"),
    opt("settings", None, One("MODE"), Same, "Read settings files: yes, no, override or trusted"),
    opt("cleanup", None, NONE, Together, "Do nothing: every command clears what dead machines left"),
    opt("share-system", None, NONE, Same, "Refused"),

    opt("directory", Some('D'), One("PATH"), Together, "Start from this directory"),
    opt("template", None, One("PATH"), Together, "Make the machine's directory of this one, if it is missing"),
    opt("ephemeral", Some('x'), NONE, Together, "Drop all changes to the image at the end"),
    opt("image", Some('i'), One("PATH"), Together, "Start from a disk image"),
    opt("image-policy", None, One("POLICY"), Same, "Refused"),
    opt("mstack", None, One("PATH"), Same, "Refused"),
    opt("oci-bundle", None, One("PATH"), Same, "Refused"),
    opt("read-only", None, NONE, Same, "Make the root file system read-only"),
    opt("volatile", None, Maybe("MODE", "yes"), Together, "Show yes: /usr alone, state: all but /var, overlay: all; drop changes"),
    opt("root-hash", None, One("HASH"), Same, "Refused"),
    opt("root-hash-sig", None, One("SIGNATURE"), Same, "Refused"),
    opt("verity-data", None, One("PATH"), Same, "Refused"),
    opt("pivot-root", None, One("PATH[:PATH]"), Same, "Make a directory of the image the root"),

    opt("as-pid2", Some('a'), NONE, Together, "Run the command as PID 2, below a small init"),
    opt("boot", Some('b'), NONE, Together, "Boot the image's init, with the words as its arguments"),
    opt("chdir", None, One("PATH"), Together, "Start the command in this directory"),
    opt("setenv", Some('E'), Each("NAME[=VALUE]"), Same, "Set an environment variable, or pass one on"),
    opt("uid", Some('u'), One("USER"), Named("user"), "Run the command as this user"),
    opt("user", None, Maybe("USER", ""), Together, "The same, under its old name"),
    opt("kill-signal", None, One("SIGNAL"), Same, "Ask the payload to stop by this signal"),
    opt("notify-ready", None, One("BOOL"), Same, "Be ready when the payload says so"),
    opt("suppress-sync", None, One("BOOL"), Same, "Let the payload's calls to sync do nothing"),

    opt("machine", Some('M'), One("NAME"), Together, "Set the machine's name"),
    opt("hostname", None, One("NAME"), Same, "Set the host name"),
    opt("uuid", None, One("UUID"), Same, "Set the machine id, if the image has none"),

    opt("slice", Some('S'), One("SLICE"), Same, "Put the machine into this slice"),
    opt("property", None, Each("NAME=VALUE"), Same, "Set a property of the machine's unit"),
    opt("register", None, One("BOOL|auto"), Together, "Have machined know the machine"),
    opt("keep-unit", None, NONE, Nothing, "Accepted: a delegated unit is used as it is"),

    opt("private-users", None, Maybe("MODE", "yes"), Together, "Choose the machine's ids: no, yes, pick, identity, BASE[:RANGE]"),
    opt("private-users-ownership", None, One("MODE"), Together, "Choose how files get the machine's ids"),
    opt("private-users-chown", None, NONE, Words(&["--private-users-ownership=chown"]), "The same as --private-users-ownership=chown"),
    opt("private-users-delegate", None, One("N"), Same, "Refused"),
    opt("U", Some('U'), NONE, Words(&["--private-users=pick", "--private-users-ownership=auto"]), "Pick a free range of ids for the machine"),

    opt("private-network", None, NONE, Together, "Give the machine a network of its own"),
    opt("network-interface", None, Each("HOST[:CONTAINER]"), Same, "Move a link into the machine"),
    opt("network-macvlan", None, Each("HOST[:CONTAINER]"), Same, "Put a macvlan of a link into the machine"),
    opt("network-ipvlan", None, Each("HOST[:CONTAINER]"), Same, "Refused"),
    opt("network-veth", Some('n'), NONE, Together, "Give the machine a network with a link to the host"),
    opt("network-veth-extra", None, Each("HOST[:CONTAINER]"), Same, "Make another link to the host"),
    opt("network-bridge", None, One("BRIDGE"), Same, "Put the machine's link into a bridge"),
    opt("network-zone", None, One("ZONE"), Same, "Put the machine's link into a bridge that comes and goes"),
    opt("network-namespace-path", None, One("PATH"), Same, "Use this network namespace"),
    opt("port", Some('p'), Each("[PROTOCOL:]HOST[:CONTAINER]"), Same, "Pass a port of the host on to the machine"),

    opt("capability", None, Each("LIST"), Same, "Add capabilities"),
    opt("drop-capability", None, Each("LIST"), Same, "Remove capabilities"),
    opt("ambient-capability", None, Each("LIST"), Same, "Give the command capabilities that it has as any user"),
    opt("no-new-privileges", None, One("BOOL"), Same, "Keep every program in the machine from gaining privileges"),
    opt("system-call-filter", None, Each("LIST"), Same, "Allow or forbid system calls"),
    opt("restrict-address-families", None, Each("LIST"), Same, "Allow or forbid kinds of sockets"),
    opt("selinux-context", Some('Z'), One("LABEL"), Same, "Refused"),
    opt("selinux-apifs-context", Some('L'), One("LABEL"), Same, "Refused"),

    opt("rlimit", None, Each("NAME=LIMIT"), Same, "Set a resource limit"),
    opt("oom-score-adjust", None, One("SCORE"), Same, "Set how much the kernel would like to kill the payload"),
    opt("cpu-affinity", None, One("CPUS"), Same, "Run on these processors alone"),
    opt("personality", None, One("ARCH"), Same, "Set what programs are told of the processor"),

    opt("resolv-conf", None, One("MODE"), Same, "Choose how the machine's resolv.conf is filled"),
    opt("timezone", None, One("MODE"), Same, "Choose how the machine gets its time zone"),
    opt("link-journal", None, One("MODE"), Together, "Let the host see the machine's journal"),
    opt("j", Some('j'), NONE, Nothing, "The same as --link-journal=try-guest"),
    opt("forward-journal", None, One("PATH"), Same, "Refused"),
    opt("forward-journal-max-use", None, One("BYTES"), Same, "Refused"),
    opt("forward-journal-keep-free", None, One("BYTES"), Same, "Refused"),
    opt("forward-journal-max-file-size", None, One("BYTES"), Same, "Refused"),
    opt("forward-journal-max-files", None, One("N"), Same, "Refused"),

    opt("bind", None, Each("PATH[:PATH[:OPTIONS]]"), Same, "Show a file, directory or device of the host"),
    opt("bind-ro", None, Each("PATH[:PATH[:OPTIONS]]"), Same, "The same, read-only"),
    opt("inaccessible", None, Each("PATH"), Same, "Keep everybody from what is there"),
    opt("tmpfs", None, Each("PATH[:OPTIONS]"), Same, "Mount a file system in memory"),
    opt("overlay", None, Each("PATH[:PATH...]:PATH"), Same, "Put directories on top of one another"),
    opt("overlay-ro", None, Each("PATH[:PATH...]:PATH"), Same, "The same, read-only"),
    opt("bind-user", None, Each("USER"), Same, "Have the container know a user of the host"),
    opt("bind-user-shell", None, One("BOOL|PATH"), Same, "Choose the shell of bound users"),
    opt("bind-user-group", None, Each("GROUP"), Same, "Put bound users into a group of the container"),

    opt("console", None, One("MODE"), Same, "Choose interactive, read-only, passive, pipe or autopipe"),
    opt("pipe", Some('P'), NONE, Words(&["--console=pipe"]), "The same as --console=pipe"),
    opt("background", None, One("COLOUR"), Nothing, "Accepted: the terminal keeps its colours"),
    opt("set-credential", None, Each("ID:VALUE"), Same, "Give the payload a secret"),
    opt("load-credential", None, Each("ID:PATH"), Same, "Give the payload a secret from a file or socket"),
];
