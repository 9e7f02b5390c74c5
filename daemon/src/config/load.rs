//! The layers in order, and the start of a service.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::deserialize;
use super::environment;
use super::error::{ConfigError, Problem};
use super::file;
use super::flags::CommonFlags;
use super::keys::keys;
use super::nearest::nearest;
use super::origin::Origin;
use super::tree::{Node, Value};
use crate::lifecycle::{EXIT_OK, EXIT_USAGE};

/// What distinguishes a service's configuration.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// The executable's name.
    pub name: &'static str,
    /// The prefix of its environment variables, without the underscore.
    pub env_prefix: &'static str,
    /// The documented default configuration, as `--print-default-config` prints it.
    pub default_config: &'static str,
}

/// A key that a dedicated flag sets.
#[derive(Clone)]
pub struct Setting {
    path: Vec<String>,
    node: Node,
}

impl Setting {
    /// A text value; it is taken as it stands, whatever it looks like.
    pub fn text(flag: &'static str, path: &[&str], value: impl Into<String>) -> Self {
        Self::new(flag, path, Value::Text(Zeroizing::new(value.into())))
    }

    /// A whole number.
    pub fn number(flag: &'static str, path: &[&str], value: i64) -> Self {
        Self::new(flag, path, Value::Integer(value))
    }

    /// A list of text values, which replaces the list of the layers below.
    pub fn list(
        flag: &'static str,
        path: &[&str],
        values: impl IntoIterator<Item = String>,
    ) -> Self {
        let origin = Origin::Flag(flag);
        let item = |text| Node { value: Value::Text(Zeroizing::new(text)), origin: origin.clone() };
        Self::new(flag, path, Value::Array(values.into_iter().map(item).collect()))
    }

    /// A list of tables with one text key each, such as `listen` with `address`.
    pub fn tables(
        flag: &'static str,
        path: &[&str],
        key: &str,
        values: impl IntoIterator<Item = String>,
    ) -> Self {
        let origin = Origin::Flag(flag);
        let table = |text| {
            let value = Node { value: Value::Text(Zeroizing::new(text)), origin: origin.clone() };
            Node { value: Value::Table([(key.to_owned(), value)].into()), origin: origin.clone() }
        };
        Self::new(flag, path, Value::Array(values.into_iter().map(table).collect()))
    }

    /// A table of text values, which replaces the table of the layers below.
    pub fn table(
        flag: &'static str,
        path: &[&str],
        entries: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let origin = Origin::Flag(flag);
        let entry = |(key, text)| {
            (key, Node { value: Value::Text(Zeroizing::new(text)), origin: origin.clone() })
        };
        Self::new(flag, path, Value::Table(entries.into_iter().map(entry).collect()))
    }

    /// What addresses are from outside: a table of `BOUND=ADVERTISED`, or a list of addresses;
    /// nothing where nothing is said. The table goes in place of what the layers below say, and
    /// an address that is bound twice is told.
    pub fn external(flag: &'static str, path: &[&str], values: &[String]) -> Vec<Self> {
        if values.is_empty() {
            return Vec::new();
        }
        let pairs: Option<Vec<_>> = values.iter().map(|text| text.split_once('=')).collect();
        let Some(pairs) = pairs else { return vec![Self::text(flag, path, values.join(","))] };
        let pair = |(bound, advertised)| Self::text(flag, &[path, &[bound]].concat(), advertised);
        std::iter::once(Self::table(flag, path, [])).chain(pairs.into_iter().map(pair)).collect()
    }

    fn new(flag: &'static str, path: &[&str], value: Value) -> Self {
        let path = path.iter().map(|&segment| segment.to_owned()).collect();
        Setting { path, node: Node { value, origin: Origin::Flag(flag) } }
    }
}

/// A configuration that was read, with the places of its keys.
pub struct Loaded<T> {
    /// The values.
    pub value: T,
    tree: Node,
}

impl<T> Loaded<T> {
    /// Turns the values into what they mean; each problem that `into` finds gains the place of its
    /// key.
    ///
    /// # Errors
    /// What `into` found.
    pub fn resolve<C>(
        self,
        into: impl FnOnce(T) -> Result<C, Vec<Problem>>,
    ) -> Result<C, ConfigError> {
        let Loaded { value, tree } = self;
        into(value).map_err(|mut problems| {
            for problem in &mut problems {
                problem.origin =
                    problem.origin.take().or_else(|| tree.origin_of(&problem.key).cloned());
            }
            ConfigError { problems }
        })
    }
}

