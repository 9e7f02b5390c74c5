//! Each container as the kubelet would start it, but with `--check-config`: the real binary reads
//! the rendered configuration.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::pod::{containers, text};
use super::write;
use crate::workspace;

/// The values of the downward API on every node of the test.
const NODE: [(&str, &str); 2] =
    [("status.hostIP", "203.0.113.7"), ("status.hostIPs", "203.0.113.7,2001:db8::7")];

/// Runs the program of each container. Returns their output, in the order of the objects.
///
/// # Errors
/// A volume's object or key is missing, or the program refuses its configuration.
pub(super) fn check_all(
    objects: &[Value],
    secrets: &[Value],
    folder: &Path,
) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for object in objects {
        let spec = &object["spec"]["template"]["spec"];
        for container in containers(spec) {
            let node = node(spec);
            let started = Started { container, node: &node, root: folder.join("root").join(&node) };
            let volumes = Volumes { objects, secrets, declared: &spec["volumes"] };
            said.push(
                started
                    .check(&volumes)
                    .with_context(|| format!("{} on {node}", text(&container["name"])))?,
            );
        }
    }
    ensure!(!said.is_empty(), "no object has a container");
    Ok(said)
}

/// The node that the pod is bound to, or else any name.
fn node(spec: &Value) -> String {
    let required =
        &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let bound = text(&required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0]);
    if bound.is_empty() { "node-1".to_owned() } else { bound.to_owned() }
}

/// A container on a node, with its file system below `root`.
struct Started<'a> {
    container: &'a Value,
    node: &'a str,
    root: PathBuf,
}

impl Started<'_> {
    fn check(&self, volumes: &Volumes<'_>) -> Result<String> {
        let mounts = || self.container["volumeMounts"].as_array().into_iter().flatten();
        for mount in mounts() {
            let folder = self.root.join(text(&mount["mountPath"]).trim_start_matches('/'));
            std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
            for (name, value) in volumes.files(text(&mount["name"]))? {
                write(&folder, &name, &self.below_root(&value))?;
            }
        }
        let variables = self.variables()?;
        let program = workspace::target().join("debug").join(text(&self.container["name"]));
        let mut check = Command::new(&program);
        check.env_clear().envs(variables.iter().map(|(name, value)| (name, value)));
        for argument in self.container["args"].as_array().into_iter().flatten() {
            check.arg(self.below_root(&expand(text(argument), &variables)));
        }
        let output =
            check.arg("--check-config").output().with_context(|| program.display().to_string())?;
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        match output.status.success() {
            true => Ok(said),
            false => bail!("{said}"),
        }
    }

    /// The text, with the paths of the container's mounts moved below our root.
    fn below_root(&self, text: &str) -> String {
        let root = self.root.display();
        let moved = text.replace("/etc/causeway/", &format!("{root}/etc/causeway/"));
        moved.replace("\"/run/causeway", &format!("\"{root}/run/causeway"))
    }

    fn variables(&self) -> Result<Vec<(String, String)>> {
        let mut variables = Vec::new();
        for variable in self.container["env"].as_array().into_iter().flatten() {
            let field = text(&variable["valueFrom"]["fieldRef"]["fieldPath"]);
            let value = match field {
                "" => expand(
                    variable["value"].as_str().context("a variable without a value")?,
                    &variables,
                ),
                "spec.nodeName" => self.node.to_owned(),
                field => match NODE.iter().find(|(known, _)| *known == field) {
                    Some((_, value)) => (*value).to_owned(),
                    None => bail!("the test has no value for {field}"),
                },
            };
            variables.push((text(&variable["name"]).to_owned(), value));
        }
        Ok(variables)
    }
}

/// `$(NAME)`, as the kubelet expands it in arguments and in later variables.
fn expand(text: &str, variables: &[(String, String)]) -> String {
    variables
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("$({name})"), value))
        .replace("$$", "$")
}

/// The volumes of a pod, and the objects that they may refer to.
struct Volumes<'a> {
    objects: &'a [Value],
    secrets: &'a [Value],
    declared: &'a Value,
}

impl Volumes<'_> {
    /// The volume's files, by name.
    fn files(&self, volume: &str) -> Result<Vec<(String, String)>> {
        let mut declared = self.declared.as_array().into_iter().flatten();
        let found = declared
            .find(|declared| declared["name"] == volume)
            .with_context(|| format!("there is no volume {volume}"))?;
        if found["configMap"].is_object() {
            let name = text(&found["configMap"]["name"]);
            let map = named(self.objects, "ConfigMap", name)?;
            let data =
                map["data"].as_object().with_context(|| format!("ConfigMap {name} is empty"))?;
            return Ok(data
                .iter()
                .map(|(name, value)| (name.clone(), text(value).to_owned()))
                .collect());
        }
        if !found["secret"].is_object() {
            return Ok(Vec::new());
        }
        let name = text(&found["secret"]["secretName"]);
        let secret = named(self.secrets, "Secret", name)?;
        let items = found["secret"]["items"].as_array().into_iter().flatten();
        items
            .map(|item| {
                let key = text(&item["key"]);
                let value = secret["stringData"][key]
                    .as_str()
                    .with_context(|| format!("Secret {name} has no key {key}"))?;
                Ok((text(&item["path"]).to_owned(), value.to_owned()))
            })
            .collect()
    }
}

fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> Result<&'a Value> {
    let mut of_kind = objects.iter().filter(|object| object["kind"] == kind);
    of_kind
        .find(|object| object["metadata"]["name"] == name)
        .with_context(|| format!("{kind} {name} is mounted but does not exist"))
}
