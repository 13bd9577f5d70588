"""Who is in which set, and when to stop."""
