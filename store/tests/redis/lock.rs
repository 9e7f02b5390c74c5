//! The lock file of a node id, between real processes.

use std::process::Command;
use std::time::Duration;

use causeway_kit::{Process, Scratch};
use causeway_store::{Incarnation, LockError, NodeId, NodeLock};

/// With this environment variable the test below acts as the other server: it holds the node id in
/// the named folder until its input ends.
const HOLD: &str = "CAUSEWAY_TEST_HOLD";

#[test]
fn of_two_servers_on_one_host_the_second_is_refused_with_the_reason() {
    let node = NodeId::new("relay-1").unwrap();
    if let Some(directory) = std::env::var_os(HOLD) {
        let _lock = NodeLock::acquire(directory.as_ref(), &node, Incarnation::random()).unwrap();
        println!("held");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    let scratch = Scratch::new();
    let directory = scratch.path("locks");
    let mut other = Command::new(std::env::current_exe().unwrap());
    other
        .args([
            "--exact",
            "lock::of_two_servers_on_one_host_the_second_is_refused_with_the_reason",
            "--nocapture",
        ])
        .env(HOLD, &directory);
    let mut other = Process::start("the other server", other).unwrap();
    other.wait_line("held", Duration::from_secs(20)).expect("the other server holds the lock");

    let refused = NodeLock::acquire(&directory, &node, Incarnation::random()).unwrap_err();
    assert!(matches!(refused, LockError::Held { .. }), "{refused:?}");
    let text = refused.to_string();
    for part in ["relay-1", &format!("process {}", other.pid()), "store.node_id", "relay-1.lock"] {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
    let another =
        NodeLock::acquire(&directory, &NodeId::new("relay-2").unwrap(), Incarnation::random())
            .expect("another node is free");

    // SIGKILL: the kernel releases the lock.
    other.kill().unwrap();
    drop(
        NodeLock::acquire(&directory, &node, Incarnation::random())
            .expect("the lock is free again"),
    );
    drop(another);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_is_said() {
    let refused = NodeLock::acquire(
        "/dev/null/x".as_ref(),
        &NodeId::new("relay-1").unwrap(),
        Incarnation::random(),
    )
    .unwrap_err()
    .to_string();
    assert!(
        refused.contains("/dev/null/x/relay-1.lock") && refused.contains("store.lock_directory"),
        "{refused}"
    );
}

#[test]
fn h48_the_lock_names_its_previous_holder() {
    let (scratch, node) = (Scratch::new(), NodeId::new("relay-1").unwrap());
    let directory = scratch.folder();
    let holders: Vec<Incarnation> = (0..20).map(|_| Incarnation::random()).collect();
    for (at, holder) in holders.iter().enumerate() {
        let lock = NodeLock::acquire(directory, &node, *holder).unwrap();
        let before: Vec<Incarnation> = holders[..at].iter().rev().take(16).copied().collect();
        assert_eq!(lock.ended(), before);
    }
    std::fs::write(directory.join("relay-1.lock"), [0xff; 4096]).unwrap();
    assert_eq!(NodeLock::acquire(directory, &node, holders[0]).unwrap().ended(), []);
}
