//! Text for standard output and standard error.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// The exit status of a program that cannot do what it was started for: an unknown flag, a bad
/// configuration, an answer that cannot be written.
pub const EXIT_USAGE: u8 = 2;
/// The status that a shell gives a program that SIGPIPE ended: 128 and the signal's number.
const EXIT_READER_LEFT: u8 = 128 + 13;

/// Why writing to standard output failed.
#[derive(Debug)]
pub enum Unwritten {
    /// The reader has closed its end, as `head` does when it has seen enough.
    ReaderLeft,
    /// Anything else, such as a full disk.
    Failed(io::Error),
}

impl Unwritten {
    /// The exit status. A failure is reported on standard error; a reader that has left is not.
    pub fn end(&self, program: &str) -> ExitCode {
        match self {
            Unwritten::ReaderLeft => EXIT_READER_LEFT.into(),
            Unwritten::Failed(_) => {
                complain(format_args!("{program}: {self}"));
                EXIT_USAGE.into()
            }
        }
    }
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unwritten::ReaderLeft => f.write_str("the reader of standard output has left"),
            Unwritten::Failed(error) => write!(f, "cannot write to standard output: {error}"),
        }
    }
}

impl std::error::Error for Unwritten {}

impl From<io::Error> for Unwritten {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Unwritten::ReaderLeft,
            _ => Unwritten::Failed(error),
        }
    }
}

/// Writes a part of the output, all of it. More follows, so a reader that has left is an error that
/// ends the program.
///
/// # Errors
/// [`Unwritten`], if standard output did not accept all of it.
pub fn print(text: impl fmt::Display) -> Result<(), Unwritten> {
    write(&mut io::stdout().lock(), format_args!("{text}"))
}

/// Like [`print()`], with a line end.
///
/// # Errors
/// The same as of [`print()`].
pub fn print_line(text: impl fmt::Display) -> Result<(), Unwritten> {
    print(format_args!("{text}\n"))
}

/// Writes the last part of the output, all of it. A reader that has left is no error, because
/// nothing more follows.
///
/// # Errors
/// [`Unwritten::Failed`].
pub fn answer(text: impl fmt::Display) -> Result<(), Unwritten> {
    match print(text) {
        Err(Unwritten::ReaderLeft) => Ok(()),
        outcome => outcome,
    }
}

/// Like [`answer`], with a line end.
///
/// # Errors
/// The same as of [`answer`].
pub fn answer_line(text: impl fmt::Display) -> Result<(), Unwritten> {
    answer(format_args!("{text}\n"))
}

/// Writes a line to standard error. If that fails, there is no other place to report it, and the
/// program goes on.
pub fn complain(text: impl fmt::Display) {
    // As one write, so that the lines of several threads do not mix.
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

/// Flushes, because standard output keeps an unfinished line back, and drops the error of writing
/// it at exit.
fn write(output: &mut impl Write, text: fmt::Arguments<'_>) -> Result<(), Unwritten> {
    output.write_all(text.to_string().as_bytes())?;
    Ok(output.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts everything, and fails to flush it.
    struct Full;

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(ErrorKind::StorageFull.into())
        }
    }

    #[test]
    fn what_is_kept_back_is_written_before_it_counts() {
        let outcome = write(&mut Full, format_args!("no line end"));
        assert!(
            matches!(outcome, Err(Unwritten::Failed(error)) if error.kind() == ErrorKind::StorageFull)
        );
    }
}
