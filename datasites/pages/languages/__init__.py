"""Languages of what the hospital's people read: pages, and records of decisions. Nothing of a hospital is in them."""
