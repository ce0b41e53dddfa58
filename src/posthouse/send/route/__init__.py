"""route: which way each recipient of a letter goes, and why.

Enters: rules of the configuration, a letter. Leaves: a ``Choice``. Carries nothing.
"""
