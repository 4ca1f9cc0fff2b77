"""A registered database's login is changed at its source: made, proved, registered, and only then is the old one ended.

model        the states, the ways, what follows what: no effects
registry     what is written down, one transaction a step
postgresql   the source: roles
redis        the source: passwords of an ACL user
login        one attempt to log in, told without the driver's words
machine      the steps, in their order, from wherever a rotation stands
"""
