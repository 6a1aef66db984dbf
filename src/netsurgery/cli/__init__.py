"""The command line: one subcommand, one file; it parses and calls."""
