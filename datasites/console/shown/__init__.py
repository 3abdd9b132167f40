"""What the console answers, as the hospital's terminal shows it."""
