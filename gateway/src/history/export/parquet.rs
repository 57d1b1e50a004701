//! Parquet, written column by column without Arrow: what pandas, DuckDB and Spark read without guessing.
//!
//! | column | type |
//! |---|---|
//! | times | INT64, TIMESTAMP in ms, UTC |
//! | words | BYTE_ARRAY, STRING, as dictionary |
//! | values | DOUBLE, optional: null where nothing was measured |
//! | counts | INT64 |
//!
//! Time zone and bucket stand in the file's key-value metadata. Memory: one row group of `GROUP_ROWS` rows. Source to read first: the
//! format's own description, github.com/apache/parquet-format.

use super::{Cell, Column, Kind, Sink, library_error};
use anyhow::Context;
use parquet::basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type};
use std::io::Write;
use std::sync::Arc;

/// Rows that are in memory at once: some 5 MB. Small in tests, so that they meet it.
const GROUP_ROWS: usize = if cfg!(test) { 1_000 } else { 65_536 };

/// Values of one column that wait for their row group.
enum Values {
    Times(Vec<i64>),
    Words(Vec<ByteArray>),
    Numbers(Vec<f64>, Vec<i16>),
    Counts(Vec<i64>),
}

/// Writes Parquet.
pub struct Parquet<W: Write + Send> {
    out: SerializedFileWriter<W>,
    values: Vec<Values>,
    n_rows: usize,
}

impl<W: Write + Send> std::fmt::Debug for Parquet<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parquet").field("n_rows", &self.n_rows).finish_non_exhaustive()
    }
}

impl<W: Write + Send> Parquet<W> {
    /// Begins a file with `facts` in its metadata.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(out: W, columns: &[Column], facts: &[(String, String)]) -> anyhow::Result<Self> {
        let fields: Result<Vec<_>, _> = columns.iter().map(field).collect();
        let schema = Type::group_type_builder("history").with_fields(fields?).build()?;
        let facts = facts.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
        let mut properties = WriterProperties::builder()
            .set_created_by(format!("giot {}", env!("CARGO_PKG_VERSION")))
            .set_compression(Compression::SNAPPY)
            .set_key_value_metadata(Some(facts));
        for column in columns.iter().filter(|column| column.kind == Kind::Time) {
            let path = ColumnPath::from(column.name.as_str());
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
        let out = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties.build()))?;
        let values = columns.iter().map(|column| match column.kind {
            Kind::Time => Values::Times(Vec::new()),
            Kind::Text => Values::Words(Vec::new()),
            Kind::Number => Values::Numbers(Vec::new(), Vec::new()),
            Kind::Count => Values::Counts(Vec::new()),
        });
        Ok(Self { out, values: values.collect(), n_rows: 0 })
    }

    fn write_group(&mut self) -> anyhow::Result<()> {
        if self.n_rows == 0 {
            return Ok(());
        }
        let mut group = self.out.next_row_group().map_err(library_error)?;
        for values in &mut self.values {
            let mut column = group.next_column().map_err(library_error)?.context("a column of the schema")?;
            let written = match values {
                Values::Times(times) => column.typed::<Int64Type>().write_batch(times, None, None),
                Values::Counts(counts) => column.typed::<Int64Type>().write_batch(counts, None, None),
                Values::Words(words) => column.typed::<ByteArrayType>().write_batch(words, None, None),
                Values::Numbers(numbers, levels) => {
                    column.typed::<DoubleType>().write_batch(numbers, Some(levels), None)
                }
            };
            written.and_then(|_| column.close()).map_err(library_error)?;
            match values {
                Values::Times(times) => times.clear(),
                Values::Counts(counts) => counts.clear(),
                Values::Words(words) => words.clear(),
                Values::Numbers(numbers, levels) => {
                    numbers.clear();
                    levels.clear();
                }
            }
        }
        group.close().map_err(library_error)?;
        self.n_rows = 0;
        Ok(())
    }
}

impl<W: Write + Send> Sink for Parquet<W> {
    fn row(&mut self, cells: &[Cell<'_>]) -> anyhow::Result<()> {
        for (values, cell) in self.values.iter_mut().zip(cells) {
            match (values, *cell) {
                (Values::Times(times), Cell::Time(at_us)) => times.push(at_us.div_euclid(1_000)),
                (Values::Words(words), Cell::Text(text)) => words.push(ByteArray::from(text)),
                (Values::Counts(counts), Cell::Count(n)) => counts.push(i64::try_from(n)?),
                (Values::Numbers(numbers, levels), Cell::Number(value)) => {
                    numbers.push(value);
                    levels.push(1);
                }
                (Values::Numbers(_, levels), Cell::Empty) => levels.push(0),
                (_, cell) => anyhow::bail!("{cell:?} in a column of another kind"),
            }
        }
        self.n_rows += 1;
        if self.n_rows == GROUP_ROWS { self.write_group() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        self.write_group()?;
        self.out.finish().map_err(library_error)?;
        Ok(self.out.inner_mut().flush()?)
    }
}

fn field(column: &Column) -> parquet::errors::Result<Arc<Type>> {
    let (physical, logical, repetition) = match column.kind {
        Kind::Time => {
            let in_utc = LogicalType::timestamp(true, TimeUnit::MILLIS);
            (Physical::INT64, Some(in_utc), Repetition::REQUIRED)
        }
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String), Repetition::REQUIRED),
        Kind::Number => (Physical::DOUBLE, None, Repetition::OPTIONAL),
        Kind::Count => (Physical::INT64, None, Repetition::REQUIRED),
    };
    let built = Type::primitive_type_builder(&column.name, physical)
        .with_logical_type(logical)
        .with_repetition(repetition)
        .build()?;
    Ok(Arc::new(built))
}
