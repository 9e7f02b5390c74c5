//! libFuzzer's program for [`causeway_fuzz::proxy`]; without `--cfg fuzzing`, a replay of the files
//! that are its arguments.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| causeway_fuzz::proxy(data));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    causeway_fuzz::replay(causeway_fuzz::proxy)
}
