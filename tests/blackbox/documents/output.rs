//! Whether a program said what a document shows. Figures, times, identifiers and digests may be others; `…` stands for
//! anything; what a document leaves away between two lines may be there.

/// The first line that a document shows and the program did not say after the lines before it.
pub(crate) fn missing<'d>(shown: &'d str, said: &str) -> Option<&'d str> {
    let mut said = said.lines().map(masked);
    let mut lines = shown.lines().filter(|line| !line.trim().is_empty());
    lines.find(|line| {
        let wanted = masked(line);
        !said.any(|line| agrees(&wanted, &line))
    })
}

/// Spaces as one; runs of hexadecimal digits and hyphens with a decimal digit in them, such as numbers, identifiers and
/// digests, as `0`.
fn masked(line: &str) -> String {
    let mut text = String::new();
    let mut letters = line.trim().chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_whitespace() {
            while letters.next_if(|next| next.is_whitespace()).is_some() {}
            text.push(' ');
        } else if letter.is_ascii_alphanumeric() {
            let mut word = String::from(letter);
            while let Some(next) = letters.next_if(|next| next.is_ascii_alphanumeric() || *next == '-') {
                word.push(next);
            }
            let figure = word.chars().any(|c| c.is_ascii_digit())
                && word
                    .chars()
                    .all(|c| c.is_ascii_hexdigit() || matches!(c, '-' | 'T' | 'Z'));
            text.push_str(if figure { "0" } else { &word });
        } else {
            text.push(letter);
        }
    }
    text
}

fn agrees(wanted: &str, said: &str) -> bool {
    let mut parts = wanted.split('…');
    let Some(mut rest) = parts.next().and_then(|first| said.strip_prefix(first)) else {
        return false;
    };
    let mut open = false;
    for part in parts {
        open = part.is_empty();
        let Some((_, after)) = rest.split_once(part.trim()) else {
            return false;
        };
        rest = after;
    }
    open || rest.trim().is_empty()
}

#[test]
fn figures_times_and_identifiers_may_be_others() {
    let shown = "Noted: the clock, which says 2026-11-22T16:40:12Z, is right; …\n\n0c3d5e1a-7a50-11f0-8de9-0242ac120002  3   waits";
    let said = "Some line\nNoted: the clock, which says 2031-01-02T03:04:05Z, is right; and more\nbetween\n\
                5f3d5e1a-7a50-11f0-8de9-0242ac120003 12 waits\n";
    assert_eq!(missing(shown, said), None);
    assert_eq!(missing("3 waits longer", said), Some("3 waits longer"));
    assert_eq!(missing("between\nSome line", said), Some("Some line"));
    assert_eq!(missing("Noted: … is wrong; …", said), Some("Noted: … is wrong; …"));
}
