"""From many architectures to the indicator table: planning, workers, the Parquet store."""
