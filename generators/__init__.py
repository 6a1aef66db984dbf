"""Files that are made from the package's tables: `python -m generators` writes them all."""
