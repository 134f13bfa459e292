//! Cutting a text into tokens.

/// The shortest token, in bytes: single letters are no use to search for.
const MIN_BYTES: usize = 2;

/// The longest token, in bytes: beyond it are encoded data and hashes, not words.
const MAX_BYTES: usize = 64;

/// What an ASCII byte is: part of a token or not.
const IN_TOKEN: [bool; 128] = {
    let mut table = [false; 128];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_';
        byte += 1;
    }
    table
};

/// The tokens of a text: the maximal runs of letters, digits (of any script) and `_` that are 2 to 64
/// bytes long, each with the byte offset it starts at. Case matters.
pub(super) struct Tokens<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Tokens<'t> {
    /// # Panics
    ///
    /// When the text is longer than positions can count (4 GiB).
    pub(super) fn of(text: &'t str) -> Self {
        assert!(u32::try_from(text.len()).is_ok(), "positions have 32 bits");
        Self { text, at: 0 }
    }

    /// Whether the character at byte `at` belongs to a token, and its length in bytes.
    #[inline]
    fn classify(&self, at: usize) -> (bool, usize) {
        let byte = self.text.as_bytes()[at];
        match IN_TOKEN.get(usize::from(byte)) {
            Some(&in_token) => (in_token, 1),
            None => self.classify_wide(at),
        }
    }

    #[cold]
    fn classify_wide(&self, at: usize) -> (bool, usize) {
        let wide = self.text[at..].chars().next().expect("inside the text");
        (wide.is_alphanumeric(), wide.len_utf8())
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = (u32, &'t str);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let end = self.text.len();
        loop {
            let start = loop {
                if self.at == end {
                    return None;
                }
                let (in_token, width) = self.classify(self.at);
                let at = self.at;
                self.at += width;
                if in_token {
                    break at;
                }
            };
            while self.at < end {
                let (in_token, width) = self.classify(self.at);
                if !in_token {
                    break;
                }
                self.at += width;
            }
            let token = &self.text[start..self.at];
            if (MIN_BYTES..=MAX_BYTES).contains(&token.len()) {
                return Some((start as u32, token));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<(u32, &str)> {
        Tokens::of(text).collect()
    }

    #[test]
    fn runs_are_maximal_and_positions_are_byte_offsets() {
        assert_eq!(tokens("fn  grow_by(n: u32)"), [(0, "fn"), (4, "grow_by"), (15, "u32")]);
        assert_eq!(tokens("über=straße"), [(0, "über"), (6, "straße")]);
        assert_eq!(tokens("a→bc «日本»"), [(4, "bc"), (9, "日本")]);
        assert_eq!(tokens("end"), [(0, "end")]);
        assert!(tokens("").is_empty());
        assert!(tokens(" \n\0…").is_empty());
    }

    #[test]
    fn length_limits_hold() {
        let longest = "x".repeat(64);
        let text = format!("a {longest} {longest}y bc");
        assert_eq!(tokens(&text), [(2, &*longest), (133, "bc")]);
    }
}
