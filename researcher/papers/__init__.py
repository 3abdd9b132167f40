"""The papers of a study's model: what stands behind it, for auditors and whoever uses it. Released facts only."""
