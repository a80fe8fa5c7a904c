//! Shell text as words: quotes, continuations, assignments, arrays, branches, here-documents. Nothing is run.
//!
//! Only what launch scripts of public recipes need is understood (POSIX `sh`, arrays, conditions and loops of `bash`,
//! continuations of PowerShell). A word whose value the text does not hold, since it stands in a variable that is set
//! elsewhere, in a command substitution or in a branch whose condition is not settled, is marked as such and never guessed.
//!
//! ```text
//! cursor ── expansion (variables, sums) ── lexing (words, commands) ── running (branches, loops, files)
//! words ── state (what is set, where branches meet) ── frames, conditions
//! ```

mod conditions;
mod cursor;
mod expansion;
mod frames;
mod lexing;
mod running;
mod state;
mod sums;
mod words;

use std::collections::BTreeMap;

use cursor::Reader;
use state::{State, Value};

pub use words::{Command, Script, Word, Written, assignment};

/// Reads a script.
pub fn read(text: &str) -> Script {
    read_in(text, &BTreeMap::new())
}

/// Reads a script that runs in an environment, as that of a container.
pub fn read_in(text: &str, environment: &BTreeMap<String, Word>) -> Script {
    let text = text.trim_start_matches('\u{feff}');
    let powershell = text.lines().any(|l| l.trim_end().ends_with(" `"));
    let mut reader =
        Reader { rest: text.chars().collect(), powershell, state: given(environment), ..Reader::default() };
    reader.all();
    reader.script
}

fn given(environment: &BTreeMap<String, Word>) -> State {
    let assigned = environment.iter().map(|(name, word)| (name.clone(), Value::Text(word.clone()))).collect();
    State { assigned, ..State::default() }
}

