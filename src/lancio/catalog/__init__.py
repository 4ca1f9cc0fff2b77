"""What a database holds, as a value: built from what files do, or read from a live server."""
