//! Hostile inputs over every reader and command: each run is a process of its own, with limits on time and memory. None
//! panics, aborts, hangs or takes memory far beyond its input; each exits as is documented.
//!
//! `cargo test --test hostile` runs a sample. `HOSTILE_RUNS=20000 HOSTILE_SEED=7 SHARDFIT=target/release/shardfit` and
//! `--nocapture` run as many as are asked for; `tests/scripts/hostile.sh` does. A failing input is kept under
//! `target/hostile/`, with the command line that shows it.

mod dice;
mod mutate;
#[cfg(unix)]
mod peers;
mod seeds;

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dice::Dice;
use seeds::{Given, SEEDS, Seed};

/// Runs of a sample.
const SAMPLE: u64 = 240;

/// Memory of a run beside that of its input.
const MOST_MEMORY: u64 = 64 << 20;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

pub fn binary() -> PathBuf {
    let named = std::env::var_os("SHARDFIT").map(PathBuf::from);
    let built = PathBuf::from(env!("CARGO_BIN_EXE_shardfit"));
    named.map_or(built, |path| Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
}

/// The longest that a run may take: ten seconds of what is shipped; a build without optimisation, on a machine that has
/// other things to do, takes many times as long.
fn longest() -> Duration {
    Duration::from_secs(number("HOSTILE_SECONDS", if cfg!(debug_assertions) { 120 } else { 10 }))
}

/// The program in the repository's root, without what the tester's machine has.
pub fn program() -> Command {
    let mut command = Command::new(binary());
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    for name in ["SHARDFIT_CATALOG", "SHARDFIT_KERNELS", "COLUMNS", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    let nowhere = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/no-such-folder");
    command.env("HF_HOME", nowhere).env("HF_HUB_OFFLINE", "1").env("XDG_CONFIG_HOME", nowhere);
    command.env("APPDATA", nowhere).env("RAYON_NUM_THREADS", "2");
    command
}

/// The most memory that a process has held, in bytes, as the kernel counts it; nothing where there is none to ask.
pub fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// A run that is to be made.
struct Hostile {
    words: Vec<String>,
    stdin: Vec<u8>,
    /// Bytes that it reads.
    bytes: u64,
}

/// How a run ended that should not have.
fn ended(child: Child, hostile: &Hostile) -> Option<String> {
    let mut child = child;
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let mut stdin = child.stdin.take().unwrap();
    let fed = hostile.stdin.clone();
    std::thread::spawn(move || drop(stdin.write_all(&fed)));
    // What it says is read as it comes, so that it does not wait for us.
    let said = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = out.by_ref().take(64 << 20).read_to_end(&mut text);
        text.len()
    });
    let complained = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = err.by_ref().take(1 << 20).read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let (begun, mut most) = (Instant::now(), 0);
    let status = loop {
        most = most.max(peak(child.id()));
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None if begun.elapsed() > longest() => {
                let _ = child.kill();
                let _ = child.wait();
                return Some(format!("no end after {:?}", begun.elapsed()));
            }
            None => std::thread::sleep(Duration::from_millis(3)),
        }
    };
    let (_, complained) = (said.join(), complained.join().unwrap_or_default());
    let allowed = MOST_MEMORY + 4 * hostile.bytes;
    match status.code() {
        _ if complained.contains("panicked at") => Some(format!("a panic: {complained}")),
        None => Some(format!("{status}: {complained}")),
        Some(0..=3) if most > allowed => Some(format!("{} MiB for {} bytes", most >> 20, hostile.bytes)),
        Some(0..=3) => None,
        Some(code) => Some(format!("exit status {code}: {complained}")),
    }
}

fn split(line: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (n, part) in line.split('\'').enumerate() {
        match n % 2 {
            0 => all.extend(part.split_whitespace().map(str::to_owned)),
            _ => all.push(part.to_owned()),
        }
    }
    all
}

/// Makes the input of a number, in a folder of its own.
fn made(seed: &Seed, dice: &mut Dice, folder: &Path) -> Hostile {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let good = |file: &str| fs::read(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    let (mut stdin, mut bytes) = (Vec::new(), 0);
    let mut put = |path: PathBuf, contents: Vec<u8>| {
        bytes += contents.len() as u64;
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
    };
    let mut place = folder.join(format!("input.{}", seed.ending));
    match seed.given {
        Given::Text(file) => put(place.clone(), mutate::text(&good(file), dice)),
        Given::Made(make) => put(place.clone(), mutate::binary(&make(), dice)),
        Given::Stdin(file) => stdin = mutate::text(&good(file), dice),
        Given::Words => {}
        Given::Journal => {
            place = folder.join("sweep");
            put(place.join("journal"), mutate::text(journal(), dice));
        }
        Given::Catalogue(name, file) => {
            place = folder.join("catalogue");
            put(place.join(name), mutate::text(&good(file), dice));
        }
    }
    let out = folder.join("out").display().to_string();
    let mut words = split(seed.line);
    if matches!(seed.given, Given::Words) {
        words = mutate::words(&words[1..], dice).into_iter().collect();
        words.insert(0, split(seed.line)[0].clone());
    }
    let words = words.iter().map(|w| w.replace("{}", &place.display().to_string()).replace("{out}", &out));
    let bytes = bytes + stdin.len() as u64;
    Hostile { words: words.collect(), stdin, bytes }
}

/// The journal of a sweep that nothing disturbed.
fn journal() -> &'static [u8] {
    static JOURNAL: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    JOURNAL.get_or_init(|| {
        let folder = scratch("journal");
        let line = ["sweep", "tests/data/valid/hopeless.yaml", "-q", "-o"];
        let run = program().args(line).arg(&folder).status().expect("the binary runs");
        assert!(matches!(run.code(), Some(0 | 1)), "{run}");
        fs::read(folder.join("journal")).unwrap()
    })
}

fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("shardfit-hostile-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Makes one run; what is wrong with it, if anything is, and its input is kept.
fn run(seed: u64, n: u64) -> Option<String> {
    let of = &SEEDS[n as usize % SEEDS.len()];
    let mut dice = Dice::new(seed, n);
    let folder = scratch(&format!("{n}"));
    let hostile = made(of, &mut dice, &folder);
    if hostile.words.iter().any(|word| word.contains('\0')) {
        return None;
    }
    let mut command = program();
    command.args(&hostile.words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let wrong = match command.spawn() {
        Ok(child) => ended(child, &hostile),
        // A command line that is too long for the system.
        Err(e) if e.kind() == std::io::ErrorKind::ArgumentListTooLong => None,
        Err(e) => Some(format!("not started: {e}")),
    };
    let wrong = wrong.map(|why| {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/hostile/{seed}-{n}"));
        let _ = fs::create_dir_all(&kept);
        let copied = Command::new("cp").arg("-r").arg(folder.join(".")).arg(&kept).status();
        let _ = fs::write(kept.join("stdin"), &hostile.stdin);
        let line = hostile.words.iter().map(|w| format!("{w:?}")).collect::<Vec<_>>().join(" ");
        let line = line.replace(&folder.display().to_string(), &kept.display().to_string());
        let _ = (copied, fs::write(kept.join("command"), format!("shardfit {line}\n")));
        let why: String = why.chars().take(600).collect();
        format!("{} (run {n} of seed {seed}, kept in {}): {why}\n  shardfit {line}", of.name, kept.display())
    });
    let _ = fs::remove_dir_all(&folder);
    wrong
}

#[test]
fn hostile_inputs_neither_panic_nor_abort_nor_hang_nor_fill_memory() {
    let (runs, seed) = (number("HOSTILE_RUNS", SAMPLE), number("HOSTILE_SEED", 1));
    let first = number("HOSTILE_FIRST", 0);
    let (next, wrong) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let _ = journal();
    std::thread::scope(|scope| {
        for _ in 0..number("HOSTILE_THREADS", 2) {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= first + runs {
                        return;
                    }
                    if let Some(why) = run(seed, n) {
                        println!("{why}");
                        wrong.lock().unwrap().push(why);
                    }
                    if n % 1000 == 999 {
                        println!("{} runs", n + 1);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {runs} runs:\n{}", wrong.len(), wrong.join("\n"));
}

/// What has no end, or waits for somebody, in place of every file that is read.
#[cfg(unix)]
#[test]
fn devices_pipes_and_folders_are_refused_in_place_of_files() {
    let folder = scratch("strange");
    let pipe = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let strange = [pipe, "/dev/zero".into(), "/dev/null".into(), folder.clone()];
    for seed in SEEDS.iter().filter(|seed| matches!(seed.given, Given::Text(_) | Given::Made(_))) {
        for path in &strange {
            // Commands that take a folder are asked about it otherwise.
            if path.is_dir()
                && ["inspect", "check", "validate serving", "observe"]
                    .iter()
                    .any(|c| seed.line.starts_with(c))
            {
                continue;
            }
            let words = split(seed.line);
            let words = words.iter().map(|w| w.replace("{}", &path.display().to_string()));
            let words: Vec<String> =
                words.map(|w| w.replace("{out}", &folder.join("out").display().to_string())).collect();
            let mut command = program();
            command.args(&words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let hostile = Hostile { words: words.clone(), stdin: Vec::new(), bytes: 0 };
            let wrong = ended(command.spawn().unwrap(), &hostile);
            assert!(wrong.is_none(), "{words:?}: {}", wrong.unwrap_or_default());
        }
    }
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn every_good_input_is_read() {
    for seed in SEEDS.iter().filter(|seed| matches!(seed.given, Given::Text(_))) {
        let Given::Text(file) = seed.given else { continue };
        let out = scratch("good");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let words = split(seed.line)
            .iter()
            .map(|w| w.replace("{}", &root.join(file).display().to_string()))
            .map(|w| w.replace("{out}", &out.display().to_string()))
            .collect::<Vec<_>>();
        let run = program().args(&words).output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(matches!(run.status.code(), Some(0 | 1)), "{}: {words:?}\n{said}", seed.name);
        let _ = fs::remove_dir_all(&out);
    }
}
