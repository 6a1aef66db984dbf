"""The papers' networks, and the settings and figures they were published with."""
