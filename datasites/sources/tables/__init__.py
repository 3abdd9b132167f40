"""Tables that name pictures and say what they are: CSV, TSV, Parquet, XLSX. Every cell is read as a text."""
