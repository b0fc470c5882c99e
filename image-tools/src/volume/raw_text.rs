//! Text of which only the ASCII part means anything to us, such as a configuration with a comment in Latin-1. Each byte is one character, so
//! that lines which aren't edited stay as they are, whatever their encoding.

/// Bytes as text.
pub(crate) fn decode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The bytes of such a text. Edits add ASCII only.
pub(crate) fn encode(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

/// The same as UTF-8, if its bytes are.
pub(crate) fn utf8(text: &str) -> Option<String> {
    String::from_utf8(encode(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(encode(&decode(&all)), all);
        assert_eq!(encode(&(decode("K\u{fc}che\n".as_bytes()) + "a=1\n")), "K\u{fc}che\na=1\n".as_bytes());
    }
}
