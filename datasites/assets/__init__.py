"""From a hospital's pictures to its store and its mock. Only the schema and the mock may cross the boundary."""
