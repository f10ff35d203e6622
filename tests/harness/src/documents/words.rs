//! A line of shell as words, as far as documents need it.

/// The simple commands of a line, each as its words without quotes. What stands behind `#` is a remark; redirections go
/// with their command.
pub fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut letters = line.chars().peekable();
    let end = |word: &mut Option<String>, commands: &mut Vec<Vec<String>>| {
        if let (Some(word), Some(command)) = (word.take(), commands.last_mut()) {
            command.push(word);
        }
    };
    while let Some(letter) = letters.next() {
        match letter {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                while let Some(inside) = letters.next() {
                    match inside {
                        '\\' if letter == '"' => word.extend(letters.next()),
                        inside if inside == letter => break,
                        inside => word.push(inside),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(letters.next()),
            '#' if word.is_none() => break,
            ' ' | '\t' => end(&mut word, &mut commands),
            ';' | '|' | '&' => {
                end(&mut word, &mut commands);
                commands.push(Vec::new());
            }
            letter => word.get_or_insert_default().push(letter),
        }
    }
    end(&mut word, &mut commands);
    commands.retain(|command| !command.is_empty());
    commands
}

/// What a line calls of a program: its arguments, once for each call. Words of the shell and programs that run others may
/// stand before it.
pub fn calls_of(program: &str, line: &str) -> Vec<Vec<String>> {
    const BEFORE: [&str; 9] = ["sudo", "env", "exec", "do", "then", "if", "while", "time", "!"];
    let is_called = |word: &str| word == program || word.ends_with(&format!("/{program}"));
    let call = |command: Vec<String>| {
        let words: Vec<_> = command.into_iter().skip_while(|word| word.contains('=')).collect();
        let through = words.first().is_some_and(|first| BEFORE.contains(&first.as_str()));
        // Behind `-u` stands a user, who may have the program's name.
        let is_user = |at: usize| at.checked_sub(1).is_some_and(|before| words[before] == "-u");
        let mut places = 0..if through { words.len() } else { words.len().min(1) };
        let at = places.find(|&at| is_called(&words[at]) && !is_user(at))?;
        let redirection = |word: &String| word.starts_with(['>', '<']) || word.starts_with("2>");
        Some(
            words[at + 1..]
                .iter()
                .take_while(|word| !redirection(word))
                .cloned()
                .collect(),
        )
    };
    commands(line).into_iter().filter_map(call).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_in_lines_of_shell() {
        let calls = |line| calls_of("rsmev", line);
        assert_eq!(calls("rsmev check   # says all"), [["check"]]);
        assert_eq!(
            calls("sudo -u rsmev /usr/bin/rsmev trace 1 --reason \"a b\" >out && rsmev-load queue"),
            [["trace", "1", "--reason", "a b"]]
        );
        assert_eq!(
            calls("A=1 rsmev queue list | rsmev trace 'x'"),
            [vec!["queue", "list"], vec!["trace", "x"]]
        );
        assert!(calls("echo rsmev check; cd rsmev").is_empty());
    }
}
