"""Ways into the console, each of which ends in a person: password and code, a token once, the hospital's provider."""
