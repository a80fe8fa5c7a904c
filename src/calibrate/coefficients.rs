//! The coefficients of a form as numbers that a fit may move, and back.

use crate::catalog::kernels::{
    Collective, CustomAllReduce, DecodeAttention, FitError, FitRange, Gemm, GroupedGemm, PrefillAttention,
};
use crate::estimate::kernels::Reached;
use crate::units::Seconds;
use crate::validate::Measured;

use super::solver::Bounds;

/// How a coefficient is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A bare number.
    Number,
    /// Microseconds.
    Micros,
}

/// One coefficient: its name in files, its unit and the values that make sense.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name in files.
    pub name: &'static str,
    /// Unit in files.
    pub unit: Unit,
    /// Values that make sense.
    pub bounds: Bounds,
}

/// A coefficient's type, as a number in its unit.
trait Number: Sized {
    const UNIT: Unit;
    /// `None` where the form does without it.
    fn number(self) -> Option<f64>;
    fn of(number: f64) -> Self;
}

impl Number for f64 {
    const UNIT: Unit = Unit::Number;
    fn number(self) -> Option<f64> {
        Some(self)
    }
    fn of(number: f64) -> f64 {
        number
    }
}

impl Number for Seconds {
    const UNIT: Unit = Unit::Micros;
    fn number(self) -> Option<f64> {
        Some(self.as_micros())
    }
    fn of(number: f64) -> Seconds {
        Seconds::micros(number)
    }
}

impl<T: Number> Number for Option<T> {
    const UNIT: Unit = T::UNIT;
    fn number(self) -> Option<f64> {
        self.and_then(T::number)
    }
    fn of(number: f64) -> Option<T> {
        Some(T::of(number))
    }
}

fn unit<F, T: Number>(_: fn(&F) -> T) -> Unit {
    T::UNIT
}

/// The kind of axis of a coefficient: `log` from low to high, or `linear`, which may be negative; `fixed`
/// ones are never moved.
macro_rules! form {
    ($form:ident: $($name:ident $axis:ident $low:literal $high:literal),+ $(,)?) => {
        impl Form for $form {
            fn fields() -> Vec<Field> {
                vec![$(Field {
                    name: stringify!($name),
                    unit: unit(|f: &$form| f.$name),
                    bounds: Bounds { low: $low, high: $high, logarithmic: stringify!($axis) == "log" },
                }),+]
            }
            fn numbers(&self) -> Vec<Option<f64>> {
                vec![$(self.$name.number()),+]
            }
            fn put(&mut self, numbers: &[Option<f64>]) {
                let mut numbers = numbers.iter();
                $(if let Some(Some(x)) = numbers.next() { self.$name = Number::of(*x); })+
            }
            fn note(&mut self, error: Option<FitError>, range: Option<FitRange>) {
                (self.error, self.range) = (error, range);
            }
            fn noted(&self) -> (Option<FitError>, Option<FitRange>) {
                (self.error, self.range)
            }
        }
    };
}

/// A form's coefficients by number, in the order of its file.
trait Form {
    fn fields() -> Vec<Field>;
    fn numbers(&self) -> Vec<Option<f64>>;
    fn put(&mut self, numbers: &[Option<f64>]);
    fn note(&mut self, error: Option<FitError>, range: Option<FitRange>);
    fn noted(&self) -> (Option<FitError>, Option<FitRange>);
}

form!(Gemm: compute_efficiency log 0.02 1.3, memory_efficiency log 0.05 1.3, launch log 0.3 60.0,
    sharpness log 0.6 20.0, depth_latency log 0.001 20.0, single_row_depth fixed 0.0 20.0, quantise_bytes log 0.01 60.0,
    quantise_row log 0.001 30.0, cached_share log 0.001 0.95);
form!(PrefillAttention: compute_efficiency log 0.02 1.5, memory_efficiency log 0.05 2.0, launch log 1.0 60.0,
    sharpness log 0.5 20.0, block log 0.001 60.0, head_dim_exponent linear -2.0 2.0,
    depth_latency log 0.001 300.0);
