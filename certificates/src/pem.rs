//! The blocks of a PEM file (RFC 7468): all of them, or the reason for a refusal.
//!
//! The parsers of TLS libraries skip what they do not recognise, so that a misspelt marker loses a
//! certificate. Here, everything that looks like a marker has to be one. Text between blocks may be
//! anything, in any character set (RFC 7468 §2, §5.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// A block of a PEM file.
pub(crate) struct Block {
    pub(crate) label: String,
    /// The line number of the first marker, from 1.
    pub(crate) line: usize,
    /// Whether a header says that the content is encrypted, as OpenSSL's older form does
    /// (`Proc-Type: 4,ENCRYPTED`).
    pub(crate) encrypted: bool,
    /// The decoded content; empty if it is encrypted.
    pub(crate) content: Zeroizing<Vec<u8>>,
}

/// Why a file is not PEM: what is wrong, and the cure.
pub(crate) type Reason = (String, String);

/// All blocks of a file, in order; empty if it has no marker.
pub(crate) fn blocks(file: &[u8]) -> Result<Vec<Block>, Reason> {
    byte_order_mark(file)?;
    let mut blocks = Vec::new();
    let mut open: Option<Open> = None;
    for (line, text) in lines(file) {
        open = match (marker(line, text)?, open) {
            (None, None) => None,
            (None, Some(mut block)) => {
                block.take(line, text)?;
                Some(block)
            }
            (Some(Marker::Begin(label)), None) => Some(Open::new(label, line, file.len())),
            (Some(Marker::Begin(_)), Some(block)) => return Err(cut(line, &block)),
            (Some(Marker::End(label)), Some(block)) if label == block.label => {
                blocks.push(block.close()?);
                None
            }
            (Some(Marker::End(label)), Some(block)) => {
                let what = format!(
                    "line {line}: `END {label}` ends what begins as `BEGIN {}` in line {}",
                    block.label, block.line
                );
                return Err((what, "copy the whole file again".into()));
            }
            (Some(Marker::End(label)), None) => {
                return Err((
                    format!("line {line}: `END {label}` without a beginning"),
                    "the file is cut: copy the whole file again".into(),
                ));
            }
        };
    }
    match open {
        None if lines(file)
            .last()
            .is_some_and(|(_, text)| !text.is_empty() && BEGIN.starts_with(text)) =>
        {
            Err((
                "the last line is a part of a marker".into(),
                "the file is cut: copy the whole file again".into(),
            ))
        }
        Some(block) => Err((
            format!("line {}: `BEGIN {}` without an end", block.line, block.label),
            "the file is cut: copy the whole file again".into(),
        )),
        None => Ok(blocks),
    }
}

fn byte_order_mark(file: &[u8]) -> Result<(), Reason> {
    match file {
        [0xEF, 0xBB, 0xBF, ..] => Err((
            "the file begins with a byte order mark".into(),
            "take it off: `sed -i '1s/^\\xef\\xbb\\xbf//' FILE`".into(),
        )),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Err((
            "the file is UTF-16".into(),
            "save it as plain text: `iconv -f UTF-16 -t ASCII FILE > NEW`".into(),
        )),
        _ => Ok(()),
    }
}

/// The lines with their numbers, without their ends: LF, CRLF or CR (RFC 7468 §2).
fn lines(file: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = Some(file);
    let lines = std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            return rest.take();
        };
        let after = if text[end..].starts_with(b"\r\n") { end + 2 } else { end + 1 };
        rest = Some(&text[after..]);
        Some(&text[..end])
    });
    lines.enumerate().map(|(index, text)| (index + 1, text))
}

enum Marker {
    Begin(String),
    End(String),
}

/// Parses a marker; `None` for a line that does not look like one.
fn marker(line: usize, text: &[u8]) -> Result<Option<Marker>, Reason> {
    let count = count(text, BEGIN) + count(text, END);
    let trimmed = text.trim_ascii_end();
    if count == 0 {
        return if almost(text) {
            let what =
                format!("line {line}: this is almost a marker, and what it marks would be lost");
            Err((
                what,
                "write it as `-----BEGIN CERTIFICATE-----`, with five hyphens on each side".into(),
            ))
        } else {
            Ok(None)
        };
    }
    if count > 1 {
        let what = format!(
            "line {line}: two markers on one line: two files were joined without a line end"
        );
        return Err((
            what,
            "put a line break between `-----END …-----` and `-----BEGIN …-----`".into(),
        ));
    }
    let rest = trimmed
        .strip_prefix(BEGIN)
        .map(|rest| (true, rest))
        .or_else(|| trimmed.strip_prefix(END).map(|rest| (false, rest)));
    let Some((begins, rest)) = rest else {
        return if text.first().is_some_and(u8::is_ascii_whitespace)
            && text.trim_ascii_start().starts_with(DASHES)
        {
            Err((
                format!("line {line}: the marker is indented"),
                "take the spaces off: `sed -i 's/^[ \\t]*//' FILE`".into(),
            ))
        } else {
            let cure = "begin it with five hyphens, and give it a line of its own";
            Err((format!("line {line}: text or a hyphen too many before the marker"), cure.into()))
        };
    };
    let label = rest.strip_suffix(DASHES).filter(|label| is_label(label));
    let Some(label) = label else {
        let what = format!("line {line}: the marker has no proper end, or text behind it");
        return Err((what, "end it with five hyphens, and give it a line of its own".into()));
    };
    let label = String::from_utf8_lossy(label).into_owned();
    Ok(Some(if begins { Marker::Begin(label) } else { Marker::End(label) }))
}

