//! Sections: titled tables whose columns have one name for scripts and one heading with a handy unit for
//! people.

use std::borrow::Cow;
use std::fmt::Write as _;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};

use super::cell::{Value, to_json};
use super::page::Page;
use super::sheet::Sheet;

/// One column.
#[derive(Clone, Debug, PartialEq)]
pub struct SectionColumn {
    /// Key in CSV and JSON, base units.
    pub name: String,
    /// Heading in tables.
    pub heading: String,
    /// What tables divide by.
    pub scale: f64,
}

/// A titled table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// Key in JSON.
    pub key: &'static str,
    /// What it shows.
    pub title: String,
    /// Columns.
    pub columns: Vec<SectionColumn>,
    /// How many of the first columns name the row.
    pub labels: usize,
    /// Cells, row by row, in base units.
    pub rows: Vec<Vec<Value>>,
    /// Their sum, where it means something.
    pub total: Option<Vec<Value>>,
    /// What to know when reading it.
    pub remarks: Vec<String>,
}

impl Section {
    /// An empty section; columns as name, heading and scale.
    pub fn new(
        key: &'static str,
        title: impl Into<String>,
        labels: usize,
        columns: &[(&str, &str, f64)],
    ) -> Section {
        let column = |(name, heading, scale): &(&str, &str, f64)| SectionColumn {
            name: (*name).to_owned(),
            heading: (*heading).to_owned(),
            scale: *scale,
        };
        let columns = columns.iter().map(column).collect();
        Section { key, title: title.into(), columns, labels, ..Section::default() }
    }

    /// Every row, the total last.
    fn all_rows(&self) -> impl Iterator<Item = &Vec<Value>> {
        self.rows.iter().chain(&self.total)
    }

    /// For people: headings, handy units.
    fn shown(&self) -> Sheet {
        let mut sheet = Sheet::new(self.columns.iter().map(|c| c.heading.clone()));
        let cell = |(value, column): (&Value, &SectionColumn)| match value {
            Value::Real(x) => Value::Real(x / column.scale),
            Value::Integer(n) if column.scale != 1.0 => Value::Real(*n as f64 / column.scale),
            other => other.clone(),
        };
        sheet.rows = self.all_rows().map(|row| row.iter().zip(&self.columns).map(cell).collect()).collect();
        sheet
    }

    /// For scripts: names, base units.
    fn plain(&self) -> Sheet {
        let mut sheet = Sheet::new(self.columns.iter().map(|c| c.name.clone()));
        sheet.rows = self.all_rows().cloned().collect();
        sheet
    }

    fn answer(&self) -> SectionAnswer<'_> {
        let object = |row: &Vec<Value>| -> Map<String, Json> {
            self.columns.iter().zip(row).map(|(c, v)| (c.name.clone(), to_json(v))).collect()
        };
        SectionAnswer {
            rows: self.rows.iter().map(object).collect(),
            total: self.total.as_ref().map(object),
            remarks: &self.remarks,
        }
    }
}

/// A table. Its columns depend on what is asked for: names say the unit, what is not known is null.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Table")]
struct SectionAnswer<'a> {
    /// The rows.
    rows: Vec<Map<String, Json>>,
    /// Their sum, where it means something.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<Map<String, Json>>,
    /// What to know when reading it.
    remarks: &'a [String],
}

/// Tables by their keys.
pub(super) struct Sections<'a>(pub(super) &'a [Section]);

impl Serialize for Sections<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|section| (section.key, section.answer())))
    }
}

impl JsonSchema for Sections<'_> {
    fn schema_name() -> Cow<'static, str> {
        "Tables".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = |about: &str| {
            let mut table = generator.subschema_for::<SectionAnswer>();
            table.insert("description".to_owned(), about.into());
            table
        };
        let abouts = KEYS.map(|(_, about)| about).map(table);
        let tables: Map<String, Json> =
            KEYS.iter().zip(abouts).map(|((key, _), table)| ((*key).to_owned(), table.into())).collect();
        json_schema!({ "type": "object", "properties": tables })
    }
}

/// The keys of all tables, and what each shows.
const KEYS: [(&str, &str); 12] = [
    ("memory", "Memory of a step by part."),
    ("flops", "FLOPs of a step by part."),
    ("intensity", "Time of a step by part, and what bounds it."),
    ("precision", "Memory by precision, and the machines whose memory it fits."),
    ("context_ladder", "Sequences that find room, by their length."),
    ("training_memory", "Memory of the ranks of a training plan."),
    ("training_activations", "What layers keep for a backward pass, by recomputation."),
    ("known", "Published sizes beside what is computed."),
    ("parameters", "Parameters by component."),
    ("gpus", "GPUs of the machine, and what the catalogue calls them."),
    ("host", "Processor and memory of the machine."),
    ("engines", "Engines that run there."),
];

/// Sections below each other, for people.
pub fn sections_page(sections: &[Section]) -> Page {
    let mut page = Page::default();
    for s in sections {
        let _ = write!(page, "{}\n\n", s.title);
        page.table(s.shown());
        s.remarks.iter().for_each(|r| page.push_str(&format!("{r}\n")));
        page.push_str("\n");
    }
    page
}

/// Sections below each other, for Markdown: titles are headings, remarks paragraphs.
pub fn sections_markdown(sections: &[Section]) -> Page {
    let mut page = Page::default();
    for s in sections {
        let _ = write!(page, "## {}\n\n", s.title);
        page.table(s.shown());
        s.remarks.iter().for_each(|r| page.push_str(&format!("\n{r}\n")));
        page.push_str("\n");
    }
    page
}

/// Sections for scripts: one as it is, several in long form, one figure a row.
pub fn sections_sheet(sections: &[Section]) -> Sheet {
    if let [one] = sections {
        return one.plain();
    }
    let mut sheet = Sheet::new(["table", "row", "figure", "value"]);
    for s in sections {
        for row in s.all_rows() {
            let text = |v: &Value| match v {
                Value::Text(text) => Some(text.clone()),
                Value::Integer(n) => Some(n.to_string()),
                _ => None,
            };
            let label = row.iter().take(s.labels).filter_map(text).collect::<Vec<_>>().join("/");
            for (value, column) in row.iter().zip(&s.columns).skip(s.labels) {
                let (table, figure) = (s.key.into(), column.name.as_str().into());
                sheet.rows.push(vec![table, Value::Text(label.clone()), figure, value.clone()]);
            }
        }
    }
    sheet
}

/// Sections that several models have, or one model at several lengths, as one each: a first column of this name tells
/// them apart.
pub fn side_by_side(what: &str, models: Vec<(String, Vec<Section>)>) -> Vec<Section> {
    let mut merged: Vec<Section> = Vec::new();
    for (model, sections) in models {
        for mut s in sections {
            let name = |row: &mut Vec<Value>| row.insert(0, Value::Text(model.clone()));
            s.rows.iter_mut().chain(&mut s.total).for_each(name);
            s.rows.extend(s.total.take());
            s.remarks = s.remarks.into_iter().map(|r| format!("{model}: {r}")).collect();
            match merged.iter_mut().find(|m| m.key == s.key) {
                Some(m) => {
                    m.rows.extend(s.rows);
                    m.remarks.extend(s.remarks);
                }
                None => {
                    let column = SectionColumn { name: what.into(), heading: what.into(), scale: 1.0 };
                    s.columns.insert(0, column);
                    s.labels += 1;
                    merged.push(s);
                }
            }
        }
    }
    merged
}
