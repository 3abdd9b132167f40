"""Runs: from an approved round to a checked client update. Owns the queue, the processes and the blobs."""
