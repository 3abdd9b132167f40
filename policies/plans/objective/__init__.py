"""Objective: what a training plan lowers, the loss of each picture, from its own outputs and label alone."""
