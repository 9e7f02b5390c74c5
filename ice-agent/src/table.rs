//! Realigns text tables after their cells have changed, as redaction changes them.

/// Finds the tables that `comfy-table` drew in a text, and fits the column widths to the cells.
pub(crate) fn set_again(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut table: Vec<&str> = Vec::new();
    for line in text.split_inclusive('\n') {
        if line.starts_with(['┌', '│', '├', '╞', '└']) {
            table.push(line.trim_end_matches('\n'));
            continue;
        }
        set(&mut out, &table);
        table.clear();
        out.push_str(line);
    }
    set(&mut out, &table);
    if !text.ends_with('\n') && out.ends_with('\n') {
        out.pop();
    }
    out
}

fn set(out: &mut String, lines: &[&str]) {
    let rows: Vec<Option<Vec<&str>>> = lines.iter().map(|line| cells(line)).collect();
    let columns = rows.iter().flatten().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .flatten()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for (line, row) in lines.iter().zip(&rows) {
        match row {
            Some(row) => {
                let padded: Vec<String> = row
                    .iter()
                    .zip(&widths)
                    .map(|(cell, width)| format!(" {cell:width$} "))
                    .collect();
                out.push_str(&format!("│{}│", padded.join("┆")));
            }
            None => out.push_str(&frame(line, &widths)),
        }
        out.push('\n');
    }
}

/// The cells of a row; `None` for a border line.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inside = line.strip_prefix('│')?.trim_end().strip_suffix('│')?;
    Some(inside.split(['┆', '│']).map(str::trim).collect())
}

/// A border line at the new column widths, with its own corners and crossings.
fn frame(line: &str, widths: &[usize]) -> String {
    let letters: Vec<char> = line.chars().collect();
    let [first, fill, .., last] = letters[..] else { return line.to_owned() };
    let crossing = letters[1..letters.len() - 1]
        .iter()
        .copied()
        .find(|letter| *letter != fill)
        .unwrap_or(fill);
    let columns: Vec<String> =
        widths.iter().map(|width| fill.to_string().repeat(width + 2)).collect();
    format!("{first}{}{last}", columns.join(&crossing.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use comfy_table::{Table, presets};

    fn table(rows: &[[&str; 2]]) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["what", "where"]);
        for row in rows {
            table.add_row(*row);
        }
        table.to_string()
    }

    #[test]
    fn a_table_fits_its_cells_again() {
        let before =
            format!("a\n{}\nb │ c\n", table(&[["x", "192.0.2.1"], ["y and z", "1.1.1.1"]]));
        let changed = before.replace("192.0.2.1", "ipv4-1").replace("1.1.1.1", "private-ipv4-12");
        let expected =
            format!("a\n{}\nb │ c\n", table(&[["x", "ipv4-1"], ["y and z", "private-ipv4-12"]]));
        assert_eq!(set_again(&changed), expected);
        assert_eq!(set_again(&before), before);
        assert_eq!(set_again("no table"), "no table");
    }
}