form!(DecodeAttention: compute_efficiency log 0.02 2.0, memory_efficiency log 0.05 1.2, launch log 1.0 60.0,
    sharpness log 0.5 20.0, block log 0.001 60.0, split_latency log 0.001 20.0, depth_latency log 0.001 300.0,
    single_block log 0.001 60.0, largest_group fixed 1.0 1024.0, tile_positions fixed 1.0 1024.0,
    cached_share log 0.001 0.95);
form!(GroupedGemm: compute_efficiency log 0.02 1.3, memory_efficiency log 0.05 1.2, launch log 1.0 200.0,
    sharpness log 0.6 20.0, local_passes log 0.01 40.0, global_passes log 0.01 40.0, pad_rows log 0.1 250.0,
    imbalance_exponent log 0.05 1.2, depth_latency log 0.001 40.0, cached_share log 0.001 0.95);
form!(Collective: latency log 0.5 100.0, latency_per_rank log 0.005 50.0, link_efficiency log 0.005 1.2,
    sharpness log 0.4 6.0, rank_exponent linear -3.0 1.0);
form!(CustomAllReduce: latency log 0.5 100.0, latency_per_rank log 0.005 50.0,
    one_shot_efficiency log 0.005 1.2, two_shot_efficiency log 0.005 1.2,
    two_shot_latency_factor log 1.0 20.0, rank_exponent linear -3.0 1.0, sharpness log 0.3 6.0);

/// Coefficients of any form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Coefficients {
    /// A dense product.
    Gemm(Gemm),
    /// Attention over prompts.
    Prefill(PrefillAttention),
    /// Attention of decoding sequences.
    Decode(DecodeAttention),
    /// Routed experts.
    Experts(GroupedGemm),
    /// A library's collective.
    Library(Collective),
    /// An engine's own all-reduce.
    Custom(CustomAllReduce),
}

/// Calls a method of whichever form it is.
macro_rules! any {
    ($of:expr, $form:ident => $do:expr) => {
        match $of {
            Coefficients::Gemm($form) => $do,
            Coefficients::Prefill($form) => $do,
            Coefficients::Decode($form) => $do,
            Coefficients::Experts($form) => $do,
            Coefficients::Library($form) => $do,
            Coefficients::Custom($form) => $do,
        }
    };
}

fn fields_of<F: Form>(_: &F) -> Vec<Field> {
    F::fields()
}

impl Coefficients {
    /// Those that a measured kernel was read with; `None` for an engine that has no all-reduce of its own.
    pub fn of(measured: &Measured) -> Option<Coefficients> {
        Some(match measured {
            Measured::Gemm(kernel, _) => Coefficients::Gemm(kernel.form()),
            Measured::Prefill(kernel, ..) => Coefficients::Prefill(kernel.form()),
            Measured::Decode(kernel, ..) => Coefficients::Decode(kernel.form()),
            Measured::Experts(kernel, ..) => Coefficients::Experts(kernel.form()),
            Measured::Collective(timer, ..) => match timer.custom() {
                Some(custom) => Coefficients::Custom(custom),
                None => Coefficients::Library(timer.library()),
            },
        })
    }

    /// The coefficients in the order of files.
    pub fn fields(&self) -> Vec<Field> {
        any!(self, form => fields_of(form))
    }

    /// Their values in the units of files; `None` where the form does without one.
    pub fn numbers(&self) -> Vec<Option<f64>> {
        any!(self, form => form.numbers())
    }

    /// The same with other values; those that are `None` stay.
    #[must_use]
    pub fn with(mut self, numbers: &[Option<f64>]) -> Coefficients {
        any!(&mut self, form => form.put(numbers));
        self
    }

    /// The same with what is known of the fit.
    #[must_use]
    pub fn noting(mut self, error: FitError, range: FitRange) -> Coefficients {
        any!(&mut self, form => form.note(Some(error), Some(range)));
        self
    }

    /// What is known of the fit.
    pub fn noted(&self) -> (Option<FitError>, Option<FitRange>) {
        any!(self, form => form.noted())
    }

