"""What of a plan says how a round runs at a hospital: its performance settings, and who joins a step."""
