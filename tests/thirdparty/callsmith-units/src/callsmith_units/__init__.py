"""Units and dates for callsmith."""
