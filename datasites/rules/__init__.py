"""Rules: what a hospital has approved without a person, within bounds that its people set. Off unless they make one."""
