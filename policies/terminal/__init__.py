"""The terminal: text that others wrote is printed and drawn only as it can be shown."""
