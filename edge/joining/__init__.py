"""Snapshots on disk and over the mesh: kept, offered, fetched, and started from."""
