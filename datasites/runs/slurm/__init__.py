"""Runs on the hospital's Slurm cluster: asked for there, heard from there, closed in on the node that they get."""
