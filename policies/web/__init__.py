"""Servers on both sides of a hospital's boundary need these alike; nothing of a hospital is in them."""
