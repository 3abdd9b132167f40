"""What a run is closed in with, piece by piece."""
