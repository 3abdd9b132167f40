"""Trackers: other programs that are told of each round. Nothing is sent that the history does not hold."""
