"""The servers of the registry's databases: are they there, who are they, and a client that is ready to use.

model        layers, codes, findings, limits
"""
