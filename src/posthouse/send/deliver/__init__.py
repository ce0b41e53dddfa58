"""deliver: how letters are carried to a next hop.

``hop`` says what a next hop is, ``pool`` owns the connections to one. Called by whoever has decided
where a letter goes; leaves what each recipient was told.
"""
