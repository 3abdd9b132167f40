"""Own losses: what training lowers as a graph of a picture's outputs and label, under the proof of own models."""
