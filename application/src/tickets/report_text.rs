//! What workers say went wrong, made fit to be stored.

use super::draft_fields::MAX_TEXT_BYTES;

/// The text with NUL replaced and cut at [`MAX_TEXT_BYTES`]: a report must not be lost because its error text, often
/// the output of a program, is odd.
pub fn report_text(text: String) -> String {
    let mut text = if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_fit() {
        assert_eq!(report_text("plain é".to_owned()), "plain é");
        assert_eq!(report_text("a\0b".to_owned()), "a\u{fffd}b");
        let cut = report_text("é".repeat(MAX_TEXT_BYTES));
        assert_eq!(cut.len(), MAX_TEXT_BYTES);
        let odd = report_text(format!("x{}", "é".repeat(MAX_TEXT_BYTES)));
        assert_eq!(odd.len(), MAX_TEXT_BYTES - 1);
    }
}
