"""What the hospital's people do with a dataset: look at it, add to it, take patients out. None of it leaves."""
