//! The output of `turnload run`: text or JSON.

use std::time::Duration;

use serde_json::{Value, json};

use crate::load::{Found, Measured, Memory, Pace, Scenario, Target, Traffic};

/// Remarks that an operator needs before trusting a figure.
pub(crate) const HINT: &str = "All clients share one user and a few prefixes: limits per user, per \
    prefix and of unauthenticated requests must be out of the way.";

/// The cost of the load for the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Processor time of the server.
    pub(crate) spent: Duration,
    /// Memory at the end.
    pub(crate) memory: Memory,
}

pub(crate) fn heading(scenario: &Scenario, target: &Target) -> String {
    let pace = match scenario.pace {
        Pace::Auto | Pace::Window(_) => format!("{} under way", scenario.window()),
        Pace::Rate(rate) => format!("{rate} a second"),
    };
    let sizes = match scenario.traffic {
        Traffic::Even => format!("{} bytes", scenario.size),
        Traffic::Mixed => format!("mixed sizes up to {} bytes", scenario.size),
        Traffic::Frames => "frames and audio of video calls".to_owned(),
    };
    format!(
        "{} over {}, {:?} {:?}: {} allocations, {sizes}, bursts of {}{}, {pace}",
        target.address,
        scenario.transport.name(),
        scenario.operation,
        scenario.direction,
        scenario.allocations,
        scenario.burst,
        if scenario.offload { " in one piece" } else { "" },
    )
}

/// `own` is the processor time of the load itself, including its waiting for the server.
pub(crate) fn table(measured: &Measured, own: Option<Duration>, cost: Option<Cost>) -> String {
    let latencies = &measured.latencies;
    let mut text = format!(
        "sent        {}\ndelivered   {} ({:.0} a second)\nlost        {} ({:.4} %)\n\
         corrupt     {}\nmisdelivered {}\nduplicates  {}\nlate        {}\n\
         latency     p50 {:?}, p90 {:?}, p99 {:?}, p99.9 {:?}, max {:?}",
        measured.sent,
        measured.delivered,
        measured.rate(),
        measured.lost(),
        100.0 * share(measured.lost(), measured.sent),
        measured.corrupt,
        measured.misdelivered,
        measured.duplicates,
        measured.late,
        latencies.p50,
        latencies.p90,
        latencies.p99,
        latencies.p999,
        latencies.max,
    );
    if let Some(own) = own {
        text += &format!("\nload        {:.0} ns a delivery", each(own, measured));
    }
    if let Some(cost) = cost {
        text += &format!(
            "\nserver      {:.0} ns a delivery, {:.0} deliveries and {:.2} Gbit of data a second of a \
             core, {:.1} % of a core, \
             {} KiB resident ({} its own)",
            each(cost.spent, measured),
            a_second(measured.delivered as f64, cost.spent),
            a_second(measured.bytes as f64 * 8e-9, cost.spent),
            100.0 * cost.spent.as_secs_f64() / measured.elapsed.as_secs_f64().max(1e-9),
            cost.memory.resident,
            cost.memory.anonymous,
        );
    }
    text
}

pub(crate) fn found_table(found: &Found) -> String {
    let whose = if found.by_load { "; faster than that the load cannot send" } else { "" };
    format!("highest     {} a second{whose}\n{}", found.rate, table(&found.measured, None, None))
}

pub(crate) fn json(
    scenario: &Scenario,
    measured: &Measured,
    own: Duration,
    cost: Option<Cost>,
) -> String {
    let mut value = json!({
        "scenario": scenario_json(scenario),
        "measured": measured_json(measured),
        "load": { "cpu_ns": nanoseconds(own) },
    });
    if let Some(cost) = cost {
        value["server"] = json!({
            "ns_per_delivery": each(cost.spent, measured),
            "deliveries_per_core_second": a_second(measured.delivered as f64, cost.spent),
            "gbit_per_core_second": a_second(measured.bytes as f64 * 8e-9, cost.spent),
            "cpu_ns": nanoseconds(cost.spent),
            "resident_kib": cost.memory.resident,
            "anonymous_kib": cost.memory.anonymous,
        });
    }
    value.to_string()
}

pub(crate) fn found_json(scenario: &Scenario, found: &Found) -> String {
    json!({
        "scenario": scenario_json(scenario),
        "highest_rate": found.rate,
        "limited_by_load": found.by_load,
        "measured": measured_json(&found.measured),
    })
    .to_string()
}

fn scenario_json(scenario: &Scenario) -> Value {
    let (window, rate) = match scenario.pace {
        Pace::Auto | Pace::Window(_) => (Some(scenario.window()), None),
        Pace::Rate(rate) => (None, Some(rate)),
    };
    json!({
        "transport": scenario.transport.name(),
        "operation": format!("{:?}", scenario.operation),
        "direction": format!("{:?}", scenario.direction),
        "allocations": scenario.allocations,
        "traffic": format!("{:?}", scenario.traffic),
        "size": scenario.size,
        "burst": scenario.burst,
        "gro": scenario.offload,
        "window": window,
        "rate": rate,
    })
}

fn measured_json(measured: &Measured) -> Value {
    let latencies = &measured.latencies;
    json!({
        "sent": measured.sent,
        "delivered": measured.delivered,
        "lost": measured.lost(),
        "corrupt": measured.corrupt,
        "misdelivered": measured.misdelivered,
        "duplicates": measured.duplicates,
        "late": measured.late,
        "bytes": measured.bytes,
        "elapsed_ns": nanoseconds(measured.elapsed),
        "per_second": measured.rate(),
        "latency_ns": {
            "p50": nanoseconds(latencies.p50),
            "p90": nanoseconds(latencies.p90),
            "p99": nanoseconds(latencies.p99),
            "p99_9": nanoseconds(latencies.p999),
            "max": nanoseconds(latencies.max),
        },
    })
}

fn each(spent: Duration, measured: &Measured) -> f64 {
    spent.as_secs_f64() * 1e9 / measured.delivered.max(1) as f64
}

/// The amount for each second of processor time.
fn a_second(amount: f64, spent: Duration) -> f64 {
    amount / spent.as_secs_f64().max(1e-9)
}

fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

fn nanoseconds(time: Duration) -> u64 {
    crate::load::clock::nanoseconds(time)
}
