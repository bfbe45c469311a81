"""Archive -> raw -> manifest -> prepared -> batches."""
