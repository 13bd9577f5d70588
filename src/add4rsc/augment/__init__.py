"""What training may do to a cycle."""
