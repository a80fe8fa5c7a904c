//! What is predicted for a row.

/// What is predicted for a row: a value per measured column, or why there is none.
pub type Prediction = Result<Vec<(&'static str, f64)>, String>;
