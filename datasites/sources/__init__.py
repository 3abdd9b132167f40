"""Sources of a hospital's pictures: which pictures there are, whose they are and what they are called.

The room reads names, tables and headers, never pixels. Everything it reads is private to the hospital.
"""
