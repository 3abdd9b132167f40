"""What a plan costs in privacy, and how much a hospital lets one cost."""
