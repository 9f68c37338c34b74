"""A patience for callsmith."""
