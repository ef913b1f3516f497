"""The events of the log: their types, how they come in, how they are stored and read."""
