//! The program of a step: every operator that a stage executes, with its kernel resolved once per
//! layout, so that timing a step allocates nothing and looks nothing up.

mod card;
mod compiled;
mod draft;
mod encoder;
mod host;
mod instruction;
mod kinds;
mod lone;
mod recall;
mod resolved;
mod step_time;
mod streamed;
mod target;

use crate::catalog::kernels::PowerShares;
use crate::catalog::kind_of_stage;
use crate::model::operator::Step;
use crate::units::{BytesPerSecond, Seconds, Traffic};

use super::memory::{StageLayers, spread};
use super::stages::{Pace, Part};
use card::OfKind;
pub use compiled::Line;
use compiled::{Program, decoder};
use draft::Draft;
pub(super) use draft::check_draft;
use encoder::Encoders;
use host::HostPart;
pub use lone::Lone;
pub use recall::Recall;
pub use step_time::StepTime;
pub use streamed::Stream;
pub use target::Target;

/// The programs of a replica's stages, and the hand-offs between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Stages.
    pub stages: u32,
    /// All stages together.
    whole: Program,
    /// The stages that differ, if there are several, as counts of the distinct instructions: the slowest sets
    /// the pace, and which one that is depends on the step.
    paces: Vec<Vec<f64>>,
    draft: Option<Draft>,
    /// What encodes images and sound of prompts.
    encoders: Option<Encoders>,
    /// What is with the host.
    host: Option<Box<HostPart>>,
    stream: Option<Stream>,
    power: PowerShares,
    /// What kinds of card change, where stages lie on several; else empty.
    kinds: Vec<OfKind>,
    /// Whether half batches overlap.
    overlaps: bool,
    hop_latency: Seconds,
    hop_seconds_per_byte: f64,
    hop_bytes_per_token: f64,
}

/// Times of one step of a replica.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PipelineTime {
    /// From the first stage's start to the last stage's end.
    pub latency: Seconds,
    /// Between two steps in steady state: the slowest stage.
    pub interval: Seconds,
    /// Share of the latency that rests on measurements of this GPU.
    pub fitted_share: f64,
    /// Share of the latency that was measured itself.
    pub measured_share: f64,
    /// The time at the board's power limit that draws as much above idle, over the ranks of all stages:
    /// one of each.
    pub drawn: Seconds,
}

impl Pipeline {
    /// Compiles a layout.
    pub fn compile(t: &Target) -> Pipeline {
        let spread = spread(t.model, t.kernels.engine, t.parallelism.pp, &t.offload);
        let whole = match &spread.host {
            _ if !t.kinds.is_empty() => kinds::on_cards(t, &spread.stages),
            Some(_) => host::on_gpus(t, &spread.stages),
            None => compile(t),
        };
        let several = spread.stages.len() > 1;
        let mut paces: Vec<Pace> = Vec::new();
        for (place, StageLayers { layers, experts, first, last }) in spread.stages.into_iter().enumerate() {
            let kind = kind_of_stage(&t.cluster.cards, place);
            let pace = Pace { layers, experts, first, last, kind };
            if several && !paces.contains(&pace) {
                paces.push(pace);
            }
        }
        let paces = paces.iter().map(|pace| whole.counts(pace)).collect();
        let (hop_latency, hop_seconds_per_byte) = hops(t);
        let exchanges = t.parallelism.exchange(t.kernels.engine).is_some();
        Pipeline {
            stages: t.parallelism.pp,
            whole,
            paces,
            // What drafts lies with the output projection.
            draft: Draft::compile(&Target { kernels: t.kinds.last().unwrap_or(t.kernels), ..*t }),
            encoders: Encoders::compile(t),
            host: spread.host.and_then(|host| HostPart::compile(t, &host)).map(Box::new),
            stream: t.stream,
            power: t.kernels.power,
            kinds: card::of_kinds(t),
            overlaps: t.kernels.engine.launch.batch_overlap && exchanges,
            hop_latency,
            hop_seconds_per_byte,
            // Each tensor-parallel rank sends its share of the activations (16 bits).
            hop_bytes_per_token: 2.0 * t.model.hidden as f64 / f64::from(t.parallelism.tp),
        }
    }

    /// Times of one step.
    pub fn time(&self, step: &Step) -> PipelineTime {
        self.around(step, self.staged(step, |step| self.timed(step)))
    }

    /// All stages one after the other, and the slowest of them, of a step whose halves do not overlap.
    fn timed(&self, step: &Step) -> (StepTime, Option<Seconds>) {
        let (whole, slowest) = self.whole.staged(step, &self.power, &self.paces);
        if self.kinds.is_empty() {
            return (whole, slowest);
        }
        (StepTime { drawn: self.whole.drawn(step, &self.kinds), ..whole }, slowest)
    }

    /// From the start to the end of one step, and between two of them: the same as [`Pipeline::time`] has, of a step as
    /// there were some before.
    pub fn pace(&self, step: &Step, recall: &mut Recall) -> (Seconds, Seconds) {
        let staged = self.staged(step, |step| self.whole.recalled(step, &self.paces, recall));
        let PipelineTime { latency, interval, .. } = self.around(step, staged);
        (latency, interval)
    }

