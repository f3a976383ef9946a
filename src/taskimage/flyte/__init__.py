"""Inside Flyte: the image builder that flytekit finds by its entry point, and values that cross over both ways."""
