"""What a model may call, one file for each group; `callsmith_logic.pack` puts them together."""
