"""Reviews: what a person must know of a code request to defend a decision on it. They stay in the hospital."""
