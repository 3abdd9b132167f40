"""Hospitals, plans and studies as a notebook holds them: they do things when asked, and show themselves."""
