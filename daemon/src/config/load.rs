//! Reading the layers in order, and the start of a service.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Deserialize;

use super::deserialize;
use super::environment;
use super::error::{ConfigError, Problem};
use super::file;
use super::flags::CommonFlags;
use super::keys::keys;
use super::nearest::nearest;
use super::origin::Origin;
use super::reference;
use super::setting::Setting;
use super::tree::{Node, Value};
use crate::lifecycle::{EXIT_OK, EXIT_USAGE};

/// The parts of a configuration that differ between services.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// The executable's name.
    pub name: &'static str,
    /// The prefix of its environment variables, without the underscore.
    pub env_prefix: &'static str,
    /// The documented configuration, as `--print-default-config` prints it. It is also the only
    /// place where the keys have their defaults.
    pub default_config: &'static str,
}

/// A configuration with the origin of each key.
pub struct Loaded<T> {
    /// The values.
    pub value: T,
    tree: Node,
}

impl<T> Loaded<T> {
    /// Turns the values into the service's own types. Each problem that `into` finds gains the
    /// origin of its key.
    ///
    /// # Errors
    /// The problems that `into` found.
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

/// Reads the configuration of `service`. Its documented defaults are the lowest layer; over them
/// lie the file of `--config` (or of the variable `PREFIX_CONFIG`), the `environment`, `--set` and
/// the `dedicated` flags.
///
/// # Errors
/// The file cannot be read or is not TOML; keys that do not exist, with the nearest that does;
/// values of the wrong type.
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
    let mut tree = reference::defaults(service.default_config);
    match common.config.clone().or_else(from_environment) {
        Some(path) if path.as_os_str().is_empty() => {
            let what = "the name of the configuration file is empty";
            return Err(Problem::new("--config", what)
                .hint("name a file, or leave the flag or the variable out")
                .into());
        }
        Some(path) => tree.overlay(file::read(&path)?),
        None => {}
    }
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

/// Completes the hint of an unknown key: suggests a key of another table, and spells it as an
/// environment variable where the key was one.
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

/// The first step of a `main`: answers `--print-default-config` and `--check-config`, or returns
/// the configuration to run.
///
/// `resolve` turns the schema into the service's own types; `describe` explains the result in a few
/// lines for `--check-config`.
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

/// Prints the answer to a flag, and returns the exit code.
fn say(service: &Service, text: &str) -> ExitCode {
    match causeway_cli::answer(text) {
        Ok(()) => EXIT_OK.into(),
        Err(unwritten) => unwritten.end(service.name),
    }
}
