//! The one type of column that every table of rows is made of: terminals, CSV, JSON, its schema, Markdown, Parquet and the
//! page of a sweep read it, so that what a column says of itself is said beside it.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json, json};

use super::cell::{Value, to_json};
use super::sheet::Sheet;

/// What rows are of: plans, training plans, fleets, cases of a sweep.
pub trait Rows {
    /// One row.
    type Row<'a>;
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A real number of 64 bits.
    Real,
}

/// What a cell holds where a column has nothing to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Nothing.
    Missing,
    /// Zero.
    Zero,
    /// One, as degrees that split nothing, or nothing.
    One,
}

impl Idle {
    fn is(self, value: &Value) -> bool {
        match (self, value) {
            (_, Value::Missing) => true,
            (Idle::Zero, Value::Integer(n)) => *n == 0,
            (Idle::One, Value::Integer(n)) => *n == 1,
            _ => false,
        }
    }
}

/// What a table is about, as far as columns ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    /// GPUs of several kinds were asked about.
    SeveralGpus,
    /// Some row rests on kernels that were not measured on its GPU.
    Uncalibrated,
    /// Some row has a layout that no server is known to be launched as.
    UnusualLayouts,
    /// Rows are ranked by energy.
    RankedByEnergy,
    /// Answers are made of their inputs alone.
    Pooled,
    /// Rows are compared with nothing.
    Uncompared,
    /// GPUs are bought by whole clusters.
    WholeClusters,
    /// More GPUs are bought than are used.
    BoughtInLots,
}

/// When a terminal shows a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Always.
    Always,
    /// Unless it is idle in all rows.
    Unless(Idle),
    /// Where rows differ.
    Differing,
    /// Where rows differ, or hold no text; else it is said once above the table.
    Once,
    /// In this situation.
    In(Situation),
}

/// One column.
pub struct Column<S: Rows> {
    /// Key in CSV and JSON, with the unit.
    pub name: &'static str,
    /// Object that holds it in JSON.
    pub group: Option<&'static str>,
    /// Heading in tables; columns without one appear only in CSV and JSON.
    pub heading: Option<&'static str>,
    /// What it says.
    pub about: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// When a terminal shows it, if it has a heading.
    pub show: Show,
    /// In which order a narrow terminal leaves columns out, the lowest first; 0 stays.
    pub spare: u8,
    /// Whether it may have no value, which JSON has as null.
    pub nullable: bool,
    /// Whether the list of one row's figures leaves it out where it is missing.
    pub optional: bool,
    /// Whether it is of a whole deployment, and would mislead beside several of them.
    pub of_deployment: bool,
    /// When a table of fleets shows it, if it tells one.
    pub of_fleet: Option<Show>,
    /// Whether the page of a sweep holds it.
    pub on_page: bool,
    /// Whether a terminal's ranking rounds it up to a whole number.
    pub rounded_up: bool,
    /// The value.
    pub of: for<'a, 'b> fn(&'b S::Row<'a>) -> Value,
}

impl<S: Rows> Clone for Column<S> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<S: Rows> Copy for Column<S> {}

impl<S: Rows> Column<S> {
    /// A column of real numbers, for CSV and JSON alone.
    pub const fn quiet(
        name: &'static str,
        about: &'static str,
        of: for<'a, 'b> fn(&'b S::Row<'a>) -> Value,
    ) -> Self {
        Column {
            name,
            group: None,
            heading: None,
            about,
            kind: Kind::Real,
            show: Show::Always,
            spare: 0,
            nullable: false,
            optional: false,
            of_deployment: false,
            of_fleet: None,
            on_page: false,
            rounded_up: false,
            of,
        }
    }

    /// A column of real numbers that tables show too.
    pub const fn shown(
        name: &'static str,
        heading: &'static str,
        about: &'static str,
        of: for<'a, 'b> fn(&'b S::Row<'a>) -> Value,
    ) -> Self {
        let mut column = Column::quiet(name, about, of);
        column.heading = Some(heading);
        column
    }

    /// A column of real numbers that tables head by its name.
    pub const fn plain(
        name: &'static str,
        about: &'static str,
        of: for<'a, 'b> fn(&'b S::Row<'a>) -> Value,
    ) -> Self {
        Column::shown(name, name, about, of)
    }

    /// It holds text.
    pub const fn text(mut self) -> Self {
        self.kind = Kind::Text;
        self
    }

    /// It holds whole numbers.
    pub const fn integer(mut self) -> Self {
        self.kind = Kind::Integer;
        self
    }

    /// JSON has it in an object of this name.
    pub const fn within(mut self, group: &'static str) -> Self {
        self.group = Some(group);
        self
    }

