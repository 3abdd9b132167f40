"""Chunks, scans and tags of picture files: what they say beside their pixels, and Pillow does not look at."""
