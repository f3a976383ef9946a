"""The image builder for flyte 2.x, which that finds by the entry point ``flyte.plugins.image_builders``.

Nothing here is imported but by flyte, and flyte is imported inside of functions alone.
"""
