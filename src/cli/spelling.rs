//! The command line in other people's spelling: underscores, words of engines and benchmarks, short forms.

use std::ffi::OsString;

use clap::Command;

use crate::request::words::{WORDS, option};

/// Gives every command's options the names that others have for them, where no option of the command has that name.
pub fn with_other_names(root: Command) -> Command {
    root.mut_subcommands(|command| {
        let own: Vec<String> = command
            .get_arguments()
            .flat_map(|arg| {
                let long = arg.get_long().into_iter().map(str::to_owned);
                long.chain(arg.get_all_aliases().into_iter().flatten().map(str::to_owned))
            })
            .collect();
        command.mut_args(|arg| {
            let known = WORDS.iter().find(|word| arg.get_long() == Some(word.option));
            let Some(word) = known else { return arg };
            let free = |name: &&str| !name.starts_with('-') && !own.iter().any(|taken| taken == name);
            let shown = word.spoken().filter(free).collect::<Vec<_>>();
            let hidden = word.others.iter().copied().filter(free).collect::<Vec<_>>();
            arg.visible_aliases(shown).aliases(hidden)
        })
    })
}

/// The words of a command line with dashes where an option is spelt with underscores, with long options where engines
/// have short ones of several letters (`-ngl 99`), and with the model bare where it follows `--model`, but for commands
/// that have such an option.
pub fn usual(root: &Command, words: Vec<OsString>) -> Vec<OsString> {
    let mut options = true;
    let command = words.iter().find_map(|word| root.find_subcommand(word));
    let bare = command.is_none_or(|c| c.get_arguments().all(|arg| arg.get_long() != Some("model")));
    let spelt = |word: &str| match word.strip_prefix("--model=") {
        Some(model) if bare => model.to_owned(),
        _ => spelt(word),
    };
    let spelt = |word: OsString| match word.to_str() {
        Some(text) => OsString::from(spelt(text)),
        None => word,
    };
    let one = |word: OsString| {
        options &= word != "--";
        if options { spelt(word) } else { word }
    };
    words.into_iter().map(one).filter(|word| !bare || word != "--model").collect()
}

fn spelt(word: &str) -> String {
    let (name, value) = word.split_at(word.find('=').unwrap_or(word.len()));
    if let Some(long) = name.strip_prefix("--") {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if long.contains('_') && long.chars().all(plain) {
            return format!("--{}{value}", long.replace('_', "-"));
        }
    } else if (name.starts_with('-') && name.len() > 2 || name == "-c")
        && let Some(long) = option(name)
    {
        return format!("--{long}{value}");
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_in_the_spelling_of_engines() {
        let words =
            |list: &[&str]| usual(&Command::new("shardfit"), list.iter().map(OsString::from).collect());
        assert_eq!(
            words(&["shardfit", "plan", "--max_num_seqs=64", "-tp", "4", "-q", "--", "--a_b"]),
            ["shardfit", "plan", "--max-num-seqs=64", "--tp", "4", "-q", "--", "--a_b"].map(OsString::from)
        );
        assert_eq!(words(&["--model", "a/b", "--model=c"]), ["a/b", "c"].map(OsString::from));
        assert_eq!(words(&["--what-if", "hbm=+20%"]), ["--what-if", "hbm=+20%"].map(OsString::from));
    }
}
