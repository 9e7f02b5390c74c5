//! `[limits]`, and the ranges of `[net]`.

use super::*;

#[test]
fn limits_that_contradict_each_other_are_refused() {
    refused(
        with(&["--set", "limits.default_lifetime=2h"]),
        &["limits.default_lifetime (--set", "max_lifetime"],
    );
    refused(with(&["--set", "limits.max_lifetime=2d"]), &["limits.max_lifetime"]);
    refused(
        with(&["--set", "limits.tcp_unauthenticated_timeout=10ms"]),
        &["limits.tcp_unauthenticated_timeout"],
    );
    refused(with(&["--set", "net.workers=1000"]), &["net.workers"]);
    refused(with(&["--set", "net.receive_buffer=1"]), &["net.receive_buffer"]);
    refused(with(&["--set", "net.moderation=2ms"]), &["net.moderation", "1ms"]);
    refused(with(&["--set", "net.moderation=0s"]), &["net.moderation", "off"]);
    refused(with(&["--set", "net.moderation=on"]), &["net.moderation", "100us"]);
    refused(with(&["--set", "net.dont_fragment=always"]), &["net.dont_fragment", "small", "never"]);
    refused(with(&["--set", "net.huge_pages=2MiB"]), &["net.huge_pages"]);
}

#[test]
fn h11_the_limiter_is_on_and_can_be_set() {
    let limit = |text: &str| with(&["--set", &format!("limits.unauthenticated_per_prefix={text}")]);
    let settings = |burst, rate| Some(causeway_auth::LimiterSettings { burst, rate });
    assert_eq!(
        with(&[]).unwrap().limits.connections.unauthenticated_per_prefix,
        settings(24_576, 2_560)
    );
    assert_eq!(
        limit("on").unwrap().limits.connections.unauthenticated_per_prefix,
        settings(24_576, 2_560)
    );
    assert_eq!(limit("off").unwrap().limits.connections.unauthenticated_per_prefix, None);
    let numbers = limit("{ burst = \"1 MiB\", rate = 0 }").unwrap();
    assert_eq!(numbers.limits.connections.unauthenticated_per_prefix, settings(1 << 20, 0));
    refused(limit("maybe"), &["limits.unauthenticated_per_prefix", "\"on\", \"off\""]);
    refused(
        limit("{ burst = \"1 GiB\", rate = 0 }"),
        &["limits.unauthenticated_per_prefix", "64 MiB", "write \"off\""],
    );
}

#[test]
fn an_unknown_limit_is_one_problem_although_several_structs_read_the_table() {
    let set = ["--set", "limits.allocation_per_user=5", "--set", "limits.tcp_conections=1"];
    let error = with(&[&set[..], &["--set", "limits.max_lifetime=x"]].concat()).unwrap_err();
    let expected = [
        "limits.allocation_per_user (--set limits.allocation_per_user): unknown key; \
         did you mean limits.allocations_per_user?",
        "limits.tcp_conections (--set limits.tcp_conections): unknown key; \
         did you mean limits.tcp_connections?",
    ];
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 3, "{error}");
    assert!(expected.iter().all(|line| lines.contains(line)), "{error}");
    assert!(
        lines[2]
            .starts_with("limits.max_lifetime (--set limits.max_lifetime): expected a duration"),
        "{error}"
    );
}

#[test]
fn a_default_that_contradicts_a_setting_is_named_as_default() {
    let error = with(&["--set", "limits.max_lifetime=5m"]).unwrap_err();
    assert!(error.starts_with("limits.default_lifetime (default): 600s is more than"), "{error}");
}
