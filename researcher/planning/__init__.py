"""From a study's settings to a plan in which every value is written out."""
