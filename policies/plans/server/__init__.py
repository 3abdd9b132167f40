"""Server: what a training plan says of the researcher's side, where client updates become the next global model."""
