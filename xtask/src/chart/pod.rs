//! The promises of the documentation about every pod, whatever the values (H43).

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// Checks each pod template among the objects; there is at least one.
///
/// # Errors
/// Names the object and the promise that it breaks.
pub(super) fn check_all(objects: &[Value]) -> Result<()> {
    let templates: Vec<&Value> =
        objects.iter().filter(|object| object["spec"]["template"]["spec"].is_object()).collect();
    ensure!(!templates.is_empty(), "no object has pods");
    for object in templates {
        let named = || format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]));
        check(&object["spec"]["template"]["spec"]).with_context(named)?;
        check_labels(&object["spec"]["template"]["metadata"]["labels"]).with_context(named)?;
    }
    Ok(())
}

fn check(spec: &Value) -> Result<()> {
    let promised = [
        ("/automountServiceAccountToken", json!(false)),
        ("/enableServiceLinks", json!(false)),
        ("/securityContext/runAsNonRoot", json!(true)),
    ];
    holds(spec, &promised)?;
    // What the restricted standard for pods takes.
    let profile = spec.pointer("/securityContext/seccompProfile/type").map_or("", text);
    ensure!(
        ["RuntimeDefault", "Localhost"].contains(&profile),
        "the seccomp profile is {profile:?}"
    );
    for container in containers(spec) {
        let promised = [
            ("/securityContext/readOnlyRootFilesystem", json!(true)),
            ("/securityContext/allowPrivilegeEscalation", json!(false)),
            ("/securityContext/capabilities", json!({"drop": ["ALL"]})),
        ];
        holds(container, &promised)?;
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            // The image has no shell, and nothing else to run than the server.
            let asks = ["httpGet", "tcpSocket"].iter().any(|way| container[probe][way].is_object());
            ensure!(asks, "{probe}: neither httpGet nor tcpSocket");
        }
        // A relay may wait 22 s for its name, and then `store.restore_patience`, 60 s at most, for
        // the store.
        let probe = &container["startupProbe"];
        let seconds = probe["periodSeconds"].as_u64().unwrap_or(10)
            * probe["failureThreshold"].as_u64().unwrap_or(3);
        ensure!(
            seconds > 82,
            "startupProbe: {seconds} s are too short; the start of a relay may take 82 s"
        );
        for port in container["ports"].as_array().into_iter().flatten() {
            ensure!(port["containerPort"].as_u64() >= Some(1024), "{port}: needs a capability");
        }
    }
    Ok(())
}

/// A label that changes with the chart would replace every pod for it.
fn check_labels(labels: &Value) -> Result<()> {
    for label in ["helm.sh/chart", "app.kubernetes.io/version", "app.kubernetes.io/managed-by"] {
        ensure!(
            labels[label].is_null(),
            "the pod template has the label {label}: another version of the chart would restart \
            every pod"
        );
    }
    Ok(())
}

fn holds(value: &Value, promised: &[(&str, Value)]) -> Result<()> {
    for (path, promise) in promised {
        let found = value.pointer(path).unwrap_or(&Value::Null);
        ensure!(found == promise, "{path} is {found}, not {promise}");
    }
    Ok(())
}

/// The containers of a pod's specification.
pub(super) fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    spec["containers"].as_array().into_iter().flatten()
}

/// The text, or none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
