//! `turnload compare`: compares two servers and reports the figures.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use causeway_cli::{answer, print, print_line};
use clap::Args;

use crate::compare::contest::Contest;
use crate::compare::slices::{Extent, Interrupt};
use crate::compare::{Case, catalogue};
use crate::peer::{Choice, Description, Place};
use crate::report::{Outcome, Report, markdown, svg, text};

/// The arguments of `turnload compare`.
#[derive(Args, Debug)]
pub struct Flags {
    /// The server to measure: a name from bench/peers/, or a file of that kind
    #[arg(long, default_value = "turnd")]
    server: String,
    /// Its program, where it is another than the file says
    #[arg(long)]
    server_program: Option<PathBuf>,
    /// The server to compare it with: a name or a file, too
    #[arg(long, default_value = "coturn")]
    against: String,
    /// Its program, where it is another than the file says
    #[arg(long)]
    program: Option<PathBuf>,
    /// The backend of the server to measure: epoll or io_uring
    #[arg(long)]
    backend: Option<String>,
    /// The backend of the other server
    #[arg(long)]
    against_backend: Option<String>,
    /// The scenarios to compare; `--list` names them
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    scenario: Vec<String>,
    /// Compare all scenarios
    #[arg(long, conflicts_with = "scenario")]
    all: bool,
    /// List the scenarios with their goals, and measure nothing
    #[arg(long)]
    list: bool,
    /// Number of allocations on each server, instead of the scenario's
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    allocations: Option<u16>,
    /// Number of pairs of slices for each scenario
    #[arg(long, default_value_t = 14)]
    pairs: usize,
    /// Number of starts of the servers for each scenario, over which the pairs are spread: each
    /// start has a bias of its own
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=20))]
    starts: u8,
    /// Duration of a slice in milliseconds
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(10..=10_000))]
    slice: u64,
    /// Duration of the load before each slice that is not measured, in milliseconds
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    settle: u64,
    /// Run the servers in one network namespace and the load in another (needs root's rights); by
    /// default, all run on loopback
    #[arg(long)]
    namespaces: bool,
    /// Let the kernel place servers and load; by default, each has a core of its own
    #[arg(long)]
    unpinned: bool,
    /// Write all figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the ratios into this file as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print a Markdown table at the end
    #[arg(long)]
    markdown: bool,
}

/// Compares the two servers.
///
/// # Errors
/// If a server is not installed or does not start, relays nothing, or delivers something wrong.
pub fn run(flags: &Flags) -> Result<()> {
    ensure!((1..=200).contains(&flags.pairs), "from 1 to 200 pairs");
    let mut cases = cases(flags)?;
    if let Some(allocations) = flags.allocations {
        cases.iter_mut().for_each(|case| case.set_allocations(allocations.into()));
    }
    if flags.list {
        return Ok(answer(cases.iter().map(listed).collect::<String>())?);
    }
    let stop = Interrupt::watch()?;
    let ours = choice(&flags.server, flags.server_program.clone(), flags.backend.clone())?;
    let theirs = choice(&flags.against, flags.program.clone(), flags.against_backend.clone())?;
    let mut place = if flags.namespaces { Place::namespaces()? } else { Place::loopback() };
    if !flags.unpinned {
        place.pin()?;
    }
    let [slice, settle] = [flags.slice, flags.settle].map(Duration::from_millis);
    let starts = usize::from(flags.starts).min(flags.pairs);
    let pairs_each = flags.pairs.div_ceil(starts);
    let names = [&flags.server, &flags.against].map(|name| short(name));
    let contest = Contest {
        choices: [(names[0], &ours), (names[1], &theirs)],
        place: &place,
        extent: Extent { pairs: pairs_each, slice, settle },
        starts,
        stop: &stop,
    };
    let mut report = Report {
        kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease")),
        processor: processor(),
        place: place.name().to_owned(),
        pairs: pairs_each * starts,
        starts,
        slice_ms: slice.as_millis(),
        settings: settings(&contest),
        outcomes: Vec::new(),
    };
    print(text::preface(&report))?;
    let failed = play(&contest, &cases, &mut report)?;
    print(text::standings(&report))?;
    write(flags, &report)?;
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    let disordered: Vec<String> = report.outcomes.iter().filter_map(disorder).collect();
    ensure!(
        disordered.is_empty(),
        "{} does not keep the order of datagrams: {}",
        flags.server,
        disordered.join(", ")
    );
    Ok(())
}

