//! The result of a query: its rows in order, as CSV.

use std::io::Write;

use serde::Serialize;

/// A row. Its fields are the columns of the query's definition, and rows are in the order of their
/// columns from left to right, numbers as numbers.
pub(crate) trait Row: Serialize + Ord + Clone + Default + Send + 'static {}

impl<R: Serialize + Ord + Clone + Default + Send + 'static> Row for R {}

/// What has become of the rows of a query.
pub(crate) trait Table {
    /// How many there were.
    fn rows(&self) -> u64;

    /// Writes a header and all rows that were kept, sorted.
    fn write(self: Box<Self>, to: &mut dyn Write) -> csv::Result<()>;
}

/// Rows that were counted, and kept if they are to be written.
#[derive(Clone)]
pub(crate) struct Rows<R> {
    kept: Option<Vec<R>>,
    count: u64,
}

impl<R> Rows<R> {
    /// No rows yet. If they are not kept there is nothing to be written.
    pub(crate) fn new(keep: bool) -> Self {
        Self { kept: keep.then(Vec::new), count: 0 }
    }

    pub(crate) fn add(&mut self, row: R) {
        self.count += 1;
        if let Some(kept) = &mut self.kept {
            kept.push(row);
        }
    }
}

impl<R: Row> Table for Rows<R> {
    fn rows(&self) -> u64 {
        self.count
    }

    fn write(self: Box<Self>, to: &mut dyn Write) -> csv::Result<()> {
        let mut rows = self.kept.unwrap_or_default();
        rows.sort_unstable();
        let mut table = csv::WriterBuilder::new().has_headers(false).from_writer(to);
        table.write_record(columns::<R>()?.split(','))?;
        rows.iter().try_for_each(|row| table.serialize(row))?;
        Ok(table.flush()?)
    }
}

/// The names of the fields, also where there is no row.
fn columns<R: Row>() -> csv::Result<String> {
    let mut one = csv::Writer::from_writer(Vec::new());
    one.serialize(R::default())?;
    let text = one.into_inner().map_err(|error| error.into_error())?;
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
