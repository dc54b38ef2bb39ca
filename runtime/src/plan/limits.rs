//! Resource limits of the payload: those that the kernel gives a host's first process.

use rustix::process::Resource;

use super::Limit;
use super::tuning::AskedLimit;
use crate::facts::HostFacts;

const DEFAULTS: &[Wanted] = &[
    (Resource::As, None, None),
    (Resource::Core, Some(0), None),
    (Resource::Cpu, None, None),
    (Resource::Data, None, None),
    (Resource::Fsize, None, None),
    (Resource::Locks, None, None),
    (Resource::Memlock, Some(8 << 20), Some(8 << 20)),
    (Resource::Msgqueue, Some(819_200), Some(819_200)),
    (Resource::Nice, Some(0), Some(0)),
    (Resource::Nofile, Some(1024), Some(524_288)),
    (Resource::Rss, None, None),
    (Resource::Rtprio, Some(0), Some(0)),
    (Resource::Rttime, None, None),
    (Resource::Stack, Some(8 << 20), None),
];

/// The limits to set, and a warning for each that the host does not let us give in full.
pub(super) fn build(host: &HostFacts, asked: &[AskedLimit]) -> (Vec<Limit>, Vec<String>) {
    let mut warnings = Vec::new();
    let limits = wanted(asked).into_iter().map(|(resource, soft, hard)| {
        let ceiling = host.ceiling(resource);
        let (soft_given, hard_given) = (least(soft, ceiling), least(hard, ceiling));
        if hard_given != hard && host.warns_about(resource) {
            warnings.push(format!(
                "the host lets nobody raise the limit {resource:?}: {} instead of {}",
                words(hard_given),
                words(hard)
            ));
        }
        Limit {
            resource,
            soft: least(soft_given, hard_given),
            hard: hard_given,
        }
    });
    (limits.collect(), warnings)
}

type Wanted = (Resource, Option<u64>, Option<u64>);

/// The defaults, with what was asked for in their place; the last word on a resource holds.
fn wanted(asked: &[AskedLimit]) -> Vec<Wanted> {
    let mut all = DEFAULTS.to_vec();
    for limit in asked {
        let new = (limit.resource, limit.soft, limit.hard);
        match all
            .iter_mut()
            .find(|(resource, ..)| *resource == limit.resource)
        {
            Some(old) => *old = new,
            None => all.push(new),
        }
    }
    all
}

/// The smaller of two limits, `None` being infinity.
fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn words(limit: Option<u64>) -> String {
    limit.map_or_else(|| "infinity".to_owned(), |n| n.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_limit_wins() {
        assert_eq!(least(None, Some(1)), Some(1));
        assert_eq!(least(Some(2), Some(1)), Some(1));
        assert_eq!(least(None, None), None);
    }
}
