"""Pages for what the hospital's people do every day: runs, audit log, people, notices, the doctor, settings."""