    /// Time of a measured kernel under these, in microseconds.
    pub fn time(&self, measured: &Measured) -> f64 {
        let measured = match (*self, *measured) {
            (Coefficients::Gemm(form), Measured::Gemm(kernel, sizes)) => {
                Measured::Gemm(kernel.with_form(form), sizes)
            }
            (Coefficients::Prefill(form), Measured::Prefill(kernel, heads, work)) => {
                Measured::Prefill(kernel.with_form(form), heads, work)
            }
            (Coefficients::Decode(form), Measured::Decode(kernel, heads, work)) => {
                Measured::Decode(kernel.with_form(form), heads, work)
            }
            (Coefficients::Experts(form), Measured::Experts(kernel, shape, step)) => {
                Measured::Experts(kernel.with_form(form), shape, step)
            }
            (Coefficients::Library(form), Measured::Collective(timer, kind, buffer)) => {
                Measured::Collective(timer.with_library(form), kind, buffer)
            }
            (Coefficients::Custom(form), Measured::Collective(timer, kind, buffer)) => {
                Measured::Collective(timer.with_custom(form), kind, buffer)
            }
            (_, other) => other,
        };
        measured.time().as_micros()
    }

    /// What a product under these reaches of the peak and of the bandwidth of the GPU that a row was measured on;
    /// `None` of other kernels, which do more than stream.
    pub fn reached(&self, measured: &Measured) -> Option<Reached> {
        match (*self, *measured) {
            (Coefficients::Gemm(form), Measured::Gemm(kernel, _)) => Some(kernel.with_form(form).reached()),
            (Coefficients::Experts(form), Measured::Experts(kernel, ..)) => {
                Some(kernel.with_form(form).reached())
            }
            _ => None,
        }
    }

    /// What a fit starts from: these, and these with the discrete choices that a form has.
    pub fn starts(mut self, quantised: bool) -> Vec<Coefficients> {
        any!(&mut self, form => form.note(None, None));
        match self {
            Coefficients::Gemm(form) => {
                let bytes = if quantised { form.quantise_bytes.max(1.0) } else { 0.0 };
                let row =
                    if quantised { form.quantise_row.max(Seconds::micros(0.01)) } else { Seconds::ZERO };
                let cached_share = form.cached_share.max(0.05);
                let form = Gemm { quantise_bytes: bytes, quantise_row: row, cached_share, ..form };
                vec![Coefficients::Gemm(form)]
            }
            Coefficients::Decode(form) => decode_starts(form),
            Coefficients::Experts(form) => {
                let depth_latency = form.depth_latency.max(Seconds::micros(1.0));
                let cached_share = form.cached_share.max(0.05);
                vec![Coefficients::Experts(GroupedGemm {
                    depth_latency,
                    cached_share,
                    stand_in: false,
                    ..form
                })]
            }
            other => vec![other],
        }
    }

    /// The values that a fit moves: those that the form has and that mean something here.
    pub fn free(&self) -> Vec<bool> {
        let fixed = |name: &str| match self {
            Coefficients::Gemm(form) => form.quantise_bytes <= 0.0 && name.starts_with("quantise"),
            Coefficients::Decode(_) => matches!(name, "largest_group" | "tile_positions"),
            _ => false,
        };
        let numbers = self.numbers();
        self.fields()
            .iter()
            .zip(numbers)
            .map(|(field, value)| value.is_some() && !fixed(field.name))
            .collect()
    }
}

/// Whether query heads of one group share tiles without limit, or up to 32 as XQA kernels do.
fn decode_starts(form: DecodeAttention) -> Vec<Coefficients> {
    let base = DecodeAttention { cached_share: form.cached_share.max(0.05), ..form };
    let tiled = DecodeAttention { tile_positions: Some(128.0), ..base };
    let shared = DecodeAttention {
        single_block: base.single_block.or(Some(base.block)),
        largest_group: Some(32.0),
        ..tiled
    };
    [base, tiled, shared].map(Coefficients::Decode).to_vec()
}