    /// A terminal shows it then; what is shown unless it is missing may be missing.
    pub const fn when(mut self, show: Show) -> Self {
        self.show = show;
        self.nullable |= matches!(show, Show::Unless(Idle::Missing));
        self
    }

    /// It may have no value.
    pub const fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// A narrow terminal leaves it out as the n-th.
    pub const fn spare(mut self, n: u8) -> Self {
        self.spare = n;
        self
    }

    /// The list of one row's figures leaves it out where it is missing.
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self.nullable = true;
        self
    }

    /// It is of a whole deployment.
    pub const fn of_deployment(mut self) -> Self {
        self.of_deployment = true;
        self
    }

    /// A table of fleets shows it then.
    pub const fn of_fleet(mut self, show: Show) -> Self {
        self.of_fleet = Some(show);
        self
    }

    /// The page of a sweep holds it.
    pub const fn on_page(mut self) -> Self {
        self.on_page = true;
        self
    }

    /// A terminal's ranking rounds it up.
    pub const fn rounded_up(mut self) -> Self {
        self.rounded_up = true;
        self
    }

    fn cell(&self, row: &S::Row<'_>) -> Value {
        match (self.of)(row) {
            Value::Real(x) if self.rounded_up => Value::Integer(x.ceil() as u64),
            value => value,
        }
    }

    /// What CSV and tables of figures call it: its name, after that of the object that holds it.
    pub fn path(&self) -> String {
        self.group.map_or(self.name.to_owned(), |group| format!("{group}.{}", self.name))
    }

    /// The unit that its name ends with, in words; none of texts, counts and shares.
    pub fn unit(&self) -> Option<&'static str> {
        UNITS.iter().find(|(ending, _)| self.name.ends_with(ending)).map(|(_, unit)| *unit)
    }

    /// What a value of it is in JSON.
    fn schema(&self) -> Json {
        let kind = match self.kind {
            Kind::Text => "string",
            Kind::Integer => "integer",
            Kind::Real => "number",
        };
        let kind = if self.nullable { json!([kind, "null"]) } else { json!(kind) };
        let mut schema = json!({ "type": kind, "description": self.about });
        if let Some(unit) = self.unit() {
            schema["x-unit"] = unit.into();
        }
        schema
    }

    /// Whether a terminal shows it over these rows, in a table about `holds`.
    pub fn is_shown(&self, rows: &[S::Row<'_>], holds: impl Fn(Situation) -> bool) -> bool {
        let mut cells = rows.iter().map(|row| (self.of)(row));
        let same = |mut cells: Box<dyn Iterator<Item = Value> + '_>| match cells.next() {
            None => None,
            Some(first) => cells.all(|cell| cell == first).then_some(first),
        };
        self.heading.is_some()
            && match self.show {
                Show::Always => true,
                Show::Unless(idle) => !cells.all(|cell| idle.is(&cell)),
                Show::Differing => !rows.is_empty() && same(Box::new(cells)).is_none(),
                Show::Once => !matches!(same(Box::new(cells)), Some(Value::Text(_))),
                Show::In(situation) => holds(situation),
            }
    }

    /// The text that all rows hold, of a column that is then said once.
    pub fn said_once(&self, rows: &[S::Row<'_>]) -> Option<String> {
        let mut cells = rows.iter().map(|row| (self.of)(row)).filter(|_| self.show == Show::Once);
        match cells.next()? {
            Value::Text(first) => cells.all(|v| v == Value::Text(first.clone())).then_some(first),
            _ => None,
        }
    }
}

