//! Links that are really there. Needs root; the thread has a namespace of its own.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nsrun_netns::{MacAddr, Net, Setup, VethPlan};

use super::*;

/// Leaves links to what every host does with them.
#[derive(Debug)]
struct LinkHost;

impl Host for LinkHost {
    fn is_populated(&self, _cgroup: &Path) -> Result<bool> {
        Ok(false)
    }

    fn end_cgroup(&self, _cgroup: &Path) -> Result<()> {
        Ok(())
    }

    fn end_own_cgroup(&self, _cgroup: &Path) -> Result<()> {
        Ok(())
    }
}

fn fresh_namespace() -> OwnedFd {
    unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root");
    File::open("/proc/thread-self/ns/net").unwrap().into()
}

#[test]
fn a_dead_machines_link_frees_its_name_and_is_deleted_by_a_sweep() {
    let target = thread::spawn(fresh_namespace).join().unwrap();
    let host = move || {
        fresh_namespace();
        let root = tempfile::tempdir().unwrap();
        let dirs = Dirs::new(None, Some(root.path()));
        let store = Store::new(&dirs, Arc::new(LinkHost));
        let mut claim = store.claim(&web()).unwrap();
        let owner = Owner {
            name: "ve-web".parse().unwrap(),
            mac: MacAddr::from([2, 0, 0, 0, 0, 1]),
            tag: Incarnation::new().unwrap().link_tag(&web()),
        };
        claim.note(Item::link(&owner)).unwrap();
        let plan = VethPlan {
            host: owner,
            altname: None,
            peer: "host0".parse().unwrap(),
            peer_mac: MacAddr::from([2, 0, 0, 0, 0, 2]),
            bridge: None,
            addresses: vec!["192.168.7.17/28".parse().unwrap()],
            inside: Setup::default(),
        };
        let net = Net::new().unwrap();
        net.create_veth(target.as_fd(), &plan).unwrap();
        claim.abandon();

        assert_eq!(store.reconcile(&web()).unwrap(), Outcome::Cleared);
        let links = net.find_tagged("nsrun:web:").unwrap();
        assert!(links[0].name.starts_with("nsrun-x"), "{links:?}");
        store.sweep_all().unwrap();
        assert!(net.find_tagged("nsrun:").unwrap().is_empty());
    };
    thread::spawn(host).join().unwrap();
}