/// The server of this name, with its changes; an error if its program is not installed.
fn choice(name: &str, program: Option<PathBuf>, backend: Option<String>) -> Result<Choice> {
    let choice = Choice { description: Description::find(name)?, program, backend };
    choice.program()?;
    Ok(choice)
}

/// Plays the cases, adds their outcomes to `report` and returns the names of those that failed.
fn play<'c>(contest: &Contest<'_>, cases: &'c [Case], report: &mut Report) -> Result<Vec<&'c str>> {
    let mut failed = Vec::new();
    for case in cases {
        match contest.play(case) {
            Ok(outcome) => {
                print(text::outcome(&outcome))?;
                report.outcomes.push(outcome);
            }
            // A case that fails does not prevent the others.
            Err(error) => {
                contest.stop.check()?;
                print_line(format_args!("{}: {error:#}", case.name))?;
                failed.push(&*case.name);
            }
        }
    }
    Ok(failed)
}

fn cases(flags: &Flags) -> Result<Vec<Case>> {
    if flags.all || (flags.list && flags.scenario.is_empty()) {
        return Ok(catalogue::all());
    }
    if flags.scenario.is_empty() {
        let usual: Vec<String> = catalogue::USUAL.iter().map(|&name| name.to_owned()).collect();
        return catalogue::named(&usual);
    }
    catalogue::named(&flags.scenario)
}

fn listed(case: &Case) -> String {
    let mut text = format!("{:16} {}\n", case.name, case.about);
    for goal in &case.goals {
        let backend = match goal.ring {
            Some(true) => " with io_uring",
            Some(false) => " with epoll",
            None => "",
        };
        text += &format!(
            "{:16}   {} against {:?}{backend} {}\n",
            "",
            goal.figure.name(),
            goal.against,
            goal.text()
        );
    }
    text
}

fn write(flags: &Flags, report: &Report) -> Result<()> {
    if flags.markdown {
        print(format_args!("\n{}", markdown::table(report)))?;
    }
    if let Some(path) = &flags.json {
        fs::write(path, serde_json::to_string_pretty(report)?)
            .with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &flags.svg {
        fs::write(path, svg::plot(report)).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// A case in which the first server let datagrams overtake each other, with their number.
fn disorder(outcome: &Outcome) -> Option<String> {
    let ours = &outcome.servers[0];
    (ours.late > 0).then(|| format!("{} ({} late of {})", outcome.name, ours.late, ours.sent))
}

fn settings(contest: &Contest<'_>) -> Vec<String> {
    let of = |(name, choice): &(&str, &Choice)| {
        let version = choice.version().unwrap_or_default();
        let head = format!("{name}: {} {version}", choice.description.about);
        let settings =
            choice.description.settings.iter().map(|setting| format!("{name}: {setting}"));
        [head.trim_end().to_owned()].into_iter().chain(settings).collect::<Vec<_>>()
    };
    contest.choices.iter().flat_map(of).collect()
}

/// The name of a description, also for a path.
fn short(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.strip_suffix(".toml").unwrap_or(file)
}

fn processor() -> String {
    let text = read("/proc/cpuinfo");
    let model = text.lines().find_map(|line| {
        line.strip_prefix("model name")?.split_once(": ").map(|(_, model)| model.to_owned())
    });
    model.unwrap_or_else(|| "unknown processor".to_owned())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}
