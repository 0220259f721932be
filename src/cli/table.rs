//! Text in aligned columns.

/// Widest cell that other rows are moved for; a longer one pushes only its own row.
const WIDEST: usize = 64;

/// The rows as lines: columns start at the same character, two spaces apart; no line ends with a space.
pub fn aligned<R: AsRef<[String]>>(rows: &[R]) -> String {
    let n_columns = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
    let width = |cell: &String| cell.chars().count();
    let widths: Vec<usize> = (0..n_columns)
        .map(|c| {
            rows.iter()
                .filter_map(|row| row.as_ref().get(c))
                .map(width)
                .filter(|&w| w <= WIDEST)
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, &wanted) in row.as_ref().iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(wanted.saturating_sub(width(cell)) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Words separated by two spaces, in lines of at most `width` characters, all but the first indented by `indent`.
pub fn wrapped(words: &[&str], indent: usize, width: usize) -> String {
    let mut text = String::new();
    let mut column = indent;
    for (i, word) in words.iter().enumerate() {
        let length = word.chars().count();
        if i > 0 && column + 2 + length > width {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            column = indent;
        } else if i > 0 {
            text.push_str("  ");
            column += 2;
        }
        text.push_str(word);
        column += length;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|c| (*c).to_owned()).collect()
    }

    #[test]
    fn columns_are_aligned_by_characters_and_lines_have_no_trailing_space() {
        let text = aligned(&[row(&["a", "µV", "x"]), row(&["long", "1", ""])]);
        assert_eq!(text, "a     µV  x\nlong  1\n");
        assert_eq!(aligned::<Vec<String>>(&[]), "");
    }

    #[test]
    fn one_very_long_cell_moves_only_its_own_row() {
        let long = "x".repeat(WIDEST + 1);
        let text = aligned(&[row(&["a", "b"]), row(&[&long, "c"])]);
        assert_eq!(text, format!("a  b\n{long}  c\n"));
    }

    #[test]
    fn words_are_wrapped_with_an_indentation() {
        assert_eq!(wrapped(&["aaa", "bbb", "ccc"], 2, 10), "aaa  bbb\n  ccc");
        assert_eq!(wrapped(&[], 2, 10), "");
    }
}
