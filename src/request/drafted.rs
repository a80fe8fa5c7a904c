//! What the launch of a server drafts, as a request.

use super::{Request, Texts};
use crate::launch::drafting::draft;
use crate::launch::{Note, Server};
use crate::model::Model;
use crate::workload::Draft;

impl Request {
    /// Fills in what a launched server drafts; what could not be is returned as notes. `find` looks up the model that
    /// drafts.
    pub fn take_drafts(&mut self, server: &Server, find: impl Fn(&str) -> Option<Model>) -> Vec<Note> {
        let Some(drafts) = server.speculation.as_ref().filter(|_| self.speculate.is_none()) else {
            return Vec::new();
        };
        let named = drafts.method.as_deref().or(drafts.model.as_deref()).unwrap_or("drafts");
        let note = |why: String| Note { text: format!("speculation: {named}"), why, refused: false };
        let mut notes = Vec::new();
        let draft = match draft(drafts) {
            Ok(draft) => draft,
            Err(why) => return vec![note(format!("{why}: read as a server that drafts nothing"))],
        };
        let model = drafts.model.as_ref().filter(|_| self.model.draft_model.is_none());
        if let Some(name) = model.filter(|_| matches!(draft, Draft::Model | Draft::Eagle3)) {
            match (find(name), draft) {
                (Some(_), _) => self.model.draft_model = Some(name.clone()),
                (None, Draft::Eagle3) => {
                    notes.push(note(format!(
                        "{name} is not at hand: a usual EAGLE-3 head of the model is counted"
                    )));
                }
                (None, _) => {
                    notes.push(note(format!(
                        "{name} is not at hand: neither its weights nor its drafts are counted; --draft-model names another"
                    )));
                    return notes;
                }
            }
        }
        if draft.published().is_none() && self.acceptance.is_none() {
            notes.push(note(
                "how often its drafts are accepted depends on the text: times are those without drafts; say it with \
                 --acceptance, for example --acceptance 0.6"
                    .to_owned(),
            ));
            return notes;
        }
        if drafts.method.as_deref().is_some_and(|m| m.eq_ignore_ascii_case("eagle")) && draft == Draft::Eagle3
        {
            notes.push(note(
                "an EAGLE head is read as an EAGLE-3 head, whose acceptance is published".to_owned(),
            ));
        }
        self.speculate = Some(Texts(vec![draft.name().to_owned()]));
        match drafts.tokens.filter(|_| self.draft_tokens.is_none()) {
            Some(tokens) => self.draft_tokens = Some(tokens.into()),
            None if self.draft_tokens.is_none() => {
                let usual = draft.published().map_or(1, |published| published.tokens);
                notes.push(note(format!(
                    "how many tokens are drafted is left to the engine: {usual} are taken"
                )));
            }
            None => {}
        }
        notes
    }
}
