//! Where a machine's words come from: its tools, run for a few seconds at most, or their saved outputs.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::diagnostic::Diagnostic;
use crate::load;

/// One source: a command that needs no rights, or files that anyone may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// Names, memory, driver, slots of NVIDIA's GPUs.
    NvidiaQuery,
    /// The table that `nvidia-smi` prints.
    NvidiaTable,
    /// Names and slices.
    NvidiaList,
    /// How GPUs are joined.
    NvidiaTopology,
    /// Rates of NVLink.
    NvidiaLinks,
    /// AMD's older tool.
    RocmSmi,
    /// AMD's newer tool.
    AmdSmi,
    /// AMD's runtime.
    RocmInfo,
    /// Intel's tool.
    XpuSmi,
    /// Huawei's tool.
    NpuSmi,
    /// Apple's hardware and displays.
    SystemProfiler,
    /// Apple's kernel.
    Sysctl,
    /// PCI devices.
    Lspci,
    /// What kernel drivers say of graphics cards.
    Sysfs,
    /// Memory of the host.
    MemInfo,
    /// Its processor.
    Lscpu,
    /// Its memory modules; only root may ask for them.
    Dmidecode,
    /// Its memory modules, likewise.
    Lshw,
    /// Its memory's bandwidth, as `shardfit doctor --measure` printed it.
    Bandwidth,
}

/// Every source, by the words that begin its command; the longer before those that they begin with.
const PROBES: [(Probe, &str); 19] = [
    (
        Probe::NvidiaQuery,
        "nvidia-smi --query-gpu=index,name,memory.total,memory.used,driver_version,compute_cap,pcie.link.gen.max,\
         pcie.link.width.max --format=csv",
    ),
    (Probe::NvidiaList, "nvidia-smi -L"),
    (Probe::NvidiaTopology, "nvidia-smi topo -m"),
    (Probe::NvidiaLinks, "nvidia-smi nvlink -s"),
    (Probe::NvidiaTable, "nvidia-smi"),
    (Probe::RocmSmi, "rocm-smi --showproductname --showmeminfo vram --showdriverversion --json"),
    (Probe::AmdSmi, "amd-smi static --asic --bus --driver --vram"),
    (Probe::RocmInfo, "rocminfo"),
    (Probe::XpuSmi, "xpu-smi discovery"),
    (Probe::NpuSmi, "npu-smi info"),
    (Probe::SystemProfiler, "system_profiler SPHardwareDataType SPDisplaysDataType"),
    (Probe::Sysctl, "sysctl hw.memsize iogpu.wired_limit_mb"),
    (Probe::Lspci, "lspci -nn"),
    (Probe::Sysfs, "grep -H . /sys/class/drm/card*/device/*"),
    (Probe::MemInfo, "cat /proc/meminfo"),
    (Probe::Lscpu, "lscpu"),
    (Probe::Dmidecode, "dmidecode -t memory"),
    (Probe::Lshw, "lshw -class memory"),
    (Probe::Bandwidth, "shardfit doctor --measure"),
];

/// Files of a card below `/sys/class/drm` that say something.
const OF_A_CARD: [&str; 8] = [
    "vendor",
    "device",
    "product_name",
    "mem_info_vram_total",
    "mem_info_vram_used",
    "mem_info_gtt_total",
    "max_link_speed",
    "max_link_width",
];

/// What reading the raw tables of the firmware takes tells whether `dmidecode` may ask for them.
const DMI_TABLE: &str = "/sys/firmware/dmi/tables/DMI";

/// How long a tool may take; `nvidia-smi` wakes sleeping GPUs in two or three seconds.
const PATIENCE: Duration = Duration::from_secs(6);

/// More than any of these tools prints.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

