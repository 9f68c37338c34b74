"""The functions packname for callsmith."""
