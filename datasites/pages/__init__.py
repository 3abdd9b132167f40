"""What the hospital's people see of their datasite in a browser: pages of the datasite itself. None of it leaves."""
