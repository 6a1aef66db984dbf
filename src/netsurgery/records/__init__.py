"""What a run is written down as."""
