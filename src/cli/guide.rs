//! The program's name alone on a terminal: a few questions, and the command that they amount to.

use std::io::{self, BufRead, Read as _, Write};

use crate::catalog::{Catalog, Kind};
use crate::diagnostic::{Diagnostic, brief};
use crate::launch::line::quoted;
use crate::request::{RateEntry, TimeTarget};
use crate::units;
use crate::workload::MAX_CONCURRENCY;

/// What a person wants to know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// The best plan of a model on GPUs.
    Plan,
    /// The models that run on a machine.
    Fit,
    /// The GPUs that a load takes.
    Size,
}

/// A conversation on a terminal.
struct Talk<'a, I, O> {
    catalog: &'a Catalog,
    input: I,
    output: O,
}

/// Asks for what a command needs, one thing after the other, and gives the words of the command, the program's name first;
/// `None` where the conversation is ended before, by the end of the input or `q`.
///
/// # Errors
/// What cannot be read or written.
pub fn converse(
    catalog: &Catalog,
    input: impl BufRead,
    output: impl Write,
) -> io::Result<Option<Vec<String>>> {
    Talk { catalog, input, output }.words()
}

impl<I: BufRead, O: Write> Talk<'_, I, O> {
    fn words(&mut self) -> io::Result<Option<Vec<String>>> {
        let wishes = "1 the best way to serve a model on some GPUs, 2 the models that run on a machine, 3 the GPUs that a \
                      load takes";
        let wish = |text: &str| match text {
            "" | "1" => Ok(Wish::Plan),
            "2" => Ok(Wish::Fit),
            "3" => Ok(Wish::Size),
            other => Err(format!("`{}` is none of 1, 2 and 3", brief(other))),
        };
        let Some(wish) = self.ask(&format!("What do you want to know? {wishes} [1]"), wish)? else {
            return Ok(None);
        };
        let mut words = vec!["shardfit".to_owned()];
        words.push(match wish {
            Wish::Plan => "plan".to_owned(),
            Wish::Fit => "fit".to_owned(),
            Wish::Size => "size".to_owned(),
        });
        if wish != Wish::Fit {
            let catalog = self.catalog;
            let model = |text: &str| model(catalog, text);
            match self.ask("Model: a name, org/name on the hub or a config.json [llama-3.1-70b]", model)? {
                Some(model) => words.push(model),
                None => return Ok(None),
            }
        }
        if !self.hardware(wish, &mut words)? || wish != Wish::Fit && !self.load(wish, &mut words)? {
            return Ok(None);
        }
        let line = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        writeln!(self.output, "\n{line}\n")?;
        Ok(Some(words))
    }

    /// Asks for the GPUs; whether there was an answer.
    fn hardware(&mut self, wish: Wish, words: &mut Vec<String>) -> io::Result<bool> {
        let catalog = self.catalog;
        let (question, flag, usual) = match wish {
            Wish::Plan => (
                "GPUs: 8xh100-sxm, 2x8xh200-sxm, a cloud's machine, or local [8xh100-sxm]",
                "--cluster",
                "8xh100-sxm",
            ),
            Wish::Fit => (
                "Machine: 1xrtx-4090, 2xrtx-3090, 1xm4-max, or local [1xrtx-4090]",
                "--cluster",
                "1xrtx-4090",
            ),
            Wish::Size => ("Kinds of GPU to choose from [h100-sxm,l40s]", "--gpu", "h100-sxm,l40s"),
        };
        let known = |text: &str| {
            let text = if text.is_empty() { usual } else { text };
            match wish {
                Wish::Size => {
                    let parts = text.split(',').map(|gpu| catalog.find(Kind::Gpu, gpu.trim()).map(|_| ()));
                    parts.collect::<Result<Vec<_>, _>>().map_err(said)?;
                }
                _ => drop(catalog.pools(text).map_err(said)?),
            }
            Ok(text.to_owned())
        };
        let hardware = self.ask(question, known)?;
        Ok(hardware.map(|hardware| words.extend([flag.to_owned(), hardware])).is_some())
    }

    /// Asks for the load and the limits on times; whether there were answers.
    fn load(&mut self, wish: Wish, words: &mut Vec<String>) -> io::Result<bool> {
        let question = match wish {
            Wish::Size => "Load: requests per second in the busiest hour, such as 20 [5]",
            _ => "Load: requests in flight, such as 64, or per second, such as 5/s [as many as is best]",
        };
        let load = |text: &str| load(wish, text);
        let Some(load) = self.ask(question, load)? else { return Ok(false) };
        words.extend(load);
        for (flag, question) in [
            ("--ttft", "Longest time to the first token, such as 1s [any]"),
            ("--tpot", "Longest time per token after it, such as 50ms [any]"),
        ] {
            let limit = |text: &str| match text {
                "" => Ok(None),
                text => text.parse::<TimeTarget>().map(|_| Some(text.to_owned())),
            };
            match self.ask(question, limit)? {
                None => return Ok(false),
                Some(limit) => words.extend(limit.into_iter().flat_map(|limit| [flag.to_owned(), limit])),
            }
        }
        Ok(true)
    }

    /// Asks until the answer can be read; `None` at the end of the input.
    fn ask<T>(&mut self, question: &str, read: impl Fn(&str) -> Result<T, String>) -> io::Result<Option<T>> {
        loop {
            write!(self.output, "{question}: ")?;
            self.output.flush()?;
            let mut line = String::new();
            // A line of a terminal is short; what is longer is no answer.
            if (&mut self.input).take(4096).read_line(&mut line)? == 0 {
                writeln!(self.output)?;
                return Ok(None);
            }
            match line.trim() {
                "q" | "quit" | "exit" => return Ok(None),
                text => match read(text) {
                    Ok(answer) => return Ok(Some(answer)),
                    Err(cause) => writeln!(self.output, "  {cause}")?,
                },
            }
        }
    }
}

