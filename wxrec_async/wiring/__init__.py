"""Settings into clients: where the outsides are opened and the parts of a run are put together."""
