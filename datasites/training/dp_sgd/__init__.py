"""A private step: each unit's gradient clipped, summed, and noised."""
