"""What servers on both sides of a hospital's boundary need alike; nothing of a hospital is in it."""
