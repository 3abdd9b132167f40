"""Strategies that keep something of each hospital: all of it follows from what that hospital released."""
