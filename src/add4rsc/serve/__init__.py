"""A page and a REST API over the same predictions as the command line, held in memory only."""