/// Every column of every row, by name: for CSV and Markdown.
pub(super) fn sheet<'c, S: Rows + 'c>(
    columns: impl Iterator<Item = &'c Column<S>> + Clone,
    rows: &[S::Row<'_>],
) -> Sheet {
    let mut sheet = Sheet::new(columns.clone().map(|c| c.name));
    sheet.rows = rows.iter().map(|row| columns.clone().map(|c| (c.of)(row)).collect()).collect();
    sheet
}

/// The columns that a terminal shows, under their headings.
pub(super) fn shown<'c, S: Rows + 'c>(
    columns: impl Iterator<Item = &'c Column<S>>,
    rows: &[S::Row<'_>],
    holds: impl Fn(Situation) -> bool,
) -> Sheet {
    let columns: Vec<_> = columns.filter(|c| c.is_shown(rows, &holds)).collect();
    let mut sheet = Sheet::new(columns.iter().filter_map(|c| c.heading));
    sheet.rows = rows.iter().map(|row| columns.iter().map(|c| c.cell(row)).collect()).collect();
    let mut spare: Vec<_> = columns.iter().filter(|c| c.spare > 0).collect();
    spare.sort_by_key(|c| c.spare);
    sheet.spare = spare.iter().filter_map(|c| c.heading).collect();
    sheet
}

/// How names of figures end, and the unit that this stands for: the longest endings first.
const UNITS: [(&str, &str); 29] = [
    ("_usd_per_mtok_output_fleet", "US dollars per million output tokens"),
    ("_usd_per_million_requests_fleet", "US dollars per million requests"),
    ("_usd_per_million_requests", "US dollars per million requests"),
    ("_usd_per_mtok_output", "US dollars per million output tokens"),
    ("_usd_per_mtok_total", "US dollars per million tokens"),
    ("_usd_per_month", "US dollars per month"),
    ("_usd_per_hour", "US dollars per hour"),
    ("_kwh_per_mtok_output", "kWh per million output tokens"),
    ("_j_per_output_token", "J per output token"),
    ("_j_per_token", "J per token"),
    ("_w_per_gpu", "W per GPU"),
    ("requests_per_s_per_replica", "requests per second per replica"),
    ("requests_per_s_per_gpu", "requests per second per GPU"),
    ("requests_per_s", "requests per second"),
    ("tokens_per_s_per_gpu", "tokens per second per GPU"),
    ("tokens_per_s_per_user", "tokens per second per user"),
    ("tokens_per_s", "tokens per second"),
    ("tokens_per_s_low", "tokens per second"),
    ("tokens_per_s_high", "tokens per second"),
    ("tflops_per_gpu", "TFLOP/s per GPU"),
    ("_percent", "%"),
    ("_ms", "ms"),
    ("_ms_low", "ms"),
    ("_ms_high", "ms"),
    ("_us", "us"),
    ("_s", "s"),
    ("_gib", "GiB"),
    ("_usd", "US dollars"),
    ("_b", "billions"),
];

/// What the objects hold that JSON groups columns in.
const GROUPS: [(&str, &str); 1] = [("memory", "Memory of the fullest rank.")];

/// A list of columns that JSON objects are made of, and so is their schema.
pub(super) trait List: 'static {
    /// What rows are of.
    type Of: Rows;
    /// What the schema calls an object.
    const NAME: &'static str;
    /// The columns.
    fn columns() -> &'static [Column<Self::Of>];
}

/// A row as JSON holds it: the value of each column of a list by its name, those of a group in an object of their own.
pub(super) struct Cells<L> {
    map: Map<String, Json>,
    list: PhantomData<L>,
}

impl<L: List> Cells<L> {
    /// The cells of a row.
    pub(super) fn of(row: &<L::Of as Rows>::Row<'_>) -> Cells<L> {
        Cells { map: object(L::columns().iter(), row), list: PhantomData }
    }

    /// Puts a value in place of a column's own.
    pub(super) fn put(&mut self, column: &str, value: Json) {
        if let Some(own) = self.map.get_mut(column) {
            *own = value;
        }
    }
}

impl<L> Serialize for Cells<L> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.map.serialize(serializer)
    }
}

impl<L: List> JsonSchema for Cells<L> {
    fn schema_name() -> Cow<'static, str> {
        L::NAME.into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut whole = Map::new();
        for column in L::columns() {
            match column.group {
                None => hold(&mut whole, column.name, column.schema()),
                Some(group) => {
                    let mut within = whole
                        .get_mut("properties")
                        .and_then(|properties| properties.get_mut(group))
                        .and_then(Json::as_object_mut)
                        .map(std::mem::take)
                        .unwrap_or_default();
                    hold(&mut within, column.name, column.schema());
                    let about = GROUPS.iter().find(|(name, _)| *name == group).map(|(_, about)| *about);
                    within.insert("description".to_owned(), about.unwrap_or(group).into());
                    hold(&mut whole, group, Json::Object(within));
                }
            }
        }
        whole.into()
    }
}

/// Adds a property that an object always has to the schema of the object.
fn hold(object: &mut Map<String, Json>, name: &str, schema: Json) {
    object.entry("type").or_insert("object".into());
    if let Some(properties) = object.entry("properties").or_insert(json!({})).as_object_mut() {
        properties.insert(name.to_owned(), schema);
    }
    let required = object.entry("required").or_insert(json!([])).as_array_mut();
    if let Some(required) = required.filter(|required| required.iter().all(|known| known != name)) {
        required.push(name.into());
    }
}

/// A row as a JSON object, grouped columns in objects of their own.
fn object<'c, S: Rows + 'c>(
    columns: impl Iterator<Item = &'c Column<S>>,
    row: &S::Row<'_>,
) -> Map<String, Json> {
    let mut object = Map::new();
    for column in columns {
        let value = to_json(&(column.of)(row));
        let into = match column.group {
            None => Some(&mut object),
            Some(group) => object.entry(group).or_insert_with(|| json!({})).as_object_mut(),
        };
        if let Some(map) = into {
            map.insert(column.name.to_owned(), value);
        }
    }
    object
}
