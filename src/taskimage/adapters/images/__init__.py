"""The places that images are in, one module for each: as a source to read, as a target to write, or both.

`verbs.transfer` moves images between any two of them. What it moves is manifests, which are small and go as they
are, bit for bit, and blobs (`blob`), which are large.
"""