/// A problem in a line, with what would mend it.
fn said(d: Diagnostic) -> String {
    match d.help {
        Some(help) => format!("{}; {help}", d.cause),
        None => d.cause,
    }
}

/// A model of the catalogue; a path or a name on the hub is taken as it is.
fn model(catalog: &Catalog, text: &str) -> Result<String, String> {
    let text = if text.is_empty() { "llama-3.1-70b" } else { text };
    let elsewhere = text.contains(['/', '\\']) || std::path::Path::new(text).exists();
    if !elsewhere {
        catalog.find(Kind::Model, text).map_err(said)?;
    }
    Ok(text.to_owned())
}

/// The options of a load.
fn load(wish: Wish, text: &str) -> Result<Vec<String>, String> {
    let rate = |text: &str| text.parse::<RateEntry>().map(|_| vec!["--rate".to_owned(), text.to_owned()]);
    match (wish, text) {
        (Wish::Size, "") => rate("5"),
        (_, "") => Ok(Vec::new()),
        (Wish::Size, text) => rate(text.trim_end_matches("/s").trim()),
        (_, text) => match text.strip_suffix("/s").or(Some(text).filter(|text| text.contains("req"))) {
            Some(per_second) => rate(per_second.trim()),
            None => {
                let n = units::amount(text, 1..=MAX_CONCURRENCY)?;
                Ok(vec!["--concurrency".to_owned(), n.to_string()])
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talked(lines: &str) -> (Option<Vec<String>>, String) {
        let mut output = Vec::new();
        let words = converse(&Catalog::built_in(), lines.as_bytes(), &mut output).unwrap();
        (words, String::from_utf8(output).unwrap())
    }

    #[test]
    fn answers_amount_to_a_command_and_what_is_wrong_is_asked_again() {
        let (words, said) = talked("1\nlama-3.1-70b\nllama-3.1-70b\n8xh100-sxm\n5/s\n1s\n50ms\n");
        let want = "shardfit plan llama-3.1-70b --cluster 8xh100-sxm --rate 5 --ttft 1s --tpot 50ms";
        assert_eq!(words.unwrap().join(" "), want);
        assert!(said.contains("did you mean") && said.contains(want), "{said}");
    }

    #[test]
    fn an_empty_line_takes_what_is_in_brackets() {
        let line = |lines: &str| talked(lines).0.unwrap().join(" ");
        assert_eq!(line("\n\n\n\n\n\n"), "shardfit plan llama-3.1-70b --cluster 8xh100-sxm");
        assert_eq!(line("2\n\n"), "shardfit fit --cluster 1xrtx-4090");
        assert_eq!(
            line("3\nllama-3.1-8b\n\n20\n\n\n"),
            "shardfit size llama-3.1-8b --gpu h100-sxm,l40s --rate 20"
        );
    }

    #[test]
    fn the_end_of_the_input_or_q_ends_it() {
        assert_eq!(talked("").0, None);
        assert_eq!(talked("1\nq\n").0, None);
        assert_eq!(talked("1\nllama-3.1-8b\n").0, None);
    }
}