impl Probe {
    /// The command, or the files as a command would read them.
    pub fn command(self) -> &'static str {
        PROBES.iter().find(|(probe, _)| *probe == self).map_or("", |(_, command)| command)
    }

    /// The source that a line of a shell asks.
    fn asked_by(line: &str) -> Option<Probe> {
        let words: Vec<&str> = line.split_whitespace().filter(|word| *word != "sudo").collect();
        let program = words.first()?.rsplit('/').next()?;
        let has = |word: &str| words.iter().any(|w| w.starts_with(word));
        Some(match program {
            "nvidia-smi" if has("--query-gpu") => Probe::NvidiaQuery,
            "nvidia-smi" if has("-L") || has("--list-gpus") => Probe::NvidiaList,
            "nvidia-smi" if has("topo") => Probe::NvidiaTopology,
            "nvidia-smi" if has("nvlink") => Probe::NvidiaLinks,
            "nvidia-smi" => Probe::NvidiaTable,
            "grep" if has("/sys/class/drm") => Probe::Sysfs,
            "cat" if has("/proc/meminfo") => Probe::MemInfo,
            "shardfit" => Probe::Bandwidth,
            "rocm-smi" => Probe::RocmSmi,
            "amd-smi" => Probe::AmdSmi,
            "rocminfo" => Probe::RocmInfo,
            "xpu-smi" => Probe::XpuSmi,
            "npu-smi" => Probe::NpuSmi,
            "system_profiler" => Probe::SystemProfiler,
            "sysctl" => Probe::Sysctl,
            "lspci" => Probe::Lspci,
            "lscpu" => Probe::Lscpu,
            "dmidecode" => Probe::Dmidecode,
            "lshw" => Probe::Lshw,
            _ => return None,
        })
    }

    /// What it says here; nothing where there is no such tool.
    fn run(self) -> Said {
        match self {
            Probe::Sysfs => Said::of(cards(Path::new("/sys/class/drm"))),
            Probe::MemInfo => Said::of(load::text(Path::new("/proc/meminfo")).ok()),
            Probe::Bandwidth => Said::Nothing,
            Probe::Dmidecode if std::fs::File::open(DMI_TABLE).is_err() => Said::Nothing,
            Probe::Lshw => Said::Nothing, // names no modules to those who are not root
            _ => ask(self.command()),
        }
    }
}

/// What became of a question.
enum Said {
    Text(String),
    Nothing,
    TooSlow,
}

impl Said {
    fn of(text: Option<String>) -> Said {
        text.map_or(Said::Nothing, Said::Text)
    }
}

/// What graphics cards' files say, a line each: `path:value`.
fn cards(folder: &Path) -> Option<String> {
    let mut out = String::new();
    for card in load::entries(folder).ok()? {
        let name = card.file_name()?.to_string_lossy().into_owned();
        if !name.strip_prefix("card").is_some_and(|n| n.chars().all(|c| c.is_ascii_digit())) {
            continue;
        }
        for file in OF_A_CARD {
            let path = card.join("device").join(file);
            if let Ok(value) = load::text(&path) {
                out += &format!("{}:{}\n", path.display(), value.trim());
            }
        }
    }
    (!out.is_empty()).then_some(out)
}

/// Runs a command for at most [`PATIENCE`], without a terminal, and takes what it prints.
fn ask(line: &str) -> Said {
    let mut words = line.split_whitespace();
    let Some(program) = words.next() else { return Said::Nothing };
    let child = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .env("LC_ALL", "C")
        .spawn();
    let Ok(mut child) = child else { return Said::Nothing };
    let Some(pipe) = child.stdout.take() else { return Said::Nothing };
    let (send, receive) = mpsc::channel();
    // A grandchild may hold the pipe open: nobody waits for this thread.
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.take(MOST_BYTES).read_to_end(&mut bytes);
        let _ = send.send(read.map(|_| String::from_utf8_lossy(&bytes).into_owned()));
    });
    let began = Instant::now();
    match receive.recv_timeout(PATIENCE) {
        Ok(Ok(text)) => {
            // What it printed counts only if it went well: tools print their complaints as well.
            let left = PATIENCE.saturating_sub(began.elapsed());
            match ended_well(&mut child, left) {
                Some(true) => Said::Text(text),
                Some(false) => Said::Nothing,
                None => Said::TooSlow,
            }
        }
        Ok(Err(_)) => Said::Nothing,
        Err(_) => {
            let _ = child.kill();
            let _ = child.try_wait();
            Said::TooSlow
        }
    }
}

/// Whether a process ended well in the time that is left; `None` where it did not end.
fn ended_well(child: &mut std::process::Child, left: Duration) -> Option<bool> {
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Err(_) => return Some(false),
            Ok(None) if began.elapsed() > left => {
                let _ = child.kill();
                let _ = child.try_wait();
                return None;
            }
            Ok(None) => thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// What the sources of a machine said.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    by: BTreeMap<Probe, String>,
    /// A text without a word on which command printed which part.
    whole: Option<String>,
    silent: Vec<String>,
}

