"""A teacher and a student small enough to ship: real models for callsmith's demonstration."""
