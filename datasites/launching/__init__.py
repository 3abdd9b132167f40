"""Launching: several hospitals of one machine, as one command starts them. None is handed anything of another."""