    /// Times of a step whose operators take so long, what comes beside them included.
    fn around(&self, step: &Step, (mut whole, slowest): (StepTime, Option<Seconds>)) -> PipelineTime {
        let draft = self.draft.as_ref().map(|d| d.time(step, &self.power)).unwrap_or_default();
        let mut interval = slowest.unwrap_or(whole.total) + draft.total;
        whole += draft;
        if let Some(encoders) = &self.encoders {
            let encoding = encoders.time(step, &self.power);
            interval += encoding.total;
            whole += encoding;
        }
        if let Some(host) = &self.host {
            let with_host = host.time(step, &self.power);
            interval += with_host.total;
            whole += with_host;
        }
        if let Some(stream) = &self.stream {
            let stages = f64::from(self.stages);
            let waited = stream.time(self.whole.reads(step), stages);
            interval += waited / stages;
            whole.total += waited;
        }
        let hops = self.hop(step) * f64::from(self.stages - 1);
        let share = |part: Seconds| if whole.total.get() > 0.0 { part / whole.total } else { 0.0 };
        PipelineTime {
            latency: whole.total + hops,
            interval,
            fitted_share: share(whole.fitted),
            measured_share: share(whole.measured),
            drawn: whole.drawn,
        }
    }

    /// What a step takes at least over all stages, one after the other: the arithmetic of its prompts at the datasheet's
    /// peak, the weights and the cache that it reads at its bandwidth, where cards differ at that of each.
    pub fn least(&self, step: &Step, bandwidth: BytesPerSecond) -> Seconds {
        self.whole.least(step, |kind| self.kinds.get(kind).map_or(bandwidth, |kind| kind.bandwidth))
    }

    /// What encoding a step's images and sound takes of its time.
    pub fn encoding(&self, step: &Step) -> Seconds {
        self.encoders.as_ref().map_or(Seconds::ZERO, |encoders| encoders.time(step, &self.power).total)
    }

    /// All stages one after the other, and the slowest of them.
    fn staged(
        &self,
        step: &Step,
        timed: impl FnOnce(&Step) -> (StepTime, Option<Seconds>),
    ) -> (StepTime, Option<Seconds>) {
        if !self.overlaps {
            return timed(step);
        }
        let (half, slowest) = timed(&step.halved());
        let whole = half.overlapped();
        // Every stage hides as much of its time as all of them do.
        let share = if half.total > Seconds::ZERO { whole.total / half.total } else { 0.0 };
        (whole, slowest.map(|slowest| slowest * share))
    }

    /// What half batches hide of the time of their operators.
    pub fn hidden(&self, step: &Step) -> Seconds {
        match self.overlaps {
            true => self.whole.time(&step.halved(), &self.power).hidden(),
            false => Seconds::ZERO,
        }
    }

    /// One hand-off between stages.
    pub fn hop(&self, step: &Step) -> Seconds {
        let bytes = Traffic::new(step.tokens() * self.hop_bytes_per_token);
        self.hop_latency + Seconds::new(bytes.get() * self.hop_seconds_per_byte)
    }

    /// The step operator by operator, over all stages.
    pub fn explain(&self, step: &Step) -> Vec<Line> {
        let mut lines = match self.overlaps {
            true => twice(self.whole.explain(&step.halved())),
            false => self.whole.explain(step),
        };
        lines.extend(self.encoders.iter().flat_map(|e| e.explain(step)));
        lines.extend(self.draft.iter().flat_map(|d| d.explain(step)));
        lines.extend(self.host.iter().flat_map(|h| h.explain(step)));
        lines
    }
}

/// The same operators executed twice.
fn twice(mut lines: Vec<Line>) -> Vec<Line> {
    for line in &mut lines {
        line.operator.count *= 2;
        line.time = line.time * 2.0;
    }
    lines
}

/// Latency of one hand-off between stages and its time per byte, averaged over those inside a bridge,
/// inside a node and between nodes.
fn hops(t: &Target) -> (Seconds, f64) {
    let (p, cluster) = (&t.placement, t.cluster);
    let bridge = cluster.bridge.as_ref().map_or(cluster.scale_up, |b| b.bridge.link);
    let links = [
        (p.hops_bridged, bridge.latency, bridge.bandwidth),
        (p.hops_inside, cluster.scale_up.latency, cluster.scale_up.bandwidth),
        (p.hops_across, cluster.scale_out.latency, cluster.scale_out.under_load()),
    ];
    let all = f64::from(links.iter().map(|(hops, ..)| hops).sum::<u32>().max(1));
    links.iter().fold((Seconds::ZERO, 0.0), |(latency, per_byte), (hops, one, bandwidth)| {
        let share = f64::from(*hops) / all;
        (latency + *one * share, per_byte + share / bandwidth.get())
    })
}

/// The program of all stages together.
fn compile(t: &Target) -> Program {
    let outer = t.model.outer_formats();
    let mut program = Program::default();
    program.emit(t, &t.model.before, outer, 1, &|_| Part::Before);
    for (g, group) in decoder(t.model).iter().enumerate() {
        program
            .emit(t, &group.blocks, group.formats, group.layers.len() as u64, &|each| Part::Group(g, each));
    }
    program.emit(t, &t.model.after, outer, 1, &|_| Part::After);
    program
}