/// A word of a manifest, whose variables are replaced as Kubernetes (`$(NAME)`), Compose and shells do: those that the
/// environment sets, and `${NAME:-2}`, where it does not, by what the text has for that case.
pub fn expanded(word: &Word, environment: &BTreeMap<String, Word>) -> Word {
    if !word.unknown || !word.text.contains('$') {
        return word.clone();
    }
    let mut reader = Reader { manifest: true, state: given(environment), ..Reader::default() };
    let mut out = reader.inside(&word.text, true);
    out.unknown |= out.text.contains("{{");
    out.assumed = out.assumed.or(word.assumed.clone());
    out.only_if.clone_from(&word.only_if);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(text: &str) -> Vec<Vec<String>> {
        let words = |c: &Command| c.words.iter().map(|w| w.text.clone()).collect();
        read(text).commands.iter().map(words).collect()
    }

    #[test]
    fn continuations_quotes_and_redirections_are_those_of_the_shell() {
        let text = "vllm serve \"my model\" \\\n  --config '{\"a\": 1}' \\\n  -tp 2 > log.txt 2>&1 &\necho done # said";
        assert_eq!(
            commands(text),
            [vec!["vllm", "serve", "my model", "--config", "{\"a\": 1}", "-tp", "2"], vec!["echo", "done"]]
        );
    }

    #[test]
    fn a_variable_that_the_script_sets_is_read_and_another_is_unknown() {
        let script = read("TP=8\nexport MODEL=org/name\nX=1 vllm serve $MODEL -tp ${TP} --port \"$PORT\"");
        let command = &script.commands[0];
        let said: Vec<_> = command.words.iter().map(|w| (w.text.as_str(), w.unknown)).collect();
        assert_eq!(
            said,
            [
                ("vllm", false),
                ("serve", false),
                ("org/name", false),
                ("-tp", false),
                ("8", false),
                ("--port", false),
                ("$PORT", true)
            ]
        );
        assert_eq!(command.variables["X"].text, "1");
        assert_eq!(command.variables["MODEL"].text, "org/name");
        assert!(!command.variables.contains_key("TP"), "not exported");
    }

    #[test]
    fn a_default_inside_a_variable_is_its_value_where_nothing_sets_it_and_is_said() {
        let word = |text: &str| read(text).commands[0].words[1].clone();
        // POSIX, XCU 2.6.2: the quotes of what a parameter is replaced by are its own.
        let json = Word { assumed: Some("C".into()), ..Word::plain(r#"{"mode":3}"#) };
        assert_eq!(word(r#"C=${C:-'{"mode":3}'}; serve "$C""#), json);
        assert_eq!(word(r#"C="${C:-{\"mode\":3}}"; serve "$C""#), json);
        assert_eq!(word(r#"serve "${C:-'8'x}""#).text, "'8'x");
        assert_eq!(word("serve ${C:-'$(x)y'}").text, "$(x)y");
        assert_eq!(word("serve ${TP:-8}"), Word { assumed: Some("TP".into()), ..Word::plain("8") });
        assert_eq!(word("TP=4; serve ${TP:-8}"), Word::plain("4"));
        assert_eq!(word("TP=${TP:-8}\nserve $((TP / 2))").assumed.as_deref(), Some("TP"));
    }

    #[test]
    fn here_documents_are_files() {
        let script = read(
            "cat > /tmp/x.yml <<EOF\nenable_attention_dp: true\nEOF\ntrtllm-serve m --config /tmp/x.yml",
        );
        assert_eq!(script.files["/tmp/x.yml"].text, "enable_attention_dp: true\n");
        assert_eq!(script.commands.last().unwrap().words[0].text, "trtllm-serve");
    }

    #[test]
    fn an_array_is_the_command_that_it_holds() {
        assert_eq!(
            commands("CMD=(\n  vllm serve m\n  -tp 2\n)\n\"${CMD[@]}\" &")[0],
            ["vllm", "serve", "m", "-tp", "2"]
        );
    }

    #[test]
    fn powershell_continues_lines_with_backticks() {
        assert_eq!(
            commands("llama-server.exe --parallel 4 `\n   --model \"${base}\\file.gguf\""),
            [["llama-server.exe", "--parallel", "4", "--model", "${base}\\file.gguf"]]
        );
    }

    /// The words of the last command, as they are written where they are not known.
    fn last(text: &str) -> Vec<Word> {
        read(text).commands.pop().unwrap_or_default().words
    }

    fn texts(text: &str) -> Vec<String> {
        last(text).into_iter().map(|w| w.text).collect()
    }

    #[test]
    fn a_variable_outside_quotes_is_split_into_words_and_an_empty_one_is_none() {
        assert_eq!(
            texts("X=\"--a 64 --b 8\"; serve m $X \"$X\""),
            ["serve", "m", "--a", "64", "--b", "8", "--a 64 --b 8"]
        );
        assert_eq!(texts("X=\"\"; serve m $X -tp 8"), ["serve", "m", "-tp", "8"]);
        let words = last("X=\"--length $L\"; serve $X");
        assert_eq!((words[1].text.as_str(), words[1].unknown), ("--length", false));
        assert_eq!((words[2].text.as_str(), words[2].unknown), ("$L", true));
    }

    #[test]
    fn arrays_hold_words_and_are_added_to() {
        let text = "A=(--tp 8 # said\n --name 'a b')\nA+=(--seqs 64)\nserve \"${A[@]}\" ${#A[@]} ${A[1]}";
        assert_eq!(texts(text), ["serve", "--tp", "8", "--name", "a b", "--seqs", "64", "6", "8"]);
        assert!(last("A+=(--seqs 64); serve \"${A[@]}\"")[1].unknown, "what it held before is not known");
        assert_eq!(texts("A=(); serve \"${A[@]}\" x"), ["serve", "x"]);
    }

    #[test]
    fn a_branch_whose_condition_is_settled_is_taken_or_not() {
        let text = |dp: &str| {
            format!(
                "{dp}C=16; if [ \"$DP\" = true ]; then C=32; elif [[ $DP == f* ]]; then C=8; else C=4; fi; serve $C"
            )
        };
        assert_eq!(texts(&text("DP=true;")), ["serve", "32"]);
        assert_eq!(texts(&text("DP=false;")), ["serve", "8"]);
        assert_eq!(texts(&text("DP=x;")), ["serve", "4"]);
        for (condition, taken) in [
            ("[[ 16 -ge 16 && -n x ]]", true),
            ("(( 4 * 2 > 8 ))", false),
            ("test 1 -eq 1", true),
            ("! [ -z \"\" ]", false),
            ("[ a = b ] || [ 1 -lt 2 ]", true),
        ] {
            assert_eq!(
                texts(&format!("C=1; if {condition}; then C=2; fi; serve $C"))[1] == "2",
                taken,
                "{condition}"
            );
        }
        assert_eq!(texts("case h200 in b*) G=1;; h100|h200) G=2 ;; *) G=3;; esac; serve $G"), ["serve", "2"]);
        assert_eq!(texts("[ a = b ] && T=2 || T=3; serve $T"), ["serve", "3"]);
    }

    #[test]
    fn a_branch_that_the_text_does_not_settle_leaves_its_values_open() {
        let words = last("C=16; if [ \"$DP\" = true ]; then C=32; fi; serve --chunk \"$C\" $C");
        for word in &words[2..] {
            assert!(word.unknown && word.why.as_deref().unwrap().contains("32 or 16"), "{word:?}");
        }
        // What is alike in all branches is known.
        assert_eq!(texts("if [ $X = 1 ]; then C=2; else C=2; fi; serve $C"), ["serve", "2"]);
        // A branch that ends the script sets nothing for what follows.
        assert_eq!(texts("C=1; if [ -z \"$X\" ]; then C=2; exit 1; fi; serve $C"), ["serve", "1"]);
        // Flags of such a branch may stand there.
        for text in [
            "A=(--tp 8); if [ $X = 1 ]; then A+=(--dp 8); fi; serve \"${A[@]}\"",
            "A=\"--tp 8\"; [[ $X == 1 ]] && A=\"$A --dp 8\"; serve $A",
        ] {
            let words = last(text);
            let sure: Vec<(&str, bool)> =
                words.iter().map(|w| (w.text.as_str(), w.only_if.is_none())).collect();
            assert_eq!(
                sure,
                [("serve", true), ("--tp", true), ("8", true), ("--dp", false), ("8", false)],
                "{text}"
            );
        }
    }

    #[test]
    fn a_branch_that_a_default_takes_says_so() {
        let words = last("C=16; if [ \"${DP:-false}\" = true ]; then C=32; fi; serve $C");
        assert_eq!((words[1].text.as_str(), words[1].assumed.as_deref()), ("16", Some("DP")));
        let words = last(
            "TP=8\nwhile [[ $# -gt 0 ]]; do case $1 in --tp) TP=\"$2\"; shift 2;; esac; done\nserve $TP",
        );
        assert_eq!((words[1].text.as_str(), words[1].assumed.as_deref()), ("8", Some("its arguments")));
    }

    #[test]
    fn a_loop_is_gone_through_and_what_it_starts_again_is_started_once() {
        assert_eq!(commands("for i in 0 1; do serve --port $((8000 + i)); done").len(), 2);
        assert_eq!(commands("for ((i=0; i<3; i++)); do serve $i & done").len(), 3);
        assert_eq!(commands("for c in {1..4}; do serve -tp 8 & done").len(), 1);
        assert!(read("for c in $LIST; do serve; done").commands[0].only_if.is_some());
    }

    #[test]
    fn a_function_is_read_where_it_is_called_with_what_it_is_given() {
        let text = "run() {\n  local tp=$1\n  serve -tp $tp \"${@:2}\"\n}\nTP=4\nrun $TP --x";
        assert_eq!(texts(text)[..3], ["serve", "-tp", "4"]);
        assert_eq!(read("run() { serve; }").held[0].words[0].text, "serve");
    }

    #[test]
    fn files_are_added_to_and_hold_what_variables_hold() {
        let file = |text: &str| read(text).files["x.yml"].clone();
        let two = file("F=x.yml\nN=3\ncat > $F <<EOF\na: $N\nb: $B\nEOF\ncat << EOF >> $F\nc: 1\nEOF\n");
        assert_eq!(two.text, "a: 3\nb: $B\nc: 1\n");
        let maybe = file("echo 'a: 1' > x.yml\nif [ $B = 1 ]; then\ncat <<EOF >> x.yml\nc: 1\nEOF\nfi\n");
        assert_eq!((maybe.text.as_str(), maybe.others.len()), ("a: 1\nc: 1\n", 1));
        assert_eq!(file("cat > x.yml <<'EOF'\na: $N\nEOF\n").text, "a: $N\n");
    }

    #[test]
    fn places_for_values_are_unknown_words() {
        let words = last("serve <your model> --port <port_0> -tp {TP} > log 2>&1");
        let said: Vec<(&str, bool)> = words.iter().map(|w| (w.text.as_str(), w.unknown)).collect();
        assert_eq!(
            said,
            [
                ("serve", false),
                ("<your model>", true),
                ("--port", false),
                ("<port_0>", true),
                ("-tp", false),
                ("{TP}", true)
            ]
        );
    }

    #[test]
    fn what_grows_without_bound_when_it_is_run_is_read_in_bounded_time() {
        for text in [
            format!("if {}true; then X=1; fi", "! ".repeat(20_000)),
            format!("if [ {}a ]; then X=1; fi", "! ".repeat(20_000)),
            "for a in {1..64}; do\n".repeat(8) + "X=$a\n" + &"done\n".repeat(8),
            format!("f() {{ {} }}\nf", "f; ".repeat(10)),
            "if a; then\n".repeat(5_000) + "X=1\n" + &"fi\n".repeat(5_000),
            format!("X={}1{}", "${A:-".repeat(3_000), "}".repeat(3_000)),
            format!("vllm serve {}", "{{ <a ".repeat(20_000)),
        ] {
            let script = read(&(text + "\nserve m\n"));
            assert!(script.commands.last().is_some(), "what follows is read too");
        }
    }

    #[test]
    fn any_text_ends() {
        for text in [
            "$(",
            "${",
            "'",
            "\"",
            "<<",
            "<<<",
            "`",
            "\\",
            "a=(",
            ")(",
            "$",
            "&>",
            "2>",
            "<<EOF\nx",
            "if",
            "fi",
            "for i in",
            "case x in",
            "f() {",
            "while",
            "done",
            "((",
            "[[",
            "a&&",
            "A=(",
            "}",
            "f(){ f; }; f",
        ] {
            read(text);
        }
    }
}
