"""Parts of a plan that say how a round runs at a hospital: performance settings, and who joins a step."""
