"""Labelled pictures in class folders or shards, however many: found, decoded, prepared, and loaded by processes."""
