//! Which pods a change replaces: Kubernetes does it whenever a pod template differs, and each time
//! calls end.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::changed::{Replacement, changed};
use super::pod::text;
use super::write;
use super::{chart, fixtures, helm, output, schemas};

/// A change, and the servers whose pods it may replace.
struct Change {
    name: &'static str,
    /// The values file that it is made to.
    base: &'static str,
    /// YAML that goes over the values.
    values: &'static str,
    /// The changes to the chart.
    chart: &'static [Replacement<'static>],
    /// The names of the DaemonSets and Deployments that it changes, makes or removes.
    replaces: &'static [&'static str],
}

const RELAY_1: &str = "relay-turnd-relay-1-example-cf46cad4";
const RELAY_2: &str = "relay-turnd-relay-2-example-bf03d76d";

const CHANGES: &[Change] = &[
    Change {
        name: "a relay added or removed",
        base: "public-full",
        values: "relay: {nodes: {relay-3: {addresses: [10.0.0.9], \
            external: {10.0.0.9: 203.0.113.9}}}}",
        chart: &[],
        replaces: &["relay-turnd-relay-3"],
    },
    Change {
        name: "another address of one relay",
        base: "public-full",
        values: "relay: {nodes: {relay-1.example: {external: {10.0.0.7: 203.0.113.17}}}}",
        chart: &[],
        replaces: &[RELAY_1],
    },
    Change {
        name: "another realm",
        base: "public-full",
        values: "realm: example.com",
        chart: &[],
        replaces: &[RELAY_1, RELAY_2],
    },
    Change {
        name: "a limit",
        base: "public",
        values: "limits: {allocationsPerUser: 7}",
        chart: &[],
        replaces: &["relay-turnd"],
    },
    Change {
        name: "a comment and a new chart",
        base: "public-full",
        values: "",
        chart: NEW_CHART,
        replaces: &[],
    },
    Change {
        name: "a new chart without nodes",
        base: "public-redis",
        values: "",
        chart: NEW_CHART,
        replaces: &[],
    },
    Change {
        name: "a new chart of stund",
        base: "stun-full",
        values: "",
        chart: NEW_CHART,
        replaces: &[],
    },
    Change {
        name: "a new version of the program",
        base: "public",
        values: "",
        chart: &[("Chart.yaml", "appVersion: \"0.1.0\"", "appVersion: \"0.2.0\"")],
        replaces: &["relay-turnd"],
    },
    Change {
        name: "a disruption budget",
        base: "public-full",
        values: "podDisruptionBudget: {minAvailable: 2}",
        chart: &[],
        replaces: &[],
    },
    Change {
        name: "the clients of a Service",
        base: "stun-full",
        values: "{service: {loadBalancerSourceRanges: [192.0.2.0/24]}, \
            networkPolicy: {clients: [{ipBlock: {cidr: 192.0.2.0/24}}]}}",
        chart: &[],
        replaces: &[],
    },
];

/// A chart of another version, with other comments, for the program as it was.
const NEW_CHART: &[Replacement<'_>] = &[
    ("Chart.yaml", "\nversion: 0.1.0", "\nversion: 9.9.9"),
    ("templates/_config.tpl", "\n[relay]\n", "\n# A comment.\n\n[relay]\n"),
    ("templates/_config.tpl", "\n[admin]\n", "\n\n# A comment.\n[admin]\n"),
    ("templates/_pod.tpl", "# Makes the Secrets' files readable.", "# Another comment."),
];

/// Makes each of the changes.
///
/// # Errors
/// One replaces other pods than those that it concerns.
pub(super) fn check_all() -> Result<()> {
    let mut complaints = Vec::new();
    for change in CHANGES {
        match change.replaced() {
            Ok(replaced) if replaced == change.replaces => {
                let names =
                    if replaced.is_empty() { "no pod".to_owned() } else { replaced.join(", ") };
                causeway_cli::print_line(format_args!("{:44} replaces {names}", change.name))?;
            }
            Ok(replaced) => {
                complaints.push(format!(
                    "{}: replaces the pods of {replaced:?}, and should those of {:?}",
                    change.name, change.replaces
                ));
            }
            Err(error) => complaints.push(format!("{}: {error:#}", change.name)),
        }
    }
    ensure!(
        complaints.is_empty(),
        "{} of {} changes:\n{}",
        complaints.len(),
        CHANGES.len(),
        complaints.join("\n")
    );
    Ok(())
}

impl Change {
    /// The workloads that differ, but for labels that Kubernetes does not look at.
    fn replaced(&self) -> Result<Vec<String>> {
        let folder = output().join("restarts").join(self.name.replace(' ', "-"));
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let mut values = vec![fixtures().join("values").join(self.base).with_extension("yaml")];
        let before = specifications(&folder.join("before.yaml"), &chart(), &values)?;
        values.push(write(&folder, "values.yaml", self.values)?);
        let after =
            specifications(&folder.join("after.yaml"), &changed(&folder, self.chart)?, &values)?;
        let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
        let mut replaced: Vec<String> =
            names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect();
        replaced.sort();
        Ok(replaced)
    }
}

/// The pod template of each DaemonSet and Deployment, by the workload's name.
fn specifications(
    manifest: &Path,
    chart: &Path,
    values: &[std::path::PathBuf],
) -> Result<BTreeMap<String, Value>> {
    let rendered = helm::template(chart, values)?;
    std::fs::write(manifest, &rendered).with_context(|| manifest.display().to_string())?;
    let objects = schemas::validate(manifest)?;
    let workloads = objects.into_iter().filter(|object| object["spec"]["template"].is_object());
    let found: BTreeMap<_, _> = workloads
        .map(|object| {
            (text(&object["metadata"]["name"]).to_owned(), object["spec"]["template"].clone())
        })
        .collect();
    ensure!(!found.is_empty(), "no object has pods");
    Ok(found)
}
