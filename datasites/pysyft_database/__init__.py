"""PySyft's own database: in the state folder, or in the hospital's PostgreSQL; told apart here and nowhere else."""
