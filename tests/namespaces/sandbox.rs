//! The sandbox of these tests denies what it should; otherwise they would show nothing.

use std::process::Command;

use causeway_kit::program::built;

#[test]
fn without_netlink_no_interface_can_be_listed() {
    let list = |denied: &[&str]| {
        let program = if denied.is_empty() { "ip".into() } else { built("lab-sandbox") };
        Command::new(program).args(denied).args(["addr", "show"]).output().expect("ip is installed")
    };
    assert!(list(&[]).status.success());
    let refused = list(&["netlink", "ip"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("not supported"), "{said}");
}
