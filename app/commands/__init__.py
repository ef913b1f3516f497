"""The operator's larger commands, a module each; `app.cli` puts them together."""
