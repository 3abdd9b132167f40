"""Local parts: what a plan's strategy keeps of a model at the hospital, from round to round. They never leave it."""
