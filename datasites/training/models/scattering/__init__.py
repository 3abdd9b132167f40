"""Scattering: fixed wavelets in the place of learned filters. Nothing here is trained."""
