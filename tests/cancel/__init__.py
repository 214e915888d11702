"""An embedding service that cancels its backfill at any moment: nothing of it is left."""
