//! Stages on cards of several kinds: each with the kernels of its own card.

use crate::catalog::kind_of_stage;
use crate::estimate::memory::StageLayers;

use super::compiled::Program;
use super::host::emit_stages;
use super::target::Target;

/// The operators of all stages together, those of each kind of card with its own kernels.
pub(super) fn on_cards(t: &Target, stages: &[StageLayers]) -> Program {
    let mut program = Program::default();
    for (kind, kernels) in t.kinds.iter().enumerate() {
        let on_it = |(place, _): &(usize, &StageLayers)| kind_of_stage(&t.cluster.cards, *place) == kind;
        let stages = stages.iter().enumerate().filter(on_it).map(|(_, stage)| stage);
        program.kind = kind;
        emit_stages(&mut program, &Target { kernels, ..*t }, stages);
    }
    program
}
