"""A training workflow: a module of tasks for each image, which imports what that image has."""
