//! The loader, with a schema of this test's own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use causeway_daemon::config::{CommonFlags, Problem, Service, Setting, load};
use causeway_kit::Scratch;
use serde::Deserialize;

const SERVICE: Service = Service { name: "demo", env_prefix: "DEMO", default_config: "" };

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Demo {
    name: String,
    size: u16,
    ratio: f64,
    loud: bool,
    items: Vec<Item>,
    tags: Vec<String>,
    people: BTreeMap<String, Item>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Item {
    id: u32,
    label: Option<String>,
}

fn read(file: Option<&str>, set: &[&str], environment: &[(&str, &str)]) -> Result<Demo, String> {
    let scratch = Scratch::new();
    let path: Option<PathBuf> = file.map(|text| scratch.write("demo.toml", text));
    let set = set.iter().map(|text| text.parse().unwrap()).collect();
    let common = CommonFlags { config: path.clone(), set, ..CommonFlags::default() };
    let environment =
        environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let outcome = load::<Demo>(&SERVICE, &common, Vec::new(), environment);
    let error = |error: String| match &path {
        Some(path) => error.replace(path.to_str().unwrap(), "FILE"),
        None => error,
    };
    outcome.map(|loaded| loaded.value).map_err(|problems| error(problems.to_string()))
}

#[test]
fn every_scalar_can_be_set_by_text() {
    let set = [
        "name=5",
        "size=6",
        "ratio=0.5",
        "loud=true",
        "tags=a, b",
        "items.0.id=1",
        "people.anna.label=\"x\"",
    ];
    let gap = read(None, &set, &[("DEMO_ITEMS__2__ID", "2")]).unwrap_err();
    assert!(
        gap.contains("items (environment variable DEMO_ITEMS__2__ID): expected a list"),
        "{gap}"
    );
    let demo = read(None, &set, &[("DEMO_PEOPLE__1001__ID", "3")]).unwrap();
    assert_eq!((demo.name.as_str(), demo.size, demo.ratio, demo.loud), ("5", 6, 0.5, true));
    assert_eq!(demo.tags, ["a", "b"]);
    assert_eq!(demo.items, [Item { id: 1, label: None }]);
    assert_eq!((demo.people["anna"].label.as_deref(), demo.people["1001"].id), (Some("x"), 3));
}

#[test]
fn values_may_be_toml() {
    let set = [
        "items=[{ id = 1 }, { id = 2, label = \"x\" }]",
        "people={ anna = { id = 3 } }",
        "tags=[\"a,b\"]",
        "name='q'",
    ];
    let demo = read(None, &set, &[]).unwrap();
    assert_eq!((demo.items.len(), demo.items[1].id, demo.people["anna"].id), (2, 2, 3));
    assert_eq!((demo.tags, demo.name.as_str()), (vec!["a,b".to_owned()], "q"));
}

#[test]
fn a_higher_layer_changes_one_key_of_a_lower_one() {
    let file = "[[items]]\nid = 1\nlabel = \"kept\"\n[[items]]\nid = 2\n";
    let demo =
        read(Some(file), &["items.0.id=7", "items.2.id=3"], &[("DEMO_ITEMS__1__LABEL", "new")])
            .unwrap();
    let ids: Vec<u32> = demo.items.iter().map(|item| item.id).collect();
    assert_eq!(ids, [7, 2, 3]);
    assert_eq!(
        (demo.items[0].label.as_deref(), demo.items[1].label.as_deref()),
        (Some("kept"), Some("new"))
    );
    let error = read(Some(file), &["items.9.id=1"], &[]).unwrap_err();
    assert_eq!(error, "items.9.id (--set items.9.id): there is nothing at items.9 to set");
}

#[test]
fn the_file_can_be_named_by_a_variable() {
    let scratch = Scratch::new();
    let path = scratch.write("demo.toml", "size = 9\n");
    let demo = read(None, &[], &[("DEMO_CONFIG", path.to_str().unwrap())]);
    assert_eq!(demo.unwrap().size, 9);
}

#[test]
fn all_unknown_keys_are_told_at_once_with_their_lines() {
    let file = "nmae = \"x\"\n[people.anna]\nlable = \"x\"\n[stranger]\na = 1\n";
    let error = read(Some(file), &["size=x"], &[("DEMO_LOUDD", "true")]).unwrap_err();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(
        lines,
        [
            "loudd (environment variable DEMO_LOUDD): unknown key; did you mean DEMO_LOUD?",
            "nmae (FILE:1): unknown key; did you mean name?",
            "stranger (FILE:4): unknown key",
            "people.anna.lable (FILE:3): unknown key; did you mean people.anna.label?",
            "size (--set size): expected a whole number from 0 to 65535, found a string",
        ]
    );
}

#[test]
fn text_that_is_no_toml_names_its_line() {
    let error = read(Some("size = 1\nname = \n"), &[], &[]).unwrap_err();
    assert!(error.starts_with("FILE:2: invalid TOML"), "{error}");
    let deep = format!("tags = {}{}", "[".repeat(5_000), "]".repeat(5_000));
    assert!(read(Some(&deep), &[], &[]).is_err(), "nesting is bounded");
}

#[test]
fn a_flag_of_its_own_goes_over_all_and_its_problems_name_it() {
    let common = CommonFlags { set: vec!["size=1".parse().unwrap()], ..CommonFlags::default() };
    let flag = || vec![Setting::number("--size", "size", Some(2)).unwrap()];
    let loaded = load::<Demo>(&SERVICE, &common, flag(), []).unwrap();
    assert_eq!(loaded.value.size, 2);
    let error = loaded
        .resolve(|_| Err::<(), _>(vec![Problem::new("size", "too big").hint("less")]))
        .unwrap_err();
    assert_eq!(error.to_string(), "size (--size): too big; less");
}
