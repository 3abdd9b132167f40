"""Complex numbers of a captured network: known as pairs of real values while it is translated, and in no graph."""
