"""What a file does, from its bytes alone."""
