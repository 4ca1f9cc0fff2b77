"""Operations over a catalog: who needs whom, what would run, and whether it may. Opens no socket."""