fn count(text: &[u8], marker: &[u8]) -> usize {
    text.windows(marker.len()).filter(|window| *window == marker).count()
}

/// Whether a label has upper-case words and digits with single spaces between them; lower case too,
/// so that the refusal names the label.
fn is_label(label: &[u8]) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b" .#-".contains(byte);
    edge(label.first())
        && edge(label.last())
        && label.iter().all(letter)
        && count(label, b"--") == 0
}

/// Whether a line is one of the usual markers with too few hyphens, other dashes or in lower case.
fn almost(text: &[u8]) -> bool {
    let is_dash = |byte: &u8| *byte == b'-' || !byte.is_ascii();
    let text = text.trim_ascii();
    if !text.first().is_some_and(is_dash) && !text.last().is_some_and(is_dash) {
        return false;
    }
    let is_edge = |byte: &u8| is_dash(byte) || *byte == b' ';
    let Some(first) = text.iter().position(|byte| !is_edge(byte)) else { return false };
    let last = text.iter().rposition(|byte| !is_edge(byte)).unwrap_or(first);
    let words = text[first..=last].to_ascii_uppercase();
    let label = words.strip_prefix(b"BEGIN ").or_else(|| words.strip_prefix(b"END "));
    let known: [&[u8]; 7] = [
        b"CERTIFICATE",
        b"PRIVATE KEY",
        b"EC PRIVATE KEY",
        b"RSA PRIVATE KEY",
        b"ENCRYPTED PRIVATE KEY",
        b"TRUSTED CERTIFICATE",
        b"X509 CERTIFICATE",
    ];
    label.is_some_and(|label| known.contains(&label))
}

fn cut(line: usize, block: &Open) -> Reason {
    let what = format!(
        "line {line}: a block begins before the end of the one that begins in line {}",
        block.line
    );
    (what, "the file is cut, or a marker is missing: copy the whole file again".into())
}

/// A block whose end marker has not come yet.
struct Open {
    label: String,
    line: usize,
    /// Whether the lines are still headers; a blank line ends them.
    headers: bool,
    encrypted: bool,
    text: Zeroizing<Vec<u8>>,
}

impl Open {
    fn new(label: String, line: usize, longest: usize) -> Self {
        // Enough capacity, so that no reallocation leaves a part of a key behind.
        Self {
            label,
            line,
            headers: false,
            encrypted: false,
            text: Zeroizing::new(Vec::with_capacity(longest)),
        }
    }

    fn take(&mut self, line: usize, text: &[u8]) -> Result<(), Reason> {
        if self.text.is_empty() && text.contains(&b':') {
            self.headers = true;
        }
        if self.headers {
            self.encrypted |= text.starts_with(b"Proc-Type:") && count(text, b"ENCRYPTED") > 0;
            self.headers = !text.trim_ascii().is_empty();
            return Ok(());
        }
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
        let letters = || text.iter().filter(|byte| !byte.is_ascii_whitespace());
        if !letters().all(is_base64) {
            let what =
                format!("line {line}: not base64, in the block that begins in line {}", self.line);
            return Err((
                what,
                "the file is damaged, or a marker is missing: copy the whole file again".into(),
            ));
        }
        self.text.extend(letters());
        Ok(())
    }

    fn close(self) -> Result<Block, Reason> {
        let Self { label, line, encrypted, text, .. } = self;
        if encrypted {
            return Ok(Block { label, line, encrypted, content: Zeroizing::default() });
        }
        let damaged = |what: &str| {
            (
                format!("line {line}: the block that begins here {what}"),
                "the file is cut or damaged: copy the whole file again".to_owned(),
            )
        };
        let content = STANDARD
            .decode(&*text)
            .map(Zeroizing::new)
            .map_err(|_| damaged("is no complete base64"))?;
        if content.is_empty() {
            return Err(damaged("is empty"));
        }
        Ok(Block { label, line, encrypted, content })
    }
}
