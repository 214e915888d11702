"""Manifests, certificates and sidecars: written, read back, tampered with."""
