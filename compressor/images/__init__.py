"""Images in a context: which page each shows, what was said about it, and what may take its place."""
