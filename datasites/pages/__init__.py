"""Pages of a running datasite for its hospital's people, in a browser. None of them leaves the hospital."""
