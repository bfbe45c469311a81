"""What DVC recorded of a dataset in ``dvc.lock``, and whether the files on disk are still those."""
