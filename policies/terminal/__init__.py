"""What others wrote, on a terminal: printed and drawn only as it can be shown."""
