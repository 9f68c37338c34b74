"""Questions to a read-only SQLite database, for callsmith."""
