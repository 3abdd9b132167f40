"""Taking part in a study: the hospitals that its rounds go to, and whether they can do what they are asked."""
