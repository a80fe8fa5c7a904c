//! What every reason says of itself, in serving and in training: one entry of a table has all of it.

/// At which stage of the funnel a reason arises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Legality rules.
    Illegal,
    /// Memory.
    OutOfMemory,
    /// Targets.
    TargetMissed,
}

/// What equal reasons are counted under: the words of a name, empty ones at the end.
pub type Key = [&'static str; 3];

/// The words of a key as one identifier, e.g. `tp_does_not_divide_attention_heads`.
pub fn identifier(key: Key) -> String {
    let words: Vec<&str> = key.into_iter().filter(|word| !word.is_empty()).collect();
    words.join("_").replace([' ', '-'], "_")
}

/// Why a plan is not an answer: what ledgers and reports need of it.
pub trait Why {
    /// The stage that rejects.
    fn stage(&self) -> Stage;
    /// What equal reasons are counted under.
    fn key(&self) -> Key;
    /// How far from an answer, as a ratio above 1; 1 where there is no measure.
    fn distance(&self) -> f64;
    /// The key as one identifier.
    fn name(&self) -> String;
    /// One sentence.
    fn message(&self) -> String;
}

/// A table of reasons: each with its fields, the stage that rejects, what it is counted under, its distance, its
/// message, what it means and what to do about it, and examples of each of its names.
macro_rules! reasons {
    (
        $(#[$meta:meta])*
        pub enum $Reason:ident {
            $(
                $(#[$doc:meta])*
                $variant:ident $({ $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })? => {
                    stage: $stage:ident,
                    key: $key:expr,
                    distance: $distance:expr,
                    message: $message:expr,
                    guide: $guide:expr,
                    examples: $examples:expr,
                }
            )*
        }
    ) => {
        $(#[$meta])*
        pub enum $Reason {
            $($(#[$doc])* $variant $({ $($(#[$field_doc])* $field: $type,)* })?,)*
        }

        // Each entry names the fields that it needs.
        #[allow(unused_variables)]
        impl $Reason {
            /// The stage that rejects.
            pub fn stage(&self) -> $crate::plan::Stage {
                match self {
                    $($Reason::$variant { .. } => $crate::plan::Stage::$stage,)*
                }
            }

            /// What equal reasons are counted under.
            pub fn key(&self) -> $crate::plan::why::Key {
                match self {
                    $($Reason::$variant $({ $($field),* })? => $key,)*
                }
            }

            /// The key as one identifier, e.g. `tp_does_not_divide_attention_heads`.
            pub fn name(&self) -> String {
                $crate::plan::why::identifier(self.key())
            }

            /// How far from an answer, as a ratio above 1; 1 where there is no measure.
            pub fn distance(&self) -> f64 {
                match self {
                    $($Reason::$variant $({ $($field),* })? => $distance,)*
                }
            }

            /// One sentence.
            pub fn message(&self) -> String {
                match self {
                    $($Reason::$variant $({ $($field),* })? => $message,)*
                }
            }

            /// What it means and what to do about it: a row of `docs/errors.md`.
            pub fn guide(&self) -> $crate::diagnostic::Guide {
                let (meaning, remedy) = match self {
                    $($Reason::$variant $({ $($field),* })? => $guide,)*
                };
                $crate::diagnostic::Guide { meaning, remedy }
            }

            /// One of each name.
            pub fn examples() -> Vec<$Reason> {
                let mut all = Vec::new();
                $(all.extend($examples);)*
                all
            }
        }

        impl $crate::plan::Why for $Reason {
            fn stage(&self) -> $crate::plan::Stage {
                self.stage()
            }
            fn key(&self) -> $crate::plan::why::Key {
                self.key()
            }
            fn distance(&self) -> f64 {
                self.distance()
            }
            fn name(&self) -> String {
                self.name()
            }
            fn message(&self) -> String {
                self.message()
            }
        }
    };
}

pub(crate) use reasons;
