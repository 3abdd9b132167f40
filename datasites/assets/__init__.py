"""From a hospital's pictures to its picture store and its mock. Only a store's schema and the mock may cross the boundary."""
