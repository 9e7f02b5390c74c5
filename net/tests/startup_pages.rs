//! The memory that the start leaves. Alone in its process, whose memory it counts.

use causeway_net::release_startup_pages;

/// Kilobytes of files that are resident.
fn of_files() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells of each process");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssFile:"))
        .expect("kernels since 4.5 have it");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

#[test]
fn pages_of_the_start_go_and_the_program_goes_on() {
    let before = of_files();
    release_startup_pages();
    let after = of_files();
    assert!(after < before, "{before} kB before, {after} kB after");
    let sum = std::thread::spawn(|| {
        "1 2 3".split(' ').map(|word| word.parse::<u32>().unwrap()).sum::<u32>()
    });
    assert_eq!(sum.join().unwrap(), 6);
}
