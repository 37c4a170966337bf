//! Bytes as they come, taken apart into lines.

use std::sync::Arc;

use super::file::InputPlace;
use super::line::Line;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Collects the bytes of a line, up to a limit, until its end has come.
pub(super) struct LineSplitter {
    name: Arc<str>,
    limit: usize,
    /// The beginning of a line that has no end yet: one byte more than the limit, so that a `\r`
    /// behind a line that just fits can be told from a line that does not.
    partial: Vec<u8>,
    /// The line is longer than what is kept of it.
    cut: bool,
    /// How many bytes of it have come.
    length: u64,
    place: InputPlace,
}

impl LineSplitter {
    /// Begins behind `place`, which is the beginning of a line.
    pub(super) const fn new(name: Arc<str>, limit: usize, place: InputPlace) -> Self {
        Self { name, limit, partial: Vec::new(), cut: false, length: 0, place }
    }

    /// The place behind the last whole line.
    pub(super) const fn place(&self) -> InputPlace {
        self.place
    }

    /// Takes bytes up to and with the next end of line, or all there are. Answers how many those
    /// were, and the line that ends with them.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> (usize, Option<Line>) {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or(bytes);
        let room = (self.limit.saturating_add(1)).saturating_sub(self.partial.len());
        self.cut |= part.len() > room;
        self.partial.extend_from_slice(part.get(..room).unwrap_or(part));
        let taken = part.len() + usize::from(end.is_some());
        self.length += taken as u64;
        (taken, end.map(|_| self.emit(true)))
    }

    /// What stands behind the last end of line, if anything does.
    pub(super) fn finish(&mut self) -> Option<Line> {
        (self.length > 0).then(|| self.emit(false))
    }

    fn emit(&mut self, ended: bool) -> Line {
        let mut bytes = self.partial.as_slice();
        if ended && !self.cut {
            bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        }
        if self.place.offset == 0 {
            bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        }
        let kept = bytes.get(..self.limit).unwrap_or(bytes);
        let truncated = self.cut || kept.len() < bytes.len();
        self.place.lines += 1;
        self.place.offset += self.length;
        let line = Line::new(self.place.lines, kept, &self.name, truncated);
        self.partial.clear();
        self.cut = false;
        self.length = 0;
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &[u8], limit: usize, step: usize) -> Vec<(Vec<u8>, bool)> {
        let mut splitter = LineSplitter::new(Arc::from("test"), limit, InputPlace::default());
        let mut lines = Vec::new();
        for mut part in text.chunks(step) {
            while !part.is_empty() {
                let (taken, line) = splitter.feed(part);
                part = &part[taken..];
                lines.extend(line);
            }
        }
        lines.extend(splitter.finish());
        assert_eq!(splitter.place().offset, text.len() as u64);
        assert_eq!(splitter.place().lines, lines.len() as u64);
        lines.into_iter().map(|line| (line.bytes().to_vec(), line.is_truncated())).collect()
    }

    #[test]
    fn a2_lines_do_not_depend_on_how_the_bytes_come() {
        let text = b"\xef\xbb\xbfone\r\n\n12345\r\n123456\n12345678\r\nend";
        let kept = |text: &str, cut| (text.as_bytes().to_vec(), cut);
        for step in 1..text.len() {
            let expected = [
                kept("one", false),
                kept("", false),
                kept("12345", false),
                kept("12345", true),
                kept("12345", true),
                kept("end", false),
            ];
            // The mark counts while it comes in, and not in what is emitted.
            let lines = split(text, 5, step);
            assert_eq!(lines[1..], expected[1..], "{step}");
        }
        assert_eq!(split(text, 100, 3)[0], kept("one", false));
    }
}
