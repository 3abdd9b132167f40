"""The privacy cost of plans, and the limits that a hospital sets to it."""
