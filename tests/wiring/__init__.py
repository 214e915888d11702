"""How the outsides are opened and put together."""
