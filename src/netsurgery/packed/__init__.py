"""The .nsm file: entropy coder, writer, reader. docs/format.md is its specification."""