/// Reads the configuration of `service`: the file of `--config` (or of the variable
/// `PREFIX_CONFIG`), over it the `environment`, over it `--set`, over it the flags of their own.
/// Defaults are the schema's.
///
/// # Errors
/// The file is unreadable or no TOML; keys that do not exist, with the nearest that does; values of
/// the wrong type.
pub fn load<T: for<'de> Deserialize<'de>>(
    service: &Service,
    common: &CommonFlags,
    dedicated: Vec<Setting>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded<T>, ConfigError> {
    let variables: Vec<_> = environment.into_iter().collect();
    let config_variable = OsString::from(format!("{}_CONFIG", service.env_prefix));
    let from_environment = || {
        variables
            .iter()
            .find(|(name, _)| *name == config_variable)
            .map(|(_, value)| PathBuf::from(value))
    };
    let mut tree = match common.config.clone().or_else(from_environment) {
        Some(path) if path.as_os_str().is_empty() => {
            let what = "the name of the configuration file is empty";
            return Err(Problem::new("--config", what)
                .hint("name a file, or leave the flag or the variable out")
                .into());
        }
        Some(path) => file::read(&path)?,
        None => Node::empty_table(Origin::Flag("the defaults")),
    };
    let keys = keys::<T>();
    let mut problems = Vec::new();
    environment::overlay(&mut tree, service.env_prefix, variables, &keys, &mut problems);
    let assignments = common.set.iter().map(|assignment| Setting {
        path: assignment.path.clone(),
        node: Node {
            value: Value::Raw(assignment.value.clone()),
            origin: Origin::Set(assignment.path.join(".")),
        },
    });
    for Setting { path, node } in assignments.chain(common.settings()).chain(dedicated) {
        problems.extend(tree.set(&path, node));
    }
    match deserialize::read(&tree) {
        Ok(value) if problems.is_empty() => Ok(Loaded { value, tree }),
        Ok(_) => Err(ConfigError { problems }),
        Err(found) => {
            problems.extend(found.into_iter().map(|problem| suggest(problem, &keys, service)));
            Err(ConfigError { problems })
        }
    }
}

/// Completes the hint of an unknown key: with a key of another table, and in the spelling of where
/// it was written.
fn suggest(mut problem: Problem, keys: &[String], service: &Service) -> Problem {
    if problem.what != "unknown key" {
        return problem;
    }
    let elsewhere = || {
        let last = problem.key.rsplit('.').next()?;
        let same = keys.iter().find(|key| key.rsplit('.').next() == Some(last));
        same.map(String::as_str).or_else(|| nearest(&problem.key, keys.iter().map(String::as_str)))
    };
    if problem.hint.is_none() {
        problem.hint = elsewhere().map(|key| format!("did you mean {key}?"));
    }
    if let (Some(hint), Some(Origin::Environment(_))) = (&problem.hint, &problem.origin) {
        let key = hint.trim_start_matches("did you mean ").trim_end_matches('?');
        let variable = format!("{}_{}", service.env_prefix, key.replace('.', "__").to_uppercase());
        problem.hint = Some(format!("did you mean {variable}?"));
    }
    problem
}

/// What a `main` does first: answers `--print-default-config` and `--check-config`, or yields the
/// configuration to run.
///
/// `resolve` is the service's own reading of its schema; `describe` says in a few lines what the
/// result means.
///
/// # Errors
/// The exit code where there is nothing to run: 0 after an answer, 2 after an error, which is
/// printed.
pub fn start<T: for<'de> Deserialize<'de>, C>(
    service: &Service,
    common: &CommonFlags,
    dedicated: Vec<Setting>,
    resolve: impl FnOnce(T) -> Result<C, Vec<Problem>>,
    describe: impl FnOnce(&C) -> Vec<String>,
) -> Result<C, ExitCode> {
    if common.print_default_config {
        return Err(say(service, service.default_config));
    }
    let loaded = load::<T>(service, common, dedicated, std::env::vars_os());
    let config = match loaded.and_then(|loaded| loaded.resolve(resolve)) {
        Ok(config) => config,
        Err(error) => {
            for problem in &error.problems {
                causeway_cli::complain(format_args!("{}: {problem}", service.name));
            }
            return Err(EXIT_USAGE.into());
        }
    };
    if common.check_config {
        let lines = describe(&config).into_iter().map(|line| format!("  {line}\n"));
        return Err(say(
            service,
            &std::iter::once("configuration ok\n".to_owned()).chain(lines).collect::<String>(),
        ));
    }
    Ok(config)
}

/// Prints the answer to a flag, and yields the status to end with.
fn say(service: &Service, text: &str) -> ExitCode {
    match causeway_cli::answer(text) {
        Ok(()) => EXIT_OK.into(),
        Err(unwritten) => unwritten.end(service.name),
    }
}
