"""The .nsm file: writer, and what the reader in C++ gives. docs/format.md is its specification."""
