"""The papers' experiments: network, data, training and treatment, and what carries them out."""
