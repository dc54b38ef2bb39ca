//! How many descriptors this process may have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for some forty ports with all their connections, each of which is up to six descriptors.
const ENOUGH: u64 = 65_536;

/// Has the soft limit be enough for published ports, as far as the hard one lets it: the usual one
/// is for programs that call select(2), which cannot take more. The payload has limits of its own,
/// that are set before it starts. A refusal leaves fewer connections at once.
pub(super) fn allow_many() {
    if let Some(more) = raised(getrlimit(Resource::Nofile)) {
        let _ = setrlimit(Resource::Nofile, more);
    }
}

/// The limit to set, if it is more than there is; `None` in one is infinity.
fn raised(now: Rlimit) -> Option<Rlimit> {
    let soft = now.maximum.map_or(ENOUGH, |hard| hard.min(ENOUGH));
    now.current.is_some_and(|old| old < soft).then_some(Rlimit {
        current: Some(soft),
        ..now
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_as_far_as_it_may_and_never_lowered() {
        let soft = |current, maximum| raised(Rlimit { current, maximum }).map(|new| new.current);
        assert_eq!(soft(Some(1024), Some(524_288)), Some(Some(ENOUGH)));
        assert_eq!(soft(Some(1024), None), Some(Some(ENOUGH)));
        assert_eq!(soft(Some(1024), Some(4096)), Some(Some(4096)));
        assert_eq!(soft(Some(4096), Some(4096)), None);
        assert_eq!(soft(Some(524_288), Some(524_288)), None);
        assert_eq!(soft(None, None), None);
    }
}