impl Outputs {
    /// Asks this machine, all sources at once.
    pub fn live() -> Outputs {
        let asked: Vec<_> = PROBES.map(|(probe, _)| (probe, thread::spawn(move || probe.run()))).into();
        let mut outputs = Outputs::default();
        for (probe, running) in asked {
            match running.join() {
                Ok(Said::Text(text)) => {
                    outputs.by.insert(probe, text);
                }
                Ok(Said::TooSlow) => {
                    let command = probe.command().split_whitespace().next().unwrap_or_default();
                    let patience = PATIENCE.as_secs();
                    outputs.silent.push(format!("`{command}` did not answer within {patience} s"));
                }
                Ok(Said::Nothing) | Err(_) => {}
            }
        }
        outputs
    }

    /// Reads saved outputs: a file in which a line `$ command` stands before the output of each, or a folder of such
    /// files, or of files called by the command (`nvidia-smi.txt`, `nvidia-smi-topo-m.txt`).
    ///
    /// # Errors
    /// What is wrong with the file or folder.
    pub fn saved(path: &Path) -> Result<Outputs, Diagnostic> {
        let mut outputs = Outputs::default();
        let files = if path.is_dir() { load::entries(path)? } else { vec![path.to_owned()] };
        for file in files.iter().filter(|file| file.is_file()) {
            outputs.add(&load::text(file)?, file);
        }
        Ok(outputs)
    }

    /// Outputs of a text that stands for a file.
    pub fn of_text(text: &str) -> Outputs {
        let mut outputs = Outputs::default();
        outputs.add(text, &PathBuf::new());
        outputs
    }

    fn add(&mut self, text: &str, file: &Path) {
        let mut sections: Vec<(Option<Probe>, String)> = Vec::new();
        for line in text.lines() {
            match line.trim_start().strip_prefix("$ ") {
                Some(command) => sections.push((Probe::asked_by(command), String::new())),
                None => {
                    if let Some((_, said)) = sections.last_mut() {
                        *said += line;
                        *said += "\n";
                    }
                }
            }
        }
        if sections.is_empty() {
            let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            match called(stem) {
                Some(probe) => sections.push((Some(probe), text.to_owned())),
                None => self.whole = Some(self.whole.take().unwrap_or_default() + text + "\n"),
            }
        }
        for (probe, said) in sections.into_iter().filter_map(|(probe, said)| Some((probe?, said))) {
            let known = self.by.entry(probe).or_default();
            *known += &said;
        }
    }

    /// What a source said; nothing where it said nothing. A text without commands may be any source's.
    pub fn of(&self, probe: Probe) -> &str {
        let whole = || self.whole.as_deref().unwrap_or_default();
        self.by.get(&probe).map_or_else(whole, String::as_str)
    }

    /// Sources that did not answer in time.
    pub fn silent(&self) -> &[String] {
        &self.silent
    }

    /// Adds the measured bandwidth of the host's memory.
    pub fn with_bandwidth(mut self, said: String) -> Outputs {
        self.by.insert(Probe::Bandwidth, said);
        self
    }

    /// All outputs as one text that [`Outputs::saved`] reads, numbers that tell one machine from another left out.
    pub fn transcript(&self) -> String {
        let section = |(probe, text): (&Probe, &String)| {
            format!("$ {}\n{}\n", probe.command(), anonymous(text).trim_end())
        };
        self.by.iter().map(section).collect()
    }
}

/// The source whose command a file is called by.
fn called(stem: &str) -> Option<Probe> {
    let stem = stem.to_ascii_lowercase();
    match stem.as_str() {
        "meminfo" => Some(Probe::MemInfo),
        "sysfs" => Some(Probe::Sysfs),
        "bandwidth" => Some(Probe::Bandwidth),
        "nvidia-smi-query" | "nvidia-smi-csv" => Some(Probe::NvidiaQuery),
        "nvidia-smi-l" => Some(Probe::NvidiaList),
        other => Probe::asked_by(&other.replace("nvidia-smi-", "nvidia-smi ").replace('_', "-").replacen(
            "system-profiler",
            "system_profiler",
            1,
        )),
    }
}

/// A text without serial numbers and identifiers.
fn anonymous(text: &str) -> String {
    let secret = |line: &&str| {
        let line = line.to_ascii_lowercase();
        ["serial", "uuid:", "udid", "asset tag", "hardware uuid", "provisioning"]
            .iter()
            .any(|s| line.contains(s))
    };
    let mut out = String::new();
    for line in text.lines() {
        match line.find("(UUID:") {
            Some(at) => out += line[..at].trim_end(),
            None if secret(&line) => continue,
            None => out += line,
        }
        out += "\n";
    }
    out
}
