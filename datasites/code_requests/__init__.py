"""Code requests, from submission to decision, and the card that a decision is made on."""
