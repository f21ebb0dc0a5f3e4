"""One file per verb. A step is idempotent; its undo means "as if it never ran"."""
