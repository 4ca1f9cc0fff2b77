"""Evidence about a database and a plan: what was promised, asked of the server itself."""
