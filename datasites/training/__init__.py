"""Training and its proof, free of PySyft; of what it reads, only noised updates may leave."""
