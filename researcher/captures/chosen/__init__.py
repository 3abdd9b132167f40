"""Values that are chosen by comparisons: bounds, orders, places, picks, and parts that are written."""
