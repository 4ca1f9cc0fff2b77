"""Values into characters: no room here opens a socket, and the same value always gives the same bytes."""
