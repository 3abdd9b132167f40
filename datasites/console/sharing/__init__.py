"""What hospitals tell each other through their people, file by file."""
