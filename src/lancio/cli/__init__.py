"""Flags into one call of a room below, and its value into characters. stdout is data, stderr is talk."""
