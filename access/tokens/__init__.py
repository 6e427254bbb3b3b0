"""DACT: the document of a grant, what it allows, and passing less of it on. Pure."""
